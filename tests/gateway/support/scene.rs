//! All that a flow needs: a monday, providers, a backend, and the gateway.toml that names them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::Answer;
use super::backend::Backend;
use super::fake_monday::Monday;
use super::fake_provider::Provider;
use super::gateway::Gateway;
use super::mint::{self, ACCOUNT, BACK_TO, CLIENT, SIGNING, USER, kind};
use super::setup::Setup;
use super::visitor::{Page, Visitor};

/// 32 bytes of the vault, twice: an old key and a new one. "canary" in base64 is no word.
pub(crate) const VAULT_KEY: &str = "Y2FuYXJ5LXZhdWx0LWtleS0wMTIzNDU2Nzg5YWJjZGU=";
pub(crate) const NEXT_VAULT_KEY: &str = "bmV4dC1jYW5hcnktdmF1bHQta2V5LTAxMjM0NTY3ODk=";

/// Where the app's Authorization URL is.
pub(crate) const AUTHORIZE: &str = "/planner/authorize";

/// What the test runs against; its fields are changed before the gateway starts.
pub(crate) struct Scene {
    pub(crate) monday: Monday,
    /// Providers, with more keys of their tables.
    pub(crate) providers: Vec<(Provider, String)>,
    pub(crate) backend: Backend,
    /// `grants` of the app.
    pub(crate) grants: Vec<&'static str>,
    /// More keys of `[apps.planner.authorization]`.
    pub(crate) authorization: String,
    /// More keys of `[apps.planner]`.
    pub(crate) app: String,
    pub(crate) store: String,
    pub(crate) vault_keys: Vec<&'static str>,
    /// More keys of `[vault]`.
    pub(crate) vault: String,
    /// More tables.
    pub(crate) tables: String,
    pub(crate) movable_clock: bool,
}

impl Scene {
    /// monday, and GitHub as the RFCs have it.
    pub(crate) fn usual() -> Self {
        Self::with(Monday::v21(), vec![(Provider::standard("github"), String::new())])
    }

    /// monday and these; all are asked for.
    pub(crate) fn with(monday: Monday, providers: Vec<(Provider, String)>) -> Self {
        let mut grants = vec!["monday"];
        for (provider, _) in &providers {
            grants.push(if provider.name == "github" { "github" } else { "slack" });
        }
        Self {
            monday,
            providers,
            backend: Backend::echo(),
            grants,
            authorization: String::new(),
            app: String::new(),
            store: "sqlite:vault.db".into(),
            vault_keys: vec![VAULT_KEY],
            vault: String::new(),
            tables: String::new(),
            movable_clock: false,
        }
    }

    /// The provider of that name.
    pub(crate) fn provider(&self, name: &str) -> &Provider {
        &self.providers.iter().find(|(provider, _)| provider.name == name).unwrap().0
    }

    /// The file: the Authorization URL, and routes `action`, `needs` (requires every grant), `view`, `viewneeds`, `public`, `lifecycle`.
    pub(crate) fn setup(&self) -> Setup {
        let grants = json!(self.grants);
        let keys = json!(self.vault_keys);
        let mut tables = format!(
            "[apps.planner.authorization]\npath = \"{AUTHORIZE}\"\ngrants = {grants}\n{}\n{}[vault]\nstore = \"{}\"\nkeys = {keys}\n{}\n",
            self.authorization,
            self.monday.table(),
            self.store,
            self.vault
        );
        for (provider, more) in &self.providers {
            tables.push_str(&provider.table(more));
        }
        write!(tables, "{}", self.tables).unwrap();
        let mut setup = Setup::bare(&self.backend.address)
            .app(self.monday.app_key())
            .app(&self.app)
            .route("path = \"/planner/action/{*rest}\"\nkind = \"action\"")
            .route(&format!("path = \"/planner/needs/{{*rest}}\"\nkind = \"action\"\nrequire = {grants}"))
            .route(&format!("path = \"/planner/view/{{*rest}}\"\nkind = \"view\"\ngrants = {grants}\nallow = {{ guests = false }}"))
            .route(&format!("path = \"/planner/viewneeds/{{*rest}}\"\nkind = \"view\"\nrequire = {grants}\nallow = {{ guests = false }}"))
            .route("path = \"/planner/public/{*rest}\"\nkind = \"public\"")
            .route("path = \"/planner/lifecycle\"\nkind = \"app-lifecycle\"")
            .table(&tables);
        setup.movable_clock = self.movable_clock;
        setup
    }

