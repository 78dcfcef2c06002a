//! The two cookies of the flow. The browser's own says nothing but that it is the same browser, and every row of the flow has its hash. The
//! identity says who is in this browser, for an hour, as monday.com or the user has said it; it is sealed, and good only beside that
//! browser's own. RFC 6265bis, sections 4.1.3.2 (`__Host-`) and 5.6.7 (`SameSite=Lax`, which callbacks need).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::authorize::opaque::{Hash, NoRandomness, Opaque};
use crate::config::resolved::PublicUrl;
use crate::limits::IDENTITY_LIFETIME;
use crate::seal::KeyRing;

/// Bytes of a sealed identity that are looked at at all.
const IDENTITY_BYTES: usize = 1024;

/// Makes and reads cookies.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    ring: KeyRing,
    /// `__Host-`, or nothing where there is no TLS.
    prefix: &'static str,
    attributes: &'static str,
}

/// Who is in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// monday's account id.
    pub(crate) account: i64,
    /// monday's user id.
    pub(crate) user: i64,
    /// What monday's `me` said; nobody is an admin by a page's word.
    pub(crate) standing: Rank,
    /// Unix seconds at which it is believed no more.
    until: i64,
    /// New each time: nobody signs in to a session that was there before.
    session: String,
}

/// What a user may do for the whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rank {
    /// monday calls them an admin.
    Admin,
    /// monday calls them neither admin nor guest.
    Member,
    /// monday calls them a guest, or nobody has asked monday.
    Guest,
}

impl Cookies {
    /// For a gateway that is reached at this URL, with a ring of its own purpose.
    pub(crate) fn new(ring: &KeyRing, public: Option<&PublicUrl>) -> Self {
        let plain = public.is_some_and(|url| url.scheme == "http" && is_loopback(&url.host));
        Self {
            ring: ring.for_purpose("authorize identity cookie"),
            prefix: if plain { "" } else { "__Host-" },
            attributes: if plain {
                "; Path=/; HttpOnly; SameSite=Lax"
            } else {
                "; Path=/; Secure; HttpOnly; SameSite=Lax"
            },
        }
    }

    /// The browser's own, if it has one.
    pub(crate) fn browser(&self, fields: &[String]) -> Option<Opaque> {
        Opaque::parse(value(fields, &self.browser_name())?)
    }

    /// A new one, and the field that sets it.
    pub(crate) fn new_browser(&self) -> Result<(Opaque, Option<HeaderValue>), NoRandomness> {
        let browser = Opaque::fresh()?;
        let field = HeaderValue::try_from(format!("{}={}{}", self.browser_name(), browser.as_str(), self.attributes));
        Ok((browser, field.ok()))
    }

    /// Who is in this browser, for this app; none if nobody has said so within the hour.
    pub(crate) fn identity(&self, fields: &[String], app: &str, browser: &Hash, now: i64) -> Option<Identity> {
        let text = value(fields, &self.identity_name(app)).filter(|text| text.len() <= IDENTITY_BYTES)?;
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let opened = self.ring.open(&[b"identity", app.as_bytes(), browser.as_str().as_bytes()], &sealed).ok()?;
        let identity: Identity = serde_json::from_slice(&opened.plain).ok()?;
        (now < identity.until).then_some(identity)
    }

