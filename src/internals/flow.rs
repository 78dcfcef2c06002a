//! Doors for `fuzz/` to what the Authorization URL reads from outside: `backToUrl`, callbacks, cookies, forms. Holds no logic.

use std::sync::LazyLock;

use crate::authorize::back_to::judge;
use crate::authorize::cookies::Cookies;
use crate::authorize::forms::Fields;
use crate::authorize::opaque::Opaque;
use crate::authorize::state::State;
use crate::config::resolved::grants::BackTo;
use crate::oauth::callback;
use crate::seal::KeyRing;
use crate::secret::Secret;

/// Where a `backToUrl` leads, if hosts below monday.com are allowed and it is.
pub fn back_to(text: &str) -> Option<String> {
    judge(text, &[BackTo::Below(".monday.com".to_owned())]).ok().map(|destination| destination.as_str().to_owned())
}

/// The state of a callback's query, if both have their forms.
pub fn callback_state(query: &str) -> Option<String> {
    State::parse(&callback::parse(query).ok()?.state).map(|state| state.text())
}

/// The browser's own value in a `Cookie` field, if it has one.
pub fn browser_cookie(field: &str) -> Option<String> {
    COOKIES.as_ref()?.browser(&[field.to_owned()]).map(|browser| browser.as_str().to_owned())
}

/// Whether a `Cookie` field says who is in a browser. Nobody has sealed one.
pub fn is_identified(field: &str) -> bool {
    let Some(browser) = Opaque::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") else { return true };
    let cookies = COOKIES.as_ref();
    cookies.is_none_or(|cookies| cookies.identity(&[field.to_owned()], "planner", &browser.hash(), 0).is_some())
}

/// A field of a form that was sent, if the form can be read in one way only.
pub fn form_field(body: &[u8], name: &str) -> Option<String> {
    Fields::read(body).map(|fields| fields.value(name).to_owned())
}

static COOKIES: LazyLock<Option<Cookies>> = LazyLock::new(|| {
    let ring = KeyRing::new(&[Secret::new([7; 32])]).ok()?;
    Some(Cookies::new(&ring, None))
});
