//! Header names, and which of them nobody outside may set. `Removal` is built once per snapshot from the names that routes
//! inject; it judges each name of a request, an answer or a trailer section, in one pass over what came. Sets nothing, so what
//! the gateway sets afterwards cannot be nominated away by `Connection`. RFC 9110, section 7.6.1.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

/// `Expect`: the gateway itself answers it, with 100.
/// `Forwarded` (RFC 7239).
pub(crate) const FORWARDED: HeaderName = header::FORWARDED;
/// `HTTP2-Settings` (RFC 7540, section 3.2.1; gone with RFC 9113).
pub(crate) const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// `Keep-Alive`.
pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// `Proxy-Connection`.
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// `X-Forwarded-For`.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Request-Id`.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Monday-Account-Id`.
pub(crate) const X_MONDAY_ACCOUNT_ID: HeaderName = HeaderName::from_static("x-monday-account-id");
/// `X-Monday-Account-Slug`.
pub(crate) const X_MONDAY_ACCOUNT_SLUG: HeaderName = HeaderName::from_static("x-monday-account-slug");
/// `X-Monday-Api-Key`.
pub(crate) const X_MONDAY_API_KEY: HeaderName = HeaderName::from_static("x-monday-api-key");
/// `X-Monday-App`.
pub(crate) const X_MONDAY_APP: HeaderName = HeaderName::from_static("x-monday-app");
/// `X-Monday-App-Id`.
pub(crate) const X_MONDAY_APP_ID: HeaderName = HeaderName::from_static("x-monday-app-id");
/// `X-Monday-Back-To-Url`.
pub(crate) const X_MONDAY_BACK_TO_URL: HeaderName = HeaderName::from_static("x-monday-back-to-url");
/// `X-Monday-Claims`.
pub(crate) const X_MONDAY_CLAIMS: HeaderName = HeaderName::from_static("x-monday-claims");
/// `X-Monday-Grants`.
pub(crate) const X_MONDAY_GRANTS: HeaderName = HeaderName::from_static("x-monday-grants");
/// `X-Monday-Token-Rejected`, in a backend's answer.
pub(crate) const X_MONDAY_TOKEN_REJECTED: HeaderName = HeaderName::from_static("x-monday-token-rejected");
/// `X-Monday-Install-Id`.
pub(crate) const X_MONDAY_INSTALL_ID: HeaderName = HeaderName::from_static("x-monday-install-id");
/// `X-Monday-Is-Admin`.
pub(crate) const X_MONDAY_IS_ADMIN: HeaderName = HeaderName::from_static("x-monday-is-admin");
/// `X-Monday-Is-Guest`.
pub(crate) const X_MONDAY_IS_GUEST: HeaderName = HeaderName::from_static("x-monday-is-guest");
/// `X-Monday-Is-View-Only`.
pub(crate) const X_MONDAY_IS_VIEW_ONLY: HeaderName = HeaderName::from_static("x-monday-is-view-only");
/// `X-Monday-Kind`.
pub(crate) const X_MONDAY_KIND: HeaderName = HeaderName::from_static("x-monday-kind");
/// `X-Monday-User-Id`.
pub(crate) const X_MONDAY_USER_ID: HeaderName = HeaderName::from_static("x-monday-user-id");
/// `X-Monday-User-Kind`.
pub(crate) const X_MONDAY_USER_KIND: HeaderName = HeaderName::from_static("x-monday-user-kind");

/// Injected headers whose value can be missing or not fit, as metrics number them. Those of `inject.headers` count as odd.
pub(crate) const OMITTABLE: [&str; 8] = [
    "x-monday-api-key",
    "x-monday-back-to-url",
    "x-monday-user-kind",
    "x-monday-account-slug",
    "x-monday-claims",
    "x-monday-account-id",
    "x-monday-user-id",
    "x-monday-access-token",
];

/// A header's place in [`OMITTABLE`].
pub(crate) fn omittable_index(name: &HeaderName) -> Option<usize> {
    OMITTABLE.iter().position(|known| *known == name.as_str())
}

