//! What must not pass, for every kind but `public`: tokens that are absent, changed, old, unsigned, signed by somebody else, or
//! another kind's. RFC 8725, sections 2 and 3.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::commands::demo::cases::{Case, Group, Monday};
use crate::commands::demo::expected::Expected;
use crate::commands::demo::scene::base;
use crate::monday::kinds::{KINDS, Kind};
use crate::monday::mint::{self, LIFETIME};
use crate::secret::Secret;

/// Seconds by which an expired token is past, beyond every sensible leeway.
const LONG_AGO: i64 = 3600;

/// One way to come in without being let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// No token at all.
    NoToken,
    /// A genuine one whose claims were changed afterwards.
    Forged,
    /// A genuine one that is past.
    Expired,
    /// One whose header says that it needs no signature.
    AlgNone,
    /// Signed with the app's other secret.
    OtherSecret,
    /// Signed with a secret that is not the app's.
    Stranger,
    /// A genuine one of another kind.
    OtherKind,
}

/// All of them, in the order of the table.
pub(super) const ATTACKS: [Attack; 7] = [
    Attack::NoToken,
    Attack::Forged,
    Attack::Expired,
    Attack::AlgNone,
    Attack::OtherSecret,
    Attack::Stranger,
    Attack::OtherKind,
];

impl Attack {
    /// Its column.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::AlgNone => "alg none",
            Self::OtherSecret => "other secret",
            Self::Stranger => "stranger",
            Self::OtherKind => "other kind",
        }
    }

    /// What the column means.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::NoToken => "without a token",
            Self::Forged => "a genuine token whose account was changed",
            Self::Expired => "a genuine token, an hour past its end",
            Self::AlgNone => "a token that says it needs no signature",
            Self::OtherSecret => "signed with the app's other secret",
            Self::Stranger => "signed with a secret that is not the app's",
            Self::OtherKind => "a genuine token of another kind of request",
        }
    }

    fn token(self, monday: &Monday<'_>, kind: Kind, path: &str) -> Option<String> {
        let claims = monday.claims(kind, path, LIFETIME);
        let (secret, other) = monday.secrets(kind);
        Some(match self {
            Self::NoToken => return None,
            Self::Forged => forged(claims, secret),
            Self::Expired => {
                let past = Monday { now: monday.now - LONG_AGO - LIFETIME, ..*monday };
                mint::token(&past.claims(kind, path, LIFETIME), secret)
            }
            Self::AlgNone => format!("{}.{}.", encoded(&json!({ "alg": "none", "typ": "JWT" })), encoded(&claims)),
            Self::OtherSecret => mint::token(&claims, other),
            Self::Stranger => mint::token(&claims, &Secret::new("a secret of somebody else's, of 32 bytes")),
            Self::OtherKind => {
                mint::token(&monday.claims(another(kind), path, LIFETIME), monday.secrets(another(kind)).0)
            }
        })
    }

    fn expected(self, kind: Kind) -> Expected {
        let reason = match self {
            Self::NoToken => "token_missing",
            Self::Forged | Self::Stranger => "token_signature",
            Self::Expired => "token_expired",
            Self::AlgNone => "token_algorithm",
            // monday's pages disagree about the secret of Authorization URLs: there both are the app's own.
            Self::OtherSecret if kind == Kind::Authorization => return Expected::forwarded(kind),
            Self::OtherSecret => "token_other_secret",
            Self::OtherKind if mint::signed_by_client(kind) => "token_other_secret",
            Self::OtherKind => "token_wrong_kind",
        };
        Expected::unauthorized(kind, reason)
    }
}

/// A kind whose tokens are not this one's: those of Authorization URLs lie in browsers' histories.
fn another(kind: Kind) -> Kind {
    match kind {
        Kind::Authorization => Kind::Action,
        _ => Kind::Authorization,
    }
}

/// The signature of these claims under others.
fn forged(mut claims: Value, secret: &Secret) -> String {
    let genuine = mint::token(&claims, secret);
    let signature = genuine.rsplit('.').next().unwrap_or_default();
    for place in ["/accountId", "/dat/account_id"] {
        if let Some(account) = claims.pointer_mut(place) {
            *account = json!(666);
        }
    }
    let header = genuine.split('.').next().unwrap_or_default();
    format!("{header}.{}.{signature}", encoded(&claims))
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Each attack on each kind that has tokens.
pub(super) fn all(monday: &Monday<'_>) -> impl Iterator<Item = Case> {
    let kinds = KINDS.iter().filter(|row| row.is_mondays()).map(|row| row.kind);
    kinds.flat_map(move |kind| {
        ATTACKS.into_iter().map(move |attack| {
            let path = format!("{}/{}", base(kind), attack.name().replace(' ', "-"));
            let token = attack.token(monday, kind, &path);
            let mut case = Case::new(Group::Attack(attack.name()), kind, &path, token);
            let expected = attack.expected(kind);
            // A forwarded one loses its query token on the way.
            case.expected = Expected { target: case.expected.target.filter(|_| expected.told.is_some()), ..expected };
            attack.meaning().clone_into(&mut case.name);
            case
        })
    })
}
