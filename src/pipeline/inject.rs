//! Decides what the backend is told: takes an admitted request, returns header changes. The caller's own copies are removed
//! by `forward` before these are set. A value that does not fit is left out and counted, never altered.
//! Knows no server and no connection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::config::resolved::{Authorization, InjectHeader, InjectValue, Piece};
use crate::headers;
use crate::issuers::claims::Issued;
use crate::jwt;
use crate::limits;
use crate::monday::claims::{Claims, Text};
use crate::pipeline::admit::Admitted;
use crate::pipeline::verify::{Caller, Said};
use crate::snapshot::Route;

/// What is set on a request before it goes out, after everything of the caller's that must not go on was removed.
#[derive(Debug)]
pub struct HeaderChanges {
    /// Set in this order; each replaces what the caller sent under that name.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// What becomes of `Authorization`.
    pub(crate) authorization: AuthorizationChange,
    /// Names whose value was missing or did not fit.
    pub(crate) omitted: SmallVec<[HeaderName; 2]>,
}

/// What becomes of `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationChange {
    /// As it came.
    Keep,
    /// None goes out.
    Remove,
    /// This one.
    Set(HeaderValue),
}

/// What signs for the backend, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resigning<'a> {
    /// The upstream's key.
    pub(crate) key: Option<&'a jwt::Key>,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// What the backend is told about an admitted request.
pub(crate) fn inject(admitted: &Admitted<'_>, resigning: Resigning<'_>) -> HeaderChanges {
    let mut changes = changes(admitted.routed().route(), admitted.caller(), resigning);
    if let Some(granted) = admitted.granted() {
        changes.set.extend(granted.looked.headers.iter().cloned());
        changes.omitted.extend(granted.looked.omitted.iter().cloned());
    }
    changes
}

/// What a route's backend is told about a caller.
pub(crate) fn changes(route: &Route, caller: &Caller, resigning: Resigning<'_>) -> HeaderChanges {
    let mut changes = HeaderChanges {
        set: Vec::with_capacity(16),
        authorization: authorization(route, caller, resigning),
        omitted: SmallVec::new(),
    };
    match caller.said() {
        Some(Said::Monday(claims)) => changes.identity(claims),
        Some(Said::Issuer(issued)) => changes.issued(issued),
        None => {}
    }
    if let Some(said) = caller.said() {
        changes.templates(route, said);
    }
    changes
}

fn authorization(route: &Route, caller: &Caller, resigning: Resigning<'_>) -> AuthorizationChange {
    let Some(said) = caller.said() else {
        // Nobody was verified: what the caller sent is the backend's to judge, unless the route says otherwise.
        return match route.authorization {
            Authorization::Keep => AuthorizationChange::Keep,
            Authorization::Strip | Authorization::Resign => AuthorizationChange::Remove,
        };
    };
    let set = |token: String| {
        HeaderValue::try_from(token).map_or(AuthorizationChange::Remove, |mut value| {
            value.set_sensitive(true);
            AuthorizationChange::Set(value)
        })
    };
    match route.authorization {
        Authorization::Strip => AuthorizationChange::Remove,
        Authorization::Keep => caller.query_token().map_or(AuthorizationChange::Keep, |token| set(token.to_owned())),
        Authorization::Resign => {
            let signed = resigning.key.and_then(|key| resign(said, key, resigning.now));
            signed.map_or(AuthorizationChange::Remove, set)
        }
    }
}

/// The same claims under the upstream's key, issued now.
fn resign(said: Said<'_>, key: &jwt::Key, now: i64) -> Option<String> {
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(said.raw()).ok()?;
    let lifetime = i64::try_from(limits::RESIGNED_LIFETIME.as_secs()).ok()?;
    members.remove("nbf");
    members.insert("iat".to_owned(), now.into());
    members.insert("exp".to_owned(), (now + lifetime).into());
    Some(jwt::sign(key, &serde_json::to_vec(&members).ok()?))
}

