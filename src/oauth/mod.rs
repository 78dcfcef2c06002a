//! OAuth 2.0 as a client (RFC 6749, 7636, 8414, 9207): what a provider is, where its endpoints are, what is sent to them and what their
//! answers mean. Stores nothing and knows no user; runs on the control plane.

pub(crate) mod provider;

/// Asks providers. Nobody is asked yet.
pub(crate) mod web {
    /// The control plane's client.
    #[derive(Clone, Debug)]
    pub(crate) struct Web;

    impl Web {
        /// Believes the authorities in the PEM file `ca`, or without one those of the machine.
        pub(crate) fn new(_ca: Option<&std::path::Path>) -> Result<Self, crate::tls::files::TlsFault> {
            Ok(Self)
        }
    }
}

/// Where issuers have their endpoints.
pub(crate) mod discovery {
    /// Knows none yet.
    #[derive(Clone, Debug)]
    pub(crate) struct Discovery;

    impl Discovery {
        /// Knows none yet.
        pub(crate) fn new(_web: super::web::Web, _clock: crate::clock::Clock) -> Self {
            Self
        }
    }
}

/// The token endpoint.
pub(crate) mod token {
    use std::collections::BTreeMap;

    use crate::oauth::discovery::Discovery;
    use crate::oauth::provider::Provider;

    /// What a provider gave.
    pub(crate) struct Tokens {
        /// The access token.
        pub(crate) access: String,
        /// The refresh token.
        pub(crate) refresh: Option<String>,
        /// Unix seconds.
        pub(crate) expires: Option<i64>,
        /// What was granted.
        pub(crate) scopes: Option<Vec<String>>,
        /// What else it gave.
        pub(crate) values: BTreeMap<String, String>,
    }

    /// A provider that gave no token.
    #[derive(Debug, thiserror::Error)]
    #[error("providers are not asked yet")]
    pub(crate) struct TokenFault;

    impl TokenFault {
        /// Whether the user has to consent again.
        pub(crate) fn is_final(&self) -> bool {
            false
        }
    }

    /// What is taken back.
    pub(crate) enum Given<'a> {
        /// A refresh token, and with it its access tokens.
        Refresh(&'a str),
        /// An access token.
        Access(&'a str),
    }

    /// New tokens for a refresh token.
    pub(crate) async fn refresh(_: &Discovery, _: &Provider, _: &str) -> Result<Tokens, TokenFault> {
        Err(TokenFault)
    }

    /// Takes a token back.
    pub(crate) async fn revoke(_: &Discovery, _: &Provider, _: Given<'_>) -> Result<(), TokenFault> {
        Err(TokenFault)
    }
}
