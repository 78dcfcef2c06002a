//! `routes.cors`: origins that browsers can send, headers, and a time. Never `null` and never `*`. Fetch standard, "CORS protocol".

use std::time::Duration;

use http::HeaderName;

use crate::config::address::is_host_name;
use crate::config::resolve::server::duration;
use crate::config::resolved::{Cors, Origin};
use crate::config::sheet::{At, Sheet};
use crate::config::written;

const ORIGIN_RIGHT: &str =
    "as a browser writes it: \"https://app.example.com\", or \"https://*.apps.example.com\" for any host below";
const DAY: u64 = 24 * 3600;

/// One route's rules.
pub(crate) fn cors(cors: &written::Cors, sheet: &mut Sheet<'_>) -> Option<Cors> {
    let origins: Option<Vec<Option<Origin>>> =
        cors.origins.given().map(|origins| origins.is.0.iter().map(|one| origin(one, sheet)).collect());
    let headers: Option<Vec<Option<HeaderName>>> = cors.headers.optional().map(|headers| {
        headers.map_or(&[][..], |list| list.is.0.as_slice()).iter().map(|one| header(one, sheet)).collect()
    });
    let max_age = duration(&cors.max_age, Duration::ZERO, DAY, sheet);
    Some(Cors {
        origins: origins?.into_iter().collect::<Option<_>>()?,
        headers: headers?.into_iter().collect::<Option<_>>()?,
        max_age: max_age?,
    })
}

fn header(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<HeaderName> {
    match HeaderName::try_from(name.is.as_str()) {
        Ok(name) => Some(name),
        Err(_) => sheet.refuse(name.place, "this is no name of a header", "as in \"content-type\""),
    }
}

fn origin(origin: &At<String>, sheet: &mut Sheet<'_>) -> Option<Origin> {
    match parse_origin(&origin.is) {
        Ok(origin) => Some(origin),
        Err(why) => sheet.refuse(origin.place, why, ORIGIN_RIGHT),
    }
}

fn parse_origin(written: &str) -> Result<Origin, &'static str> {
    match written {
        "*" => return Err("`*` would let every web page read the answers"),
        "null" => {
            return Err(
                "`null` is the origin of every sandboxed page and file: it would let all of them read the answers",
            );
        }
        _ => {}
    }
    if let Some(suffix) = written.strip_prefix("https://*") {
        let host = suffix.strip_prefix('.').ok_or("a `*` stands for whole labels, before a dot")?;
        if !host.contains('.') {
            return Err(
                "this would let every host below a top-level domain read the answers: at least two labels follow the `*`",
            );
        }
        return if is_origin_host(host) {
            Ok(Origin::AnySubdomain(suffix.to_owned()))
        } else {
            Err("this is no origin")
        };
    }
    let (authority, default_port) = match (written.strip_prefix("https://"), written.strip_prefix("http://")) {
        (Some(authority), _) => (authority, "443"),
        (None, Some(authority)) => (authority, "80"),
        (None, None) => return Err("an origin begins with https:// or http://"),
    };
    let (host, port) = authority
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'))
        .map_or((authority, None), |(host, port)| (host, Some(port)));
    if port == Some(default_port) {
        return Err("browsers leave the scheme's own port out");
    }
    let is_port = port.is_none_or(|port| {
        !port.starts_with('0') && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
    });
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if is_port && (is_v6 || is_origin_host(host)) {
        Ok(Origin::Exact(written.to_owned()))
    } else {
        Err("this is no origin")
    }
}

fn is_origin_host(host: &str) -> bool {
    is_host_name(host) && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_or_a_star_with_two_labels() {
        assert_eq!(parse_origin("https://app.example.com"), Ok(Origin::Exact("https://app.example.com".to_owned())));
        assert_eq!(parse_origin("http://localhost:5173"), Ok(Origin::Exact("http://localhost:5173".to_owned())));
        assert_eq!(parse_origin("https://*.apps.example"), Ok(Origin::AnySubdomain(".apps.example".to_owned())));
        let wrong = [
            "*",
            "null",
            "",
            "app.example.com",
            "https://",
            "https://*",
            "https://*.com",
            "https://*x.example.com",
            "http://*.a.example",
            "https://a/",
            "https://a?b",
            "https://A.example",
            "https://a:443",
            "http://a:80",
            "https://a:0",
            "https://a:99999",
            "https://u@a",
            "https://a.*.example",
            "ftp://a.b",
        ];
        for origin in wrong {
            assert!(parse_origin(origin).is_err(), "{origin}");
        }
    }
}
