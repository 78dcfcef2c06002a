//! A route's path: literal segments, `{name}`, and at the end perhaps `{*rest}`. Refuses what no request can have, because the guard
//! refuses such requests: dot segments, empty segments, backslashes, encoded slashes and dots. RFC 3986, section 3.3.

use crate::config::resolved::Pattern;

/// What is wrong with a path, and what would be right.
pub(crate) type PathFault = (&'static str, &'static str);

const NO_REQUEST: &str = "write the path as requests have it";

/// The pattern of a path.
pub(crate) fn pattern(path: &str) -> Result<Pattern, PathFault> {
    let below = path.strip_prefix('/').ok_or(("a path begins with `/`", "put a `/` before it"))?;
    refuse_bytes(path)?;
    refuse_encodings(path)?;
    let segments: Vec<&str> = below.split('/').collect();
    let mut names: Vec<&str> = Vec::new();
    let mut base = String::new();
    let mut rest = false;
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index == last;
        if segment.is_empty() && !is_last {
            return Err(("no request has `//` in its path: such requests are refused", "remove one slash"));
        }
        if let Some(name) = checked_segment(segment)? {
            if names.contains(&name) {
                return Err(("two segments have the same name", "give each its own"));
            }
            names.push(name);
        }
        if rest {
            return Err(("`{*rest}` takes everything below, so nothing can follow it", "put it at the end"));
        }
        rest = segment.starts_with("{*");
        if !rest {
            base.push('/');
            base.push_str(segment);
        }
    }
    Ok(Pattern { base, rest })
}

/// The name between the braces, or `None` for a literal segment.
fn checked_segment(segment: &str) -> Result<Option<&str>, PathFault> {
    if !segment.contains(['{', '}']) {
        let before_parameters = segment.split(';').next().unwrap_or_default();
        return if matches!(before_parameters, "." | "..") {
            Err(("no request has `.` or `..` segments: such requests are refused", NO_REQUEST))
        } else {
            Ok(None)
        };
    }
    let inside = segment.strip_prefix('{').and_then(|inside| inside.strip_suffix('}'));
    let name = inside.map(|inside| inside.strip_prefix('*').unwrap_or(inside));
    let is_name = |name: &&str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    };
    match name.filter(is_name) {
        Some(name) => Ok(Some(name)),
        None => Err((
            "braces stand for a whole segment: `{name}`, or `{*rest}` at the end",
            "as in \"/boards/{board}/{*rest}\"",
        )),
    }
}

fn refuse_bytes(path: &str) -> Result<(), PathFault> {
    for byte in path.bytes() {
        match byte {
            b'?' => {
                return Err((
                    "a path ends before the query",
                    "remove the `?` and what follows: routes ignore the query",
                ));
            }
            b'#' => return Err(("a fragment never leaves the browser", "remove the `#` and what follows")),
            b'\\' => return Err(("no request has a `\\` in its path: such requests are refused", "write `/`")),
            0..=b' ' | 0x7f => {
                return Err(("no request has spaces or control characters in its path", "encode it, as in `%20`"));
            }
            0x80.. => return Err(("a path is ASCII", "encode other characters, as browsers do: `%C3%A9` for `é`")),
            _ => {}
        }
    }
    Ok(())
}

fn refuse_encodings(path: &str) -> Result<(), PathFault> {
    let mut rest = path;
    while let Some((_, after)) = rest.split_once('%') {
        let mut code = after;
        // Double and deeper encoding: %252e is an encoded %2e.
        while let Some(deeper) = code.strip_prefix("25") {
            code = deeper;
        }
        let digits = after.as_bytes().get(..2);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(("a `%` is followed by two hexadecimal digits", "write `%25` for the character itself"));
        }
        let lower = code.get(..2).map(str::to_ascii_lowercase);
        if lower.is_some_and(|lower| matches!(lower.as_str(), "2e" | "2f" | "5c" | "00")) {
            return Err(("no request has an encoded `.`, `/`, `\\` or NUL: such requests are refused", NO_REQUEST));
        }
        rest = after;
    }
    Ok(())
}

/// A pattern without its names: what two routes have in common if they match the same requests.
pub(crate) fn shape(pattern: &Pattern) -> (String, bool) {
    let segments = pattern.base.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    (segments.collect::<Vec<_>>().join("/"), pattern.rest)
}

/// The literal segments that a pattern begins with.
pub(crate) fn literal_prefix(pattern: &Pattern) -> &str {
    pattern.base.split_once("/{").map_or(pattern.base.as_str(), |(literal, _)| literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_segments_and_perhaps_everything_below() {
        let of = |path: &str| pattern(path).map(|pattern| (pattern.base, pattern.rest)).unwrap();
        assert_eq!(of("/planner/actions/{*rest}"), ("/planner/actions".to_owned(), true));
        assert_eq!(of("/{*rest}"), (String::new(), true));
        assert_eq!(of("/"), ("/".to_owned(), false));
        assert_eq!(of("/a/"), ("/a/".to_owned(), false));
        assert_eq!(of("/a/{b}/c"), ("/a/{b}/c".to_owned(), false));
    }

    #[test]
    fn a_path_that_no_request_can_have_is_refused() {
        let wrong = [
            "",
            "a",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/..;x/b",
            "/a\\b",
            "/a%2eb",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a%252e",
            "/a%25252fb",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/a%",
            "/a%2",
            "/a%zz",
            "/{",
            "/}",
            "/{}",
            "/{a",
            "/a{b}",
            "/{a}{b}",
            "/{*a}/b",
            "/{*}",
            "/{a}/{a}",
            "/{1}",
        ];
        for path in wrong {
            assert!(pattern(path).is_err(), "{path}");
        }
    }
}
