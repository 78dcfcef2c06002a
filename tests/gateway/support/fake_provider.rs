//! A service that users connect, in the test: OAuth with any quirk, or keys that a user types in.

use serde_json::json;

use super::oauth_server::{Manner, OauthServer};
use super::site::{Asked, Said, Site};

/// A running one.
pub(crate) struct Provider {
    pub(crate) oauth: OauthServer,
    /// The table's name in gateway.toml.
    pub(crate) name: String,
}

impl Provider {
    /// As the RFCs have it.
    pub(crate) fn standard(name: &str) -> Self {
        Self::start(name, |_| ())
    }

    /// With quirks.
    pub(crate) fn start(name: &str, adjust: impl FnOnce(&mut Manner)) -> Self {
        let mut manner = Manner::standard(name);
        adjust(&mut manner);
        let known = manner.clone();
        let oauth = OauthServer::start(manner, move |asked, _| metadata(asked, &known));
        Self { oauth, name: name.to_lowercase() }
    }

    /// Its table, with its endpoints and more keys.
    pub(crate) fn table(&self, more: &str) -> String {
        let manner = &self.oauth.manner;
        let at = |path: &str| self.oauth.site.url(path);
        format!(
            "[providers.{}]\nauthorize_url = \"{}\"\ntoken_url = \"{}\"\n{}{more}\n",
            self.name,
            at(&manner.authorize_path),
            at(&manner.token_path),
            self.client()
        )
    }

    fn client(&self) -> String {
        let manner = &self.oauth.manner;
        format!("client_id = \"{}\"\nclient_secret = \"{}\"\n", manner.client_id, manner.client_secret)
    }
}

fn metadata(asked: &Asked, manner: &Manner) -> Option<Said> {
    asked.path.contains(".well-known/").then(|| {
        let base = format!("http://{}", asked.field("host").unwrap_or_default());
        Said::json(
            200,
            &json!({
                "issuer": base, "authorization_endpoint": format!("{base}{}", manner.authorize_path),
                "token_endpoint": format!("{base}{}", manner.token_path),
                "revocation_endpoint": format!("{base}{}", manner.revoke_path),
                "authorization_response_iss_parameter_supported": manner.iss.is_some(),
                "code_challenge_methods_supported": ["S256"],
            }),
        )
    })
}

/// The key that a service with keys takes.
pub(crate) const GOOD_KEY: &str = "canary-api-key-4444444444444444";

/// A service whose `/me` answers only to `GOOD_KEY`, as Bearer or as Basic's password.
pub(crate) fn key_service() -> Site {
    Site::start(async |asked: Asked| {
        let given = asked.field("authorization").unwrap_or_default();
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("dana:{GOOD_KEY}"));
        if given == format!("Bearer {GOOD_KEY}") || given == format!("Basic {basic}") {
            Said::json(200, &json!({ "name": "Dana" }))
        } else {
            Said::json(401, &json!({ "message": "bad key" }))
        }
    })
}