/// What becomes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on.
    Keep,
    /// It does not: only the gateway sets it, or it is for one hop.
    Remove,
    /// It does not, unless a trusted proxy sent it.
    RemoveUnlessTrusted,
    /// It does not, and is counted: a backend may read one of its characters as `-`.
    RemoveCounted,
}

/// Whose fields are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A caller, or a proxy that nobody vouches for.
    Untrusted,
    /// One of `trusted_proxies`.
    TrustedProxy,
}

/// How many names were taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Names with a character outside `[A-Za-z0-9-]`.
    pub(crate) odd: usize,
    /// All others.
    pub(crate) other: usize,
}

/// The names that nobody outside may set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    /// What any route injects, without those that are covered anyway; sorted.
    injected: Vec<HeaderName>,
    /// Bit n is set if one of them has n bytes (bit 63: or more), so that most names are not compared at all.
    lengths: u64,
}

impl Removal {
    /// For a configuration whose routes inject these.
    pub(crate) fn new(injected: impl IntoIterator<Item = HeaderName>) -> Self {
        let plain = Self::default();
        let mut injected: Vec<HeaderName> =
            injected.into_iter().filter(|name| plain.judge(name) != Fate::Remove).collect();
        injected.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        injected.dedup();
        let lengths = injected.iter().fold(0, |lengths, name| lengths | length_bit(name));
        Self { injected, lengths }
    }

    /// What becomes of a header of this name. The name is in lower case: every `HeaderName` is.
    pub(crate) fn judge(&self, name: &HeaderName) -> Fate {
        let text = name.as_str();
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Fate::RemoveCounted;
        }
        if self.is_injected(name) {
            return Fate::Remove;
        }
        match text.as_bytes() {
            [b'x', b'-', rest @ ..] => judge_x(rest),
            b"forwarded" => Fate::RemoveUnlessTrusted,
            b"connection"
            | b"expect"
            | b"http2-settings"
            | b"keep-alive"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
            | [b'p', b'r', b'o', b'x', b'y', b'-', ..] => Fate::Remove,
            _ => Fate::Keep,
        }
    }

    /// Whether a route injects it.
    fn is_injected(&self, name: &HeaderName) -> bool {
        self.lengths & length_bit(name) != 0
            && self.injected.binary_search_by(|other| other.as_str().cmp(name.as_str())).is_ok()
    }
}

/// The bit of `Removal::lengths` that stands for this name's length.
fn length_bit(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

/// What becomes of `X-` and this.
fn judge_x(rest: &[u8]) -> Fate {
    match rest {
        b"monday"
        | [b'm', b'o', b'n', b'd', b'a', b'y', b'-', ..]
        | b"original-url"
        | b"rewrite-url"
        | b"http-method"
        | b"http-method-override"
        | b"method-override" => Fate::Remove,
        b"forwarded"
        | [b'f', b'o', b'r', b'w', b'a', b'r', b'd', b'e', b'd', b'-', ..]
        | b"real-ip"
        | b"request-id" => Fate::RemoveUnlessTrusted,
        _ => Fate::Keep,
    }
}

/// Takes out of a request what its sender may not set and what was for this hop only. Verify first: `Authorization` may be
/// nominated by `Connection`, too.
pub(crate) fn strip_request(fields: &mut HeaderMap, removal: &Removal, sender: Sender) -> Removed {
    strip(fields, |name| match removal.judge(name) {
        Fate::RemoveUnlessTrusted if sender == Sender::TrustedProxy => Fate::Keep,
        fate => fate,
    })
}

/// Takes the same out of a backend's answer. An `X-Request-Id` stays: it is an answer's to echo.
pub(crate) fn strip_response(fields: &mut HeaderMap, removal: &Removal) -> Removed {
    strip(fields, |name| if *name == X_REQUEST_ID { Fate::Keep } else { removal.judge(name) })
}

/// Takes the same out of trailers, and whatever a recipient could merge into a head to change who asks or where a message
/// ends (RFC 9110, section 6.5.1).
pub(crate) fn strip_trailers(fields: &mut HeaderMap, removal: &Removal) -> Removed {
    strip(fields, |name| if is_for_heads(name) { Fate::Remove } else { removal.judge(name) })
}

/// The names of a `Trailer` field that may go on: hyper sends only trailers that are announced.
pub(crate) fn announced(names: &HeaderValue, removal: &Removal) -> Option<HeaderValue> {
    let keep = |name: &&str| {
        HeaderName::from_bytes(name.as_bytes())
            .is_ok_and(|name| !is_for_heads(&name) && removal.judge(&name) == Fate::Keep)
    };
    let kept: Vec<&str> = names.to_str().ok()?.split(',').map(str::trim).filter(keep).collect();
    if kept.is_empty() { None } else { HeaderValue::try_from(kept.join(", ")).ok() }
}

/// What a recipient could merge from trailers into a head to change who asks or where a message ends.
fn is_for_heads(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::AUTHORIZATION
            | header::COOKIE
            | header::SET_COOKIE
            | header::HOST
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::CONTENT_RANGE
    )
}

