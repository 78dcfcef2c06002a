//! Where `backToUrl` may lead: judged as the browser that gets it will read it (WHATWG URL), against the hosts that the configuration
//! allows. Takes the claim of a verified token, returns the URL as it was understood, written anew; whatever could be read in two ways
//! is refused, although a parser would forgive it. Knows no flow. RFC 9700, section 4.11; CVE-2026-83589, GHSA-qqxw-m5fj-f7gv.

use url::{Host, Url};

use crate::config::resolved::grants::BackTo;
use crate::limits::BACK_TO_BYTES;

/// A place that a browser may be sent to in the end. Made by [`judge`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    url: String,
    slug: Option<String>,
}

/// Why a browser is not sent there. Quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Astray {
    /// Longer than any that monday makes.
    #[error("backToUrl is too long")]
    TooLong,
    /// Control characters, spaces, backslashes or letters beyond ASCII, which parsers read in different ways.
    #[error("backToUrl has characters that browsers drop or change")]
    Characters,
    /// Not `https://` and a host.
    #[error("backToUrl is no https URL")]
    Scheme,
    /// A user name, another port, or a host that is not written as it is read.
    #[error("the host of backToUrl is written in an unusual way")]
    Authority,
    /// A host that is not in `back_to`.
    #[error("the host of backToUrl is not in authorization.back_to")]
    Host,
}

impl Destination {
    /// What `Location` says: visible ASCII.
    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }

    /// The account's name in monday's URLs: `myaccount` of `myaccount.monday.com`.
    pub(crate) fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }
}

/// Judges a `backToUrl`.
pub(crate) fn judge(text: &str, allowed: &[BackTo]) -> Result<Destination, Astray> {
    if text.len() > BACK_TO_BYTES {
        return Err(Astray::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(Astray::Characters);
    }
    let (scheme, rest) = text.split_once("://").ok_or(Astray::Scheme)?;
    let url = Url::parse(text).map_err(|_why| Astray::Scheme)?;
    if !scheme.eq_ignore_ascii_case("https") || url.scheme() != "https" {
        return Err(Astray::Scheme);
    }
    let written = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    if allowed.iter().any(|entry| entry.is_port(&written, &url)) {
        return Ok(Destination { slug: None, url: url.into() });
    }
    let Some(Host::Domain(host)) = url.host() else { return Err(Astray::Authority) };
    let is_plain = written.strip_suffix(":443").unwrap_or(&written) == host;
    let is_default = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    if !is_plain || !is_default || !is_host_name(host) {
        return Err(Astray::Authority);
    }
    let slug = allowed.iter().find_map(|entry| entry.covers(host)).ok_or(Astray::Host)?;
    let slug = slug.map(str::to_owned);
    Ok(Destination { slug, url: url.into() })
}

/// Two labels and more, of letters, digits and hyphens: a browser's host may hold much more than a name of the DNS.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.contains('.') && host.len() <= 253 && host.split('.').all(is_label)
}

impl BackTo {
    /// Whether this entry is this machine with a port, to the letter what is written between the slashes, and what a browser reads there.
    fn is_port(&self, written: &str, url: &Url) -> bool {
        let read = url.host_str().zip(url.port()).map(|(host, port)| format!("{host}:{port}"));
        matches!(self, Self::Port(own) if own == written && read.as_ref() == Some(own))
    }

