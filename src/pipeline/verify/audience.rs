//! Whether a token was made for this gateway: `aud` is the URL that monday called, as registered with it.
//! A token without `aud` passes: several kinds have none. RFC 7519, section 4.1.3.

use http::Uri;

use crate::config::resolved::PublicUrl;
use crate::monday::app_keys::Audience;

/// Whether one of the token's audiences is this gateway, as strictly as `rule` says.
pub(super) fn fits<'t>(
    rule: Audience,
    mut came: impl Iterator<Item = &'t str>,
    public_urls: &[PublicUrl],
    path: &str,
) -> bool {
    match rule {
        Audience::Off => true,
        Audience::Origin => came.any(|aud| public_urls.iter().any(|url| is_origin(aud, url).is_some())),
        Audience::Exact => came.any(|aud| public_urls.iter().any(|url| is_exact(aud, url, path))),
    }
}

/// The path of `aud`, if its scheme, host and port are the URL's.
fn is_origin(aud: &str, url: &PublicUrl) -> Option<String> {
    let uri: Uri = aud.split('#').next()?.parse().ok()?;
    let authority = uri.authority()?;
    let scheme = uri.scheme_str()?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    // What follows the host is nothing, or a port; user information would show here too, and is nobody's.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => default,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    let same = scheme == url.scheme && authority.host().eq_ignore_ascii_case(&url.host) && port == url.port;
    same.then(|| uri.path().to_owned())
}

fn is_exact(aud: &str, url: &PublicUrl, path: &str) -> bool {
    let Some(came) = is_origin(aud, url) else { return false };
    let came = came.trim_end_matches('/');
    let path = path.trim_end_matches('/');
    // A balancer in front may have taken the public path off, or left it.
    match came.strip_prefix(url.path.as_str()) {
        Some(below) => below == path || came == path,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls() -> [PublicUrl; 2] {
        let url = |host: &str, port, path: &str| PublicUrl {
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        [url("gw.example.com", 443, ""), url("other.example.com", 8443, "/monday")]
    }

    fn fits_at(rule: Audience, aud: &str, path: &str) -> bool {
        fits(rule, [aud].into_iter(), &urls(), path)
    }

    #[test]
    fn an_origin_is_compared_by_scheme_host_and_port() {
        for aud in [
            "https://gw.example.com/a/b?c=d",
            "https://gw.example.com",
            "https://gw.example.com:443/",
            "HTTPS://GW.example.COM/x#y",
            "https://other.example.com:8443/x",
        ] {
            assert!(fits_at(Audience::Origin, aud, "/"), "{aud}");
        }
        for aud in [
            "http://gw.example.com/",
            "https://gw.example.com:8443/",
            "https://gw.example.com.evil.org/",
            "https://evil-gw.example.com/",
            "https://gw.example.com@evil.org/",
            "https://user@gw.example.com/",
            "https://other.example.com/",
            "gw.example.com",
            "/a/b",
            "",
            "https://",
            "https://gw.example.com:443443/",
            "https://gw.example.com%2eevil.org/",
            "ftp://gw.example.com/",
        ] {
            assert!(!fits_at(Audience::Origin, aud, "/"), "{aud}");
        }
    }

    #[test]
    fn exact_also_compares_the_path_without_query_and_trailing_slash() {
        for (aud, path) in [
            ("https://gw.example.com/a/b", "/a/b"),
            ("https://gw.example.com/a/b/", "/a/b"),
            ("https://gw.example.com/a/b?x=1", "/a/b/"),
            ("https://gw.example.com", "/"),
            ("https://other.example.com:8443/monday/a", "/a"),
            ("https://other.example.com:8443/monday/a", "/monday/a"),
        ] {
            assert!(fits_at(Audience::Exact, aud, path), "{aud} {path}");
        }
        for (aud, path) in [
            ("https://gw.example.com/a/b", "/a"),
            ("https://gw.example.com/a", "/a/b"),
            ("https://gw.example.com/A", "/a"),
            ("https://other.example.com:8443/a", "/a"),
            ("https://other.example.com:8443/mondaya", "/a"),
        ] {
            assert!(!fits_at(Audience::Exact, aud, path), "{aud} {path}");
        }
    }

    #[test]
    fn one_of_several_audiences_is_enough_and_off_asks_for_none() {
        let came = ["https://a.example", "https://gw.example.com/x"];
        assert!(fits(Audience::Origin, came.into_iter(), &urls(), "/"));
        assert!(fits(Audience::Off, ["nonsense"].into_iter(), &urls(), "/"));
    }
}
