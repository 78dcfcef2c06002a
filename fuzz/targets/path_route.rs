//! A path that passes means one resource: however often a backend decodes it, and after it resolves dot segments as RFC 3986
//! does, drops parameters as servlet containers do and merges slashes as nginx does, the segments are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::path_passes;

fuzz_target!(|input: &[u8]| {
    let Ok(path) = std::str::from_utf8(input) else { return };
    if !path_passes(path) {
        return;
    }
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    let mut level = path.as_bytes().to_vec();
    for _ in 0..8 {
        assert_eq!(resolved(&level), plain(&level), "{path:?} is another path for some backend");
        assert!(!level.contains(&0) && !level.contains(&b'\\'), "{path:?}");
        assert_eq!(count(&level, b'/'), count(path.as_bytes(), b'/'), "{path:?} hides a slash");
        level = decoded(&level);
    }
});

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|&&byte| byte == wanted).count()
}

/// The segments without their parameters.
fn plain(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&byte| byte == b'/').skip(1).map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or_default()).collect()
}

/// The segments that are left when dot segments and empty ones (but the last) are resolved.
fn resolved(path: &[u8]) -> Vec<&[u8]> {
    let segments = plain(path);
    let last = segments.len() - 1;
    let mut kept = Vec::new();
    for (index, segment) in segments.into_iter().enumerate() {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            b"" if index != last => {}
            _ => kept.push(segment),
        }
    }
    kept
}

/// One level of percent-encoding less.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}
