//! `[providers.*]` as written: a service that users connect by OAuth 2.0, or by keys that they type in.

use crate::config::endpoint::{Endpoint, ServedPath};
use crate::config::parameters::Parameter;
use crate::config::read::{Many, Named, OneOrMany, choice, table};
use crate::config::secret_source::SecretSource;
use crate::config::units::Span;
use crate::oauth::provider::{ClientAuthentication, ConnectBy, Per, RequestFormat};

table! {
    /// A service that users connect. Where it is: `preset`, or `issuer`, or `authorize_url` and `token_url`.
    Provider {
        /// How users connect: by OAuth, or by keys that they have from the service and type in.
        r#type: ProviderType = "oauth",
        /// A service that the gateway knows; every other key overrides what it knows.
        preset: String,
        /// An authorization server whose endpoints are found by discovery.
        issuer: Endpoint,
        /// Where users consent.
        authorize_url: Endpoint,
        /// Where a code becomes a token.
        token_url: Endpoint,
        /// Where tokens are refreshed, if elsewhere.
        refresh_url: Endpoint,
        /// Where tokens are taken back (RFC 7009).
        revoke_url: Endpoint,
        /// What `iss` of a callback must be, where it comes (RFC 9207); an `issuer` says so itself.
        iss: String,
        /// As registered at the service.
        client_id: String,
        /// As registered at the service. One, or a list while it changes, newest first.
        client_secret: OneOrMany<SecretSource>,
        /// What is asked for.
        scopes: Many<String>,
        /// Between two scopes: a space, unless the service wants something else.
        scope_separator: String,
        /// The parameter that has the scopes: "scope", unless the service wants something else.
        scope_parameter: String,
        /// More parameters of the authorization request.
        authorize_params: Named<Parameter>,
        /// More parameters of every token request.
        token_params: Named<Parameter>,
        /// Proof Key for Code Exchange (RFC 7636): on, unless the service refuses it.
        pkce: bool,
        /// How the client shows who it is at the token endpoint: "basic" or "body".
        authentication: ClientAuthentication,
        /// How token requests are written: "form" or "json".
        format: RequestFormat,
        /// JSON pointer of the object with the token in an answer: "" (the answer itself), or as in `/authed_user`.
        token_at: String,
        /// Values of the token answer that backends need: name = JSON pointer. They become `X-<Provider>-<Name>`.
        keep: Named<String>,
        /// Asked once after each consent, for values that the token answer does not have.
        after: After,
        /// For `type = "api_key"`: what users type in, in the form's order. The first is what `header` carries.
        fields: Many<KeyField>,
        /// For `type = "api_key"`: where users find their keys.
        help_url: Endpoint,
        /// For `type = "api_key"`: a request that succeeds with good keys only.
        test: KeyTest,
        /// Whose a grant is: each user connects, or one person for the whole account.
        per: Per = "user",
        /// With `per = "account"`, who may: admins, or every member.
        connect_by: ConnectBy,
        /// The path of its callback, to keep one that is registered; else /callback/NAME below each Authorization URL.
        callback: ServedPath,
        /// The header that carries the token; by default `X-<Provider>-Access-Token`.
        header: String,
        /// What pages call it.
        name: String,
        /// An idle chain of refresh tokens is used once in this time, so that it does not lapse.
        keepalive: Span,
        /// After it a chain of refresh tokens ends, whatever is done.
        lifetime: Span,
    }
    later {}
}

table! {
    /// A question asked once after each consent: GET with the new token.
    After {
        /// Where.
        url: Endpoint = required,
        /// Values that are kept: name = JSON pointer. They become `X-<Provider>-<Name>`.
        keep: Named<String> = required,
    }
    later {}
}

table! {
    /// Something that users type in.
    KeyField {
        /// Templates of `test` name it so; the fields after the first become `X-<Provider>-<Name>`.
        name: String = required,
        /// What the form calls it.
        label: String = required,
        /// Whether it is hidden while it is typed.
        secret: bool = true,
    }
    later {}
}

table! {
    /// A request that succeeds with good keys only. `{name}` stands for what was typed into a field.
    KeyTest {
        /// GET goes here.
        url: Parameter = required,
        /// Its headers.
        headers: Named<Parameter>,
        /// A user name and a password.
        basic: KeyBasic,
    }
    later {}
}

table! {
    /// A user name and a password, as `Authorization: Basic`.
    KeyBasic {
        /// As in "{email}/token".
        user: Parameter = required,
        /// As in "{key}".
        password: Parameter = required,
    }
    later {}
}

/// `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderType {
    /// Consent pages and tokens.
    Oauth,
    /// A form.
    ApiKey,
}

choice!(ProviderType: "oauth" => Self::Oauth, "api_key" => Self::ApiKey, ; later {});
choice!(Per: "user" => Self::User, "account" => Self::Account, ; later {});
choice!(ConnectBy: "admin" => Self::Admin, "member" => Self::Member, ; later {});
choice!(ClientAuthentication: "basic" => Self::Basic, "body" => Self::Body, ; later {});
choice!(RequestFormat: "form" => Self::Form, "json" => Self::Json, ; later {});
