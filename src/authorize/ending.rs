//! Where a flow can end other than well, as facts; each with its status and its sentences, by exhaustive matches. Every ending is a page that
//! says what happened, that nothing was stored where nothing was, and what the way on is. Makes no answer.

use http::StatusCode;

use crate::authorize::attempt::Attempt;
use crate::authorize::opaque::Opaque;
use crate::pages::words::Say;

/// Why a flow does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The user, or the provider, said no.
    Denied {
        /// Its display name.
        provider: String,
    },
    /// The provider did not answer as it should.
    Fault {
        /// Its display name.
        provider: String,
        /// For the developer: provider, field and fix, no secret.
        detail: String,
    },
    /// monday.com says that the app is not installed.
    NotInstalled,
    /// monday.com says that somebody else is in this browser.
    SomebodyElse {
        /// Their user id.
        user: i64,
        /// Their account id.
        account: i64,
    },
    /// A step, a link or an attempt that is not there, any more or at all.
    Expired,
    /// It was begun in another browser.
    OtherBrowser,
    /// The grant is the account's, and this user may not make or remove it.
    NeedsAdmin {
        /// Its display name.
        provider: String,
    },
    /// `backToUrl` leads where it must not.
    Astray,
    /// Nobody has said who is in this browser.
    Unknown,
    /// A form that is not the gateway's own, or an old one.
    Form,
    /// The store, or the system, is down.
    Down,
}

/// An ending, and what is known of the way to it.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What happened.
    pub(crate) ending: Ending,
    /// The attempt that can be gone on with, where it is known to be this browser's.
    pub(crate) attempt: Option<Box<(Opaque, Attempt)>>,
}

impl Ending {
    /// Its status.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Denied { .. } | Self::NotInstalled | Self::SomebodyElse { .. } | Self::NeedsAdmin { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::OtherBrowser | Self::Form => StatusCode::FORBIDDEN,
            Self::Fault { .. } => StatusCode::BAD_GATEWAY,
            Self::Expired | Self::Astray => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Down => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its title, and its sentences.
    pub(crate) const fn says(&self) -> (Say, &'static [Say]) {
        match self {
            Self::Denied { .. } => (Say::DeniedTitle, &[Say::DeniedText]),
            Self::Fault { .. } => (Say::FaultTitle, &[Say::FaultText, Say::FaultDetail]),
            Self::NotInstalled => (Say::NotInstalledTitle, &[Say::NotInstalledText]),
            Self::SomebodyElse { .. } => (Say::OtherTitle, &[Say::OtherText, Say::OtherAdvice]),
            Self::Expired => (Say::ExpiredTitle, &[Say::ExpiredText, Say::ExpiredAdvice]),
            Self::OtherBrowser => (Say::BrowserTitle, &[Say::BrowserText]),
            Self::NeedsAdmin { .. } => (Say::AdminTitle, &[Say::AdminText]),
            Self::Astray => (Say::AstrayTitle, &[Say::AstrayText]),
            Self::Unknown => (Say::UnknownTitle, &[Say::UnknownText]),
            Self::Form => (Say::FormTitle, &[Say::FormText]),
            Self::Down => (Say::DownTitle, &[Say::DownText]),
        }
    }

    /// What its sentences name.
    pub(crate) fn fills(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Denied { provider } | Self::NeedsAdmin { provider } => vec![("provider", provider.clone())],
            Self::Fault { provider, detail } => vec![("provider", provider.clone()), ("detail", detail.clone())],
            Self::SomebodyElse { user, account } => {
                vec![("them", user.to_string()), ("theirs", account.to_string())]
            }
            Self::NotInstalled
            | Self::Expired
            | Self::OtherBrowser
            | Self::Astray
            | Self::Unknown
            | Self::Form
            | Self::Down => Vec::new(),
        }
    }

    /// Whether to try again can help.
    pub(crate) const fn can_try_again(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::Fault { .. }
            | Self::NotInstalled
            | Self::SomebodyElse { .. }
            | Self::Expired
            | Self::NeedsAdmin { .. }
            | Self::Form
            | Self::Down => true,
            Self::OtherBrowser | Self::Astray | Self::Unknown => false,
        }
    }

    /// An ending of an attempt that can be gone on with.
    pub(crate) fn of(self, id: &Opaque, attempt: &Attempt) -> Trouble {
        Trouble { ending: self, attempt: Some(Box::new((id.clone(), attempt.clone()))) }
    }
}

impl From<Ending> for Trouble {
    fn from(ending: Ending) -> Self {
        Self { ending, attempt: None }
    }
}