    /// A gateway with it.
    pub(crate) fn start(&self) -> Gateway {
        Gateway::start(&self.setup())
    }

    /// A gateway after this one, with the same files, as the scene is now.
    pub(crate) fn restart(&self, gateway: Gateway) -> Gateway {
        Gateway::start_in(gateway.into_folder(), super::certificates::Authority::new(), &self.setup())
    }

    /// Calls of all token endpoints.
    pub(crate) fn token_calls(&self) -> usize {
        let others: usize = self.providers.iter().map(|(provider, _)| provider.oauth.token_calls().len()).sum();
        self.monday.oauth.token_calls().len() + others
    }

    /// Everything secret that was handed out or configured.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = self.monday.oauth.issued();
        for (provider, _) in &self.providers {
            secrets.extend(provider.oauth.issued());
            secrets.push(provider.oauth.manner.client_secret.clone());
        }
        secrets.extend([SIGNING, CLIENT, VAULT_KEY, NEXT_VAULT_KEY].map(str::to_owned));
        secrets
    }
}

/// Path and query of the Authorization URL as monday calls it, for the usual person.
pub(crate) fn authorization_url(back_to: &str) -> String {
    authorization_url_of(ACCOUNT, USER, back_to)
}

/// As `authorization_url`, for another person.
pub(crate) fn authorization_url_of(account: i64, user: i64, back_to: &str) -> String {
    let mut claims = kind("authorization").claims();
    claims["accountId"] = json!(account);
    claims["userId"] = json!(user);
    claims["backToUrl"] = json!(back_to);
    claims["aud"] = json!(format!("https://gw.test{AUTHORIZE}"));
    format!("{AUTHORIZE}?token={}", mint::sign(&claims, SIGNING))
}

/// A token of monday's servers, for another person.
pub(crate) fn action_token_of(account: i64, user: i64) -> String {
    let mut claims = kind("action").claims();
    claims["accountId"] = json!(account);
    claims["userId"] = json!(user);
    mint::sign(&claims, SIGNING)
}

/// A session token of a view, with changes of its `dat`.
pub(crate) fn view_token_with(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = kind("view").claims();
    change(&mut claims["dat"]);
    mint::sign(&claims, CLIENT)
}

/// POST to `/planner/ROUTE/run` with a token in Authorization.
pub(crate) async fn call(gateway: &Gateway, route: &str, token: &str) -> Answer {
    let lines = format!("Authorization: {token}\r\nContent-Type: application/json\r\n");
    gateway.request("POST", &format!("/planner/{route}/run"), &lines, "{}").await
}

/// As `call`, for an action of the usual person.
pub(crate) async fn act(gateway: &Gateway) -> Answer {
    call(gateway, "action", &kind("action").token()).await
}

/// Presses whatever leads on, and allows everything, until there is a page that asks for a decision or the walk left the machine.
pub(crate) async fn consent(visitor: &mut Visitor<'_>, start: Page) -> Page {
    let mut page = start;
    for _ in 0..20 {
        let button = if page.status() == 0 {
            return page;
        } else if page.is_gateways() {
            if page.status() != 200 || !page.words().contains("Continue to ") {
                return page;
            }
            "Continue to "
        } else if page.text().contains(">Install<") {
            "Install"
        } else {
            "Allow"
        };
        page = visitor.press(&page, button).await;
    }
    panic!("no end: {:?}", visitor.trail)
}

/// A user who goes through everything, from the Authorization URL to `back_to`.
pub(crate) async fn connect_all(visitor: &mut Visitor<'_>) {
    let start = visitor.visit(&authorization_url(BACK_TO)).await;
    let end = consent(visitor, start).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{:?}\n{}", visitor.trail, end.text());
}

/// One header that the echo backend got.
pub(crate) fn got(answer: &Answer, name: &str) -> Option<String> {
    answer.echoed_values(name).into_iter().next()
}