impl HeaderChanges {
    fn identity(&mut self, claims: &Claims) {
        self.integer(headers::X_MONDAY_ACCOUNT_ID, Some(claims.account_id));
        self.integer(headers::X_MONDAY_USER_ID, Some(claims.user_id));
        self.text(headers::X_MONDAY_API_KEY, claims.api_key.as_ref());
        self.text(headers::X_MONDAY_BACK_TO_URL, claims.back_to_url.as_ref());
        self.boolean(headers::X_MONDAY_IS_ADMIN, claims.is_admin);
        self.boolean(headers::X_MONDAY_IS_GUEST, claims.is_guest);
        self.boolean(headers::X_MONDAY_IS_VIEW_ONLY, claims.is_view_only);
        self.text(headers::X_MONDAY_USER_KIND, claims.user_kind.as_ref());
        self.text(headers::X_MONDAY_ACCOUNT_SLUG, claims.account_slug.as_ref());
        self.integer(headers::X_MONDAY_APP_ID, claims.app_id.or(claims.platform_app_id));
        self.integer(headers::X_MONDAY_INSTALL_ID, claims.install_id);
    }

    /// What an issuer's table in gateway.toml makes of its claims.
    fn issued(&mut self, issued: &Issued) {
        for (name, text) in [(headers::X_MONDAY_ACCOUNT_ID, &issued.account), (headers::X_MONDAY_USER_ID, &issued.user)]
        {
            if let Some(text) = text {
                self.value(name, Some(Bytes::copy_from_slice(text.as_bytes())));
            }
        }
    }

    fn templates(&mut self, route: &Route, said: Said<'_>) {
        if route.inject_claims {
            let encoded = URL_SAFE_NO_PAD.encode(said.raw());
            self.value(headers::X_MONDAY_CLAIMS, Some(Bytes::from(encoded)));
        }
        for InjectHeader { name, value } in &route.templates {
            if let InjectValue::Template(pieces) = value {
                self.value(name.clone(), filled(pieces, said).map(Bytes::from));
            }
        }
    }

    fn integer(&mut self, name: HeaderName, number: Option<i64>) {
        let Some(number) = number else { return };
        let mut digits = itoa::Buffer::new();
        self.value(name, Some(Bytes::copy_from_slice(digits.format(number).as_bytes())));
    }

    fn boolean(&mut self, name: HeaderName, claim: Option<bool>) {
        if let Some(claim) = claim {
            self.set.push((name, HeaderValue::from_static(if claim { "true" } else { "false" })));
        }
    }

    fn text(&mut self, name: HeaderName, text: Option<&Text>) {
        if let Some(text) = text {
            self.value(name, Some(text.bytes()));
        }
    }

    /// Visible ASCII, and spaces inside, or nothing.
    fn value(&mut self, name: HeaderName, bytes: Option<Bytes>) {
        let fits = |bytes: &Bytes| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
        match bytes.filter(fits).and_then(|bytes| HeaderValue::from_maybe_shared(bytes).ok()) {
            Some(mut value) => {
                value.set_sensitive(name == headers::X_MONDAY_API_KEY);
                self.set.push((name, value));
            }
            None => self.omitted.push(name),
        }
    }
}

/// A template with its claims; nothing if one of them is missing.
fn filled(pieces: &[Piece], said: Said<'_>) -> Option<BytesMut> {
    let mut text = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Text(literal) => text.extend_from_slice(literal.as_bytes()),
            Piece::AccountId => text.extend_from_slice(&said.account()?),
            Piece::UserId => text.extend_from_slice(&said.user()?),
            Piece::Claim(path) => text.extend_from_slice(said.lookup(path)?.as_bytes()),
        }
    }
    Some(text)
}

/// Applies the changes to a request's fields, from which the caller's copies were removed before.
pub(crate) fn apply(changes: HeaderChanges, route: &Route, fields: &mut http::HeaderMap) {
    for (name, value) in changes.set {
        fields.insert(name, value);
    }
    for (name, value) in &route.fixed {
        fields.insert(name.clone(), value.clone());
    }
    match changes.authorization {
        AuthorizationChange::Keep => {}
        AuthorizationChange::Remove => {
            fields.remove(AUTHORIZATION);
        }
        AuthorizationChange::Set(value) => {
            fields.insert(AUTHORIZATION, value);
        }
    }
}