/// One pass over the names, another over those that have to go.
fn strip(fields: &mut HeaderMap, judge: impl Fn(&HeaderName) -> Fate) -> Removed {
    let mut removed = Removed::default();
    let mut doomed: SmallVec<[HeaderName; 8]> = nominated(fields);
    for name in fields.keys() {
        match judge(name) {
            Fate::Keep => continue,
            Fate::Remove | Fate::RemoveUnlessTrusted => removed.other += 1,
            Fate::RemoveCounted => removed.odd += 1,
        }
        doomed.push(name.clone());
    }
    for name in doomed {
        fields.remove(name);
    }
    removed
}

/// What `Connection` names beside its own options. `Host` and the length stay: they are for every hop.
fn nominated(fields: &HeaderMap) -> SmallVec<[HeaderName; 8]> {
    let mut names = SmallVec::new();
    let options =
        fields.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    for option in options {
        let option = option.trim_ascii();
        let known =
            [&b"close"[..], b"keep-alive", b"upgrade", b""].iter().any(|known| option.eq_ignore_ascii_case(known));
        if known {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(option)
            && name != header::HOST
            && name != header::CONTENT_LENGTH
            && fields.contains_key(&name)
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Every name that the gateway sets and a backend trusts.
    const TRUSTED: &[&str] = &[
        "x-monday-app",
        "x-monday-kind",
        "x-monday-account-id",
        "x-monday-user-id",
        "x-monday-api-key",
        "x-monday-access-token",
        "x-monday-grants",
        "x-monday-back-to-url",
        "x-monday-claims",
        "x-monday-is-admin",
        "x-monday-is-guest",
        "x-monday-is-view-only",
        "x-monday-user-kind",
        "x-monday-account-slug",
        "x-monday-app-id",
        "x-monday-install-id",
        "x-github-access-token",
        "x-tenant",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "x-request-id",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    ];

    fn removal() -> Removal {
        Removal::new([HeaderName::from_static("x-github-access-token"), HeaderName::from_static("x-tenant")])
    }

    /// The name with each `-` replaced by each of `-`, `_`, `.` and others, in several cases and with odd ends; and with each
    /// odd character at each place.
    fn variants(name: &str) -> Vec<String> {
        let mut variants = Vec::new();
        let odd = "!#$%&'*+._`|~".chars();
        let places = odd.flat_map(|odd| (0..=name.len()).map(move |at| (odd, name.split_at(at))));
        variants.extend(places.flat_map(|(odd, (before, after))| {
            let spelled = format!("{before}{odd}{after}");
            [spelled.to_uppercase(), spelled]
        }));
        let cases = 0..1_u64 << name.len().min(9);
        variants.extend(cases.map(|mask| {
            let cased = |(at, letter): (usize, char)| {
                if mask >> at.min(63) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
            };
            name.char_indices().map(cased).collect::<String>()
        }));
        let dashes = u32::try_from(name.matches('-').count()).unwrap();
        for mix in 0..5_u32.pow(dashes) {
            let spelled = spell(name, mix);
            let mixed: String = spelled
                .char_indices()
                .map(|(at, letter)| if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter })
                .collect();
            for end in ["", "_", ".", "'"] {
                variants.extend([
                    format!("{spelled}{end}"),
                    format!("{}{end}", spelled.to_uppercase()),
                    format!("{mixed}{end}"),
                ]);
            }
            variants.extend([format!("_{spelled}"), format!(".{spelled}")]);
        }
        variants
    }

    /// The name with its n-th `-` replaced by what the n-th digit of `mix` to the base 5 says.
    fn spell(name: &str, mut mix: u32) -> String {
        let mut spelled = String::new();
        for letter in name.chars() {
            if letter != '-' {
                spelled.push(letter);
                continue;
            }
            spelled.push(['-', '_', '.', '~', '\''][usize::try_from(mix % 5).unwrap()]);
            mix /= 5;
        }
        spelled
    }

    /// The request's names that are left when `spelled` is sent around `name`.
    fn left(spelled: &str, name: &str, removal: &Removal) -> Vec<String> {
        let mut fields = HeaderMap::new();
        for name in [spelled, name, spelled] {
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("spoofed"));
        }
        fields.insert("accept", HeaderValue::from_static("kept"));
        strip_request(&mut fields, removal, Sender::Untrusted);
        fields.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn no_spelling_of_a_trusted_header_survives() {
        let removal = removal();
        for name in TRUSTED {
            let variants = variants(name);
            assert!(variants.len() >= 500, "only {} variants of {name}", variants.len());
            for spelled in variants {
                assert_eq!(left(&spelled, name, &removal), ["accept"], "{spelled}");
            }
        }
    }

    #[test]
    fn a_header_spelled_with_underscores_is_removed_and_counted() {
        let mut fields = HeaderMap::new();
        fields.append("x_monday_user_id", HeaderValue::from_static("1"));
        fields.append("my.own", HeaderValue::from_static("1"));
        fields.append("x-monday-user-id", HeaderValue::from_static("1"));
        assert_eq!(strip_request(&mut fields, &removal(), Sender::Untrusted), Removed { odd: 2, other: 1 });
        assert!(fields.is_empty());
    }

    #[test]
    fn a_trusted_proxy_may_say_who_the_client_is_and_nothing_else() {
        let mut fields = HeaderMap::new();
        for name in TRUSTED {
            fields.append(*name, HeaderValue::from_static("1"));
        }
        strip_request(&mut fields, &removal(), Sender::TrustedProxy);
        let mut kept: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(
            kept,
            ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"]
        );
    }

    #[test]
    fn what_is_for_one_hop_goes_no_further() {
        let mut fields = HeaderMap::new();
        for name in [
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "proxy-authenticate",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "expect",
            "x-nominated",
            "x-also",
            "host",
            "content-length",
            "authorization",
            "cookie",
            "accept",
        ] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        fields.append("connection", HeaderValue::from_static("close, X-Nominated ,, host,content-length, \"odd\""));
        fields.append("connection", HeaderValue::from_static("x-also, x-absent"));
        strip_request(&mut fields, &removal(), Sender::Untrusted);
        let mut kept: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["accept", "authorization", "content-length", "cookie", "host"]);
    }

    #[test]
    fn a_backend_cannot_answer_with_the_gateways_names() {
        let mut fields = HeaderMap::new();
        for name in [
            "x-monday-user-id",
            "x-tenant",
            "x_tenant",
            "x-forwarded-for",
            "connection",
            "x-request-id",
            "set-cookie",
            "content-type",
        ] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        assert_eq!(strip_response(&mut fields, &removal()), Removed { odd: 1, other: 4 });
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn trailers_carry_neither_identity_nor_framing() {
        let mut fields = HeaderMap::new();
        for name in [
            "x-monday-user-id",
            "x-tenant",
            "authorization",
            "cookie",
            "host",
            "content-length",
            "transfer-encoding",
            "x_odd",
            "digest",
        ] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        strip_trailers(&mut fields, &removal());
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["digest"]);
    }

    #[test]
    fn ordinary_headers_pass() {
        for name in [
            "accept",
            "authorization",
            "content-type",
            "user-agent",
            "x-tenants",
            "x-mondays",
            "x-custom",
            "sec-websocket-key",
            "origin",
            "x-forwardedfor",
            "proxy",
            "tea",
            "x-tenan",
        ] {
            assert_eq!(removal().judge(&HeaderName::from_static(name)), Fate::Keep, "{name}");
        }
    }
}
