//! What proves that a form was sent from a page that the gateway showed to this user in this browser: where the request comes from, and a
//! sealed value that the page had. Fetch Metadata, section 2; OWASP's "Cross-Site Request Forgery Prevention".

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::authorize::door::Visit;
use crate::authorize::opaque::Hash;
use crate::config::resolved::PublicUrl;
use crate::limits::FORM_LIFETIME;
use crate::seal::KeyRing;

/// Makes and checks the values that forms carry.
#[derive(Clone, Debug)]
pub(crate) struct Forms {
    ring: KeyRing,
    origins: Vec<String>,
}

/// What a form's value is for, and whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose<'a> {
    /// `apps.NAME`.
    pub(crate) app: &'a str,
    /// What the form does.
    pub(crate) action: &'static str,
    /// In which browser.
    pub(crate) browser: &'a Hash,
    /// For which user: account and user id.
    pub(crate) who: (i64, i64),
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    until: i64,
}

/// The fields of a form that was sent; each once.
#[derive(Clone, Default)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Forms {
    /// For a gateway that is reached at these URLs, with a ring of its own purpose.
    pub(crate) fn new(ring: &KeyRing, public: &[PublicUrl]) -> Self {
        Self { ring: ring.for_purpose("authorize form"), origins: public.iter().map(PublicUrl::origin).collect() }
    }

    /// The value of a form's hidden field; empty if it cannot be sealed, which is then refused.
    pub(crate) fn seal(&self, purpose: Purpose<'_>, now: i64) -> String {
        let until = now.saturating_add(i64::try_from(FORM_LIFETIME.as_secs()).unwrap_or(0));
        let plain = serde_json::to_vec(&Sealed { until }).unwrap_or_default();
        let sealed = purpose.with_identity(|identity| self.ring.seal(identity, &plain));
        sealed.map_or_else(|_fault| String::new(), |sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Whether a form that came was the gateway's own.
    pub(crate) fn is_own(&self, visit: &Visit, purpose: Purpose<'_>, value: &str, now: i64) -> bool {
        let sealed = URL_SAFE_NO_PAD.decode(value).ok();
        let opened = sealed.and_then(|sealed| purpose.with_identity(|identity| self.ring.open(identity, &sealed)).ok());
        let sealed = opened.and_then(|opened| serde_json::from_slice::<Sealed>(&opened.plain).ok());
        self.is_from_here(visit) && sealed.is_some_and(|sealed| now < sealed.until)
    }

    /// A page without a referrer sends `Origin: null`, so that a browser's word on the site goes first; one that gives none has to name
    /// the origin.
    fn is_from_here(&self, visit: &Visit) -> bool {
        let origin = visit.origin.as_deref().filter(|origin| *origin != "null");
        let is_ours = origin.map(|origin| self.origins.iter().any(|own| own == origin));
        match visit.fetch_site.as_deref() {
            Some("same-origin") => is_ours.unwrap_or(true),
            Some(_) => false,
            None => is_ours.unwrap_or(false),
        }
    }
}

impl Purpose<'_> {
    /// The parts are told apart by the seal, whatever they contain.
    fn with_identity<T>(&self, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let Self { app, action, browser, who: (account, user) } = *self;
        let (account, user) = (account.to_be_bytes(), user.to_be_bytes());
        then(&[b"form", app.as_bytes(), action.as_bytes(), browser.as_str().as_bytes(), &account, &user])
    }
}

impl Fields {
    /// Reads a form; none if a field came twice.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// A field's value; empty if it is not there.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field's value, if it is there and not empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.value(name)).filter(|value| !value.is_empty())
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