    /// Whether a host is allowed by this entry; inside, the account's name, if the host is one's.
    #[expect(clippy::option_option, reason = "None: not covered; Some(None): covered, and no account's host")]
    fn covers<'h>(&self, host: &'h str) -> Option<Option<&'h str>> {
        let label = |below: &'h str| Some(below).filter(|label| !label.is_empty() && !label.contains('.'));
        match self {
            Self::Host(own) => (own == host).then(|| host.strip_suffix(".monday.com").and_then(label)),
            Self::Port(_) => None,
            Self::Below(suffix) => host.strip_suffix(suffix.as_str()).filter(|below| !below.is_empty()).map(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn default() -> Vec<BackTo> {
        vec![BackTo::Below(".monday.com".to_owned())]
    }

    /// URLs that must be refused, whoever signed them: O1 and O2.
    const REFUSED: &[&str] = &[
        "",
        " ",
        "/",
        "//",
        "///",
        "/\\evil.com",
        "/\t/evil.com",
        "\\\\evil.com",
        "//evil.com",
        "///evil.com",
        "////evil.com",
        "https:",
        "https:/",
        "https://",
        "https:///",
        "https:evil.com",
        "https:/evil.com",
        "https:myaccount.monday.com",
        "https:/myaccount.monday.com",
        "https:///myaccount.monday.com",
        "https:////myaccount.monday.com/",
        "https:\\\\myaccount.monday.com",
        "https:/\\myaccount.monday.com",
        "https://\\myaccount.monday.com",
        "https://evil.com",
        "https://evil.com/https://myaccount.monday.com",
        "https://evil.com?https://myaccount.monday.com",
        "https://evil.com#https://myaccount.monday.com",
        "https://evil.com#.monday.com",
        "https://evil.com?.monday.com",
        "https://evil.com/.monday.com",
        "https://evil.com;.monday.com",
        "https://evil.com%2f.monday.com",
        "https://evil.com%5c.monday.com",
        "https://evil.com%00.monday.com",
        "https://evil.com%23.monday.com",
        "https://evil.com%3f.monday.com",
        "https://evil.com%40.monday.com",
        "https://evil.com\\.monday.com",
        "https://evil.com\\@myaccount.monday.com",
        "https://evil.com\t.monday.com",
        "https://evil.com\n.monday.com",
        "https://evil.com\r\n.monday.com",
        "https://evil.com\0.monday.com",
        "https://evil.com .monday.com",
        "https://evil.com:443#.monday.com",
        "https://evil.com:443?.monday.com",
        "https://evil.com:443\\.monday.com",
        "https://evilmonday.com",
        "https://evil-monday.com",
        "https://monday.com.evil.com",
        "https://myaccount.monday.com.evil.com",
        "https://myaccount.monday.comevil.com",
        "https://myaccount.monday.com-evil.com",
        "https://myaccount.monday.com.",
        "https://myaccount.monday.com./boards",
        "https://myaccount.monday.com..",
        "https://.monday.com",
        "https://..monday.com",
        "https://monday.com",
        "https://monday.com:443@evil.com",
        "https://myaccount.monday.com@evil.com",
        "https://myaccount.monday.com:443@evil.com/",
        "https://myaccount.monday.com%40evil.com",
        "https://myaccount.monday.com%2f@evil.com",
        "https://myaccount.monday.com&@evil.com",
        "https://myaccount.monday.com#@evil.com@evil.com\\",
        "https://evil.com@myaccount.monday.com",
        "https://user@myaccount.monday.com",
        "https://user:pass@myaccount.monday.com",
        "https://:@myaccount.monday.com",
        "https://@myaccount.monday.com",
        "https://:pass@myaccount.monday.com",
        "https://myaccount.monday.com:8443",
        "https://myaccount.monday.com:80",
        "https://myaccount.monday.com:",
        "https://myaccount.monday.com:0443",
        "https://myaccount.monday.com:+443",
        "https://myaccount.monday.com:443:443",
        "https://myaccount.monday.com:65979",
        "http://myaccount.monday.com",
        "HTTP://myaccount.monday.com",
        "ftp://myaccount.monday.com",
        "ws://myaccount.monday.com",
        "wss://myaccount.monday.com",
        "file://myaccount.monday.com",
        "javascript:alert(1)",
        "javascript://myaccount.monday.com/%0aalert(1)",
        "JaVaScRiPt:alert(1)//https://myaccount.monday.com",
        "data:text/html,<script>alert(1)</script>",
        "data://myaccount.monday.com/,x",
        "vbscript:msgbox(1)",
        "blob:https://myaccount.monday.com/1",
        "view-source:https://myaccount.monday.com",
        "about:blank",
        "mailto:a@myaccount.monday.com",
        "x-https://myaccount.monday.com",
        "ahttps://myaccount.monday.com",
        " https://myaccount.monday.com",
        "https://myaccount.monday.com ",
        "\thttps://myaccount.monday.com",
        "\u{1}https://myaccount.monday.com",
        "ht\ttps://myaccount.monday.com",
        "https\n://myaccount.monday.com",
        "https://my\taccount.monday.com",
        "https://myaccount.monday.com/\r\nSet-Cookie: a=b",
        "https://myaccount.monday.com/\n",
        "https://myaccount.monday.com/\0",
        "https://myaccount.monday.com/\u{7f}",
        "https://myaccount.monday.com/ö",
        "https://myaccount.monday.com\\",
        "https://myaccount.monday.com\\@evil.com",
        "https://myaccount.monday.com\\.evil.com",
        "https://myaccount.monday.com/\\evil.com",
        "https://myaccount.monday.com\u{3002}evil.com",
        "https://myaccount\u{3002}monday.com",
        "https://myaccount.mond\u{ad}ay.com",
        "https://myaccount.mon\u{200b}day.com",
        "https://myaccount.\u{ff4d}onday.com",
        "https://myaccount.m\u{43e}nday.com",
        "https://evil\u{ff0f}.monday.com",
        "https://evil.com\u{2044}.monday.com",
        "https://evil.com\u{ff03}.monday.com",
        "https://xn--mnday-jua.com",
        "https://myaccount.xn--monday-.com",
        "https://xn--myaccount-.monday.com",
        "https://xn--.monday.com",
        "https://xn--a.monday.com",
        "https://my%61ccount.monday.com",
        "https://myaccount%2emonday.com",
        "https://myaccount.monday%2ecom",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[myaccount.monday.com]",
        "https://localhost",
        "https://myaccount.monday.com<evil.com",
        "https://myaccount.monday.com>evil.com",
        "https://myaccount.monday.com^evil.com",
        "https://myaccount.monday.com|evil.com",
        "https://myaccount.monday.com`evil.com",
        "https://{myaccount}.monday.com",
        "https://my account.monday.com",
        "https://myaccount.monday.com,evil.com",
        "https://myaccount.monday.com;evil.com",
        "https://myaccount.monday.com'evil.com",
        "https://myaccount.monday.com\"evil.com",
        "https://myaccount.monday.com!evil.com",
        "https://myaccount.monday.com*evil.com",
        "https://myaccount.monday.com(evil.com)",
        "https://myaccount.monday.com+evil.com",
        "https://myaccount.monday.com=evil.com",
        "https://myaccount.monday.com~evil.com",
        "https://myaccount.monday.com$evil.com",
        "https://*.monday.com@evil.com",
        "https://myaccount.monday.co",
        "https://myaccount.monday.com.au",
        "https://myaccount.mondayxcom",
        "https://mondaycom",
        "https://com",
        "https://monday.com.",
        "https://evil.com/..//myaccount.monday.com",
        "https://evil.com/%2e%2e/myaccount.monday.com",
        "//myaccount.monday.com",
        "//myaccount.monday.com:443@evil.com",
        "://myaccount.monday.com",
        "myaccount.monday.com",
        "https//myaccount.monday.com",
        "https:\\/myaccount.monday.com",
        "https://https://myaccount.monday.com",
        "https://https:myaccount.monday.com",
        "%68ttps://myaccount.monday.com",
        "https%3a//myaccount.monday.com",
        "https://google.com/url?q=https://myaccount.monday.com",
    ];

    /// Where monday really sends people: R22 asks for twenty.
    const ACCEPTED: &[&str] = &[
        "https://myaccount.monday.com/boards/1111/app_automations/2222",
        "https://myaccount.monday.com/boards/1111/app_automations/2222?nodeId=2&fieldKey=account",
        "https://myaccount.monday.com",
        "https://myaccount.monday.com/",
        "https://myaccount.monday.com:443/boards/1",
        "https://MyAccount.Monday.com/boards/1",
        "HTTPS://myaccount.monday.com/boards/1",
        "https://my-account.monday.com/boards/1",
        "https://123.monday.com/boards/1",
        "https://a.b.monday.com/boards/1",
        "https://auth.monday.com/",
        "https://view.monday.com/1-2?r=use1",
        "https://myaccount.monday.com/boards/1#fragment",
        "https://myaccount.monday.com/?q=a%20b",
        "https://myaccount.monday.com/?next=https://evil.com/",
        "https://myaccount.monday.com/@evil.com",
        "https://myaccount.monday.com/a//b",
        "https://myaccount.monday.com/%0d%0aSet-Cookie:a",
        "https://myaccount.monday.com/%E2%9C%93",
        "https://myaccount.monday.com/a/../boards/1",
        "https://myaccount.monday.com/a?b#c?d",
        "https://myaccount.monday.com?x=1",
        "https://myaccount.monday.com#x",
        "https://xn--bcher-kva.monday.com/",
    ];

    #[test]
    fn o1_o2_no_url_that_leads_elsewhere_or_can_be_read_in_two_ways_is_accepted() {
        for text in REFUSED {
            let judged = judge(text, &default());
            assert!(judged.is_err(), "{text:?} became {judged:?}");
        }
        println!("cases: {} (O1, O2)", REFUSED.len());
    }

    #[test]
    fn urls_that_monday_makes_are_accepted_and_stay_on_their_host() {
        for text in ACCEPTED {
            let destination = judge(text, &default()).unwrap_or_else(|why| panic!("{text}: {why}"));
            let again = Url::parse(destination.as_str()).unwrap();
            assert_eq!(again.as_str(), destination.as_str(), "written anew");
            assert!(again.host_str().unwrap().ends_with(".monday.com"), "{text}");
            assert!(destination.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        }
        assert!(ACCEPTED.len() >= 20);
        println!("cases: {} (R22, positive controls)", ACCEPTED.len());
    }

    #[test]
    fn each_refusal_says_which_rule_it_was() {
        let host = |text| judge(text, &default()).unwrap_err();
        assert_eq!(host("https://evilmonday.com"), Astray::Host);
        assert_eq!(host("http://a.monday.com"), Astray::Scheme);
        assert_eq!(host("https://a.monday.com:8443"), Astray::Authority);
        assert_eq!(host("https://u@a.monday.com"), Astray::Authority);
        assert_eq!(host("https://a.monday.com/\\"), Astray::Characters);
        let long = format!("https://a.monday.com/{}", "a".repeat(BACK_TO_BYTES));
        assert_eq!(host(&long), Astray::TooLong);
    }

    #[test]
    fn an_exact_host_allows_itself_and_nothing_below_it() {
        let only = [BackTo::Host("app.example.com".to_owned())];
        assert!(judge("https://app.example.com/x", &only).is_ok());
        for other in
            ["https://a.app.example.com", "https://example.com", "https://xapp.example.com", "https://a.monday.com"]
        {
            assert_eq!(judge(other, &only), Err(Astray::Host), "{other}");
        }
        assert_eq!(judge("https://a.monday.com", &[]), Err(Astray::Host));
    }

    #[test]
    fn a_host_with_a_port_allows_itself_to_the_letter_and_nothing_else() {
        let only = [BackTo::Port("127.0.0.1:8443".to_owned()), BackTo::Port("0x7f000001:8443".to_owned())];
        assert_eq!(judge("https://127.0.0.1:8443/x?y", &only).unwrap().as_str(), "https://127.0.0.1:8443/x?y");
        for other in [
            "http://127.0.0.1:8443",
            "https://127.0.0.1",
            "https://127.0.0.1:443",
            "https://127.0.0.1:8444",
            "https://127.0.0.1:08443",
            "https://127.1:8443",
            "https://2130706433:8443",
            "https://0x7f000001:8443",
            "https://u@127.0.0.1:8443",
            "https://127.0.0.1:8443@evil.com",
            "https://127.0.0.1:8443.evil.com",
            "https://a.127.0.0.1:8443",
            "https://evil.com:8443",
            "https://evil.com#127.0.0.1:8443",
        ] {
            assert!(judge(other, &only).is_err(), "{other}");
        }
        for text in REFUSED.iter().filter(|text| !text.contains("127.0.0.1")) {
            assert!(judge(text, &only).is_err(), "{text}");
        }
    }

    #[test]
    fn the_accounts_name_is_the_label_below_the_suffix() {
        let slug = |text| judge(text, &default()).unwrap().slug().map(str::to_owned);
        assert_eq!(slug("https://myaccount.monday.com/x").as_deref(), Some("myaccount"));
        assert_eq!(slug("https://a.b.monday.com/x"), None);
        let exact = [BackTo::Host("my.monday.com".to_owned()), BackTo::Host("app.example.com".to_owned())];
        assert_eq!(judge("https://my.monday.com", &exact).unwrap().slug(), Some("my"));
        assert_eq!(judge("https://app.example.com", &exact).unwrap().slug(), None);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_https_on_an_allowed_host_for_a_browser(
            text in r"[hH]ttps?[:/\\]{1,4}[a-zA-Z0-9.@:%#?/\\\t -]{0,30}(monday\.com)?[a-z.@:/?#%\\-]{0,20}"
        ) {
            if let Ok(destination) = judge(&text, &default()) {
                let url = Url::parse(destination.as_str()).unwrap();
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.host_str().unwrap().ends_with(".monday.com"));
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.port().is_none());
                prop_assert_eq!(Url::parse(&text).unwrap(), url);
            }
        }
    }
}