    /// The field that says who is in this browser. Replaces whoever was.
    pub(crate) fn identify(
        &self,
        (app, browser): (&str, &Hash),
        (account, user, standing): (i64, i64, Rank),
        now: i64,
    ) -> Option<HeaderValue> {
        let lifetime = IDENTITY_LIFETIME.as_secs();
        let until = now.saturating_add(i64::try_from(lifetime).ok()?);
        let session = Opaque::fresh().ok()?.as_str().to_owned();
        let plain = serde_json::to_vec(&Identity { account, user, standing, until, session }).ok()?;
        let sealed = self.ring.seal(&[b"identity", app.as_bytes(), browser.as_str().as_bytes()], &plain).ok()?;
        let name = self.identity_name(app);
        let text = URL_SAFE_NO_PAD.encode(sealed);
        let mut field = HeaderValue::try_from(format!("{name}={text}{}; Max-Age={lifetime}", self.attributes)).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    fn browser_name(&self) -> String {
        format!("{}gateway-browser", self.prefix)
    }

    /// An app's name has only characters that a cookie's may have.
    fn identity_name(&self, app: &str) -> String {
        format!("{}gateway-identity-{app}", self.prefix)
    }
}

impl Identity {
    /// Whether it is this user.
    pub(crate) fn is(&self, account: i64, user: i64) -> bool {
        self.account == account && self.user == user
    }
}

/// A host that no other machine can be.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The value of the one cookie of that name. Two of them are none: one was set by somebody else.
fn value<'f>(fields: &'f [String], name: &str) -> Option<&'f str> {
    let mut found = None;
    for pair in fields.iter().flat_map(|field| field.split(';')) {
        let Some((known, value)) = pair.trim_matches([' ', '\t']).split_once('=') else { continue };
        if known == name && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn url(scheme: &str, host: &str) -> PublicUrl {
        PublicUrl { scheme: scheme.to_owned(), host: host.to_owned(), port: 443, path: String::new() }
    }

    fn ring(seed: u8) -> KeyRing {
        KeyRing::new(&[Secret::new([seed; 32])]).unwrap()
    }

    fn cookies() -> Cookies {
        Cookies::new(&ring(1), Some(&url("https", "gw.example.com")))
    }

    /// What a browser would send back of a `Set-Cookie`.
    fn sent(field: &HeaderValue) -> Vec<String> {
        vec![field.to_str().unwrap().split(';').next().unwrap().to_owned()]
    }

    #[test]
    fn cookies_are_host_bound_secure_and_lax_and_without_the_prefix_only_over_http_to_loopback() {
        for (public, is_bound) in [
            (url("https", "gw.example.com"), true),
            (url("https", "localhost"), true),
            (url("http", "gw.example.com"), true),
            (url("http", "localhost.evil.com"), true),
            (url("http", "127.0.0.1"), false),
            (url("http", "localhost"), false),
            (url("http", "[::1]"), false),
        ] {
            let cookies = Cookies::new(&ring(1), Some(&public));
            let browser = cookies.new_browser().unwrap();
            let identity = cookies.identify(("a", &browser.0.hash()), (1, 2, Rank::Admin), 100).unwrap();
            for field in [browser.1.unwrap(), identity] {
                let field = field.to_str().unwrap().to_owned();
                assert_eq!(field.starts_with("__Host-") && field.contains("; Secure"), is_bound, "{public:?}");
                assert!(
                    field.contains("; HttpOnly; SameSite=Lax")
                        && field.contains("; Path=/")
                        && !field.contains("Domain")
                );
            }
        }
    }

    #[test]
    fn an_identity_is_believed_for_an_hour_in_its_browser_for_its_app_and_under_keys_that_are_known() {
        let cookies = cookies();
        let (browser, other) = (Opaque::fresh().unwrap().hash(), Opaque::fresh().unwrap().hash());
        let field = cookies.identify(("planner", &browser), (1, 2, Rank::Member), 1000).unwrap();
        let sent = sent(&field);
        let identity = cookies.identity(&sent, "planner", &browser, 1000).unwrap();
        assert!(identity.is(1, 2) && !identity.is(2, 1) && identity.standing == Rank::Member);
        assert!(cookies.identity(&sent, "planner", &browser, 1000 + 3599).is_some());
        assert!(cookies.identity(&sent, "planner", &browser, 1000 + 3600).is_none(), "the hour is over");
        assert!(cookies.identity(&sent, "planner", &other, 1000).is_none(), "another browser");
        let renamed = vec![sent[0].replace("identity-planner", "identity-other")];
        assert!(cookies.identity(&renamed, "other", &browser, 1000).is_none(), "another app");
        let strange = Cookies::new(&ring(2), Some(&url("https", "gw.example.com")));
        assert!(strange.identity(&sent, "planner", &browser, 1000).is_none(), "a key that is gone");
        let rotated = KeyRing::new(&[Secret::new([2; 32]), Secret::new([1; 32])]).unwrap();
        let rotated = Cookies::new(&rotated, Some(&url("https", "gw.example.com")));
        assert!(rotated.identity(&sent, "planner", &browser, 1000).is_some(), "a key that was rotated");
    }

    #[test]
    fn o7_each_sign_in_makes_a_new_session() {
        let cookies = cookies();
        let browser = Opaque::fresh().unwrap().hash();
        let fields: Vec<_> =
            (0..2).map(|_| cookies.identify(("a", &browser), (1, 2, Rank::Member), 1000).unwrap()).collect();
        let sessions = fields.iter().map(|field| cookies.identity(&sent(field), "a", &browser, 1000).unwrap().session);
        let sessions: Vec<String> = sessions.collect();
        assert_ne!(sessions[0], sessions[1]);
    }

    #[test]
    fn a_cookie_that_came_twice_is_none() {
        let cookies = cookies();
        let (browser, field) = cookies.new_browser().unwrap();
        let one = sent(&field.unwrap());
        assert_eq!(cookies.browser(&one), Some(browser));
        let twice = vec![format!("{0}; {0}", one[0])];
        assert_eq!(cookies.browser(&twice), None);
        assert_eq!(cookies.browser(&[one[0].clone(), one[0].clone()]), None);
        for other in ["", "=", "gateway-browser", "__Host-gateway-browser=", "__host-gateway-browser=x", ";;;=;"] {
            assert_eq!(cookies.browser(&[other.to_owned()]), None, "{other}");
        }
    }

    #[test]
    fn no_changed_byte_of_a_sealed_identity_is_accepted() {
        let cookies = cookies();
        let browser = Opaque::fresh().unwrap().hash();
        let field = cookies.identify(("a", &browser), (1, 2, Rank::Guest), 1000).unwrap();
        let whole = sent(&field).remove(0);
        let (name, text) = whole.split_once('=').unwrap();
        let mut cases = 0;
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(cookies.identity(&[format!("{name}={changed}")], "a", &browser, 1000).is_none(), "{at}");
            cases += 1;
        }
        println!("cases: {cases}");
    }

    proptest! {
        #[test]
        fn no_cookie_field_is_an_identity_that_was_not_sealed_here(text in "(__Host-)?gateway-(browser|identity-a)=[A-Za-z0-9_=;. -]{0,400}|.{0,200}") {
            let cookies = cookies();
            let browser = Opaque::fresh().unwrap().hash();
            prop_assert_eq!(cookies.identity(std::slice::from_ref(&text), "a", &browser, 0), None);
            if let Some(own) = cookies.browser(std::slice::from_ref(&text)) {
                prop_assert!(text.contains(own.as_str()));
            }
        }
    }
}
