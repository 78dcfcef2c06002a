//! Whatever a signed `backToUrl` says, a browser is sent to https on a host below monday.com, or nowhere. The oracle reads the result by
//! its delimiters alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::flow::back_to;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(url) = back_to(text) else { return };
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{url}");
    let rest = url.strip_prefix("https://").expect("https");
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let label = host.strip_suffix(".monday.com").expect("below monday.com");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    assert!(!label.is_empty() && label.chars().all(plain), "{url}");
    assert_eq!(back_to(&url).as_deref(), Some(url.as_str()), "written anew once is written anew always");
});
