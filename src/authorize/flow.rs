//! The pages of all apps: what they share, made once of the configuration, and which step a visit's page is. Takes a visit, returns what
//! becomes of it.

use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use url::Url;

use crate::authorize::cookies::Cookies;
use crate::authorize::door::{Admission, Reconnect, Visit};
use crate::authorize::forms::{Fields, Forms};
use crate::authorize::here::Here;
use crate::authorize::rows::{RowFault, Rows};
use crate::authorize::status::Statuses;
use crate::authorize::step::Pin;
use crate::authorize::ticket::Ticket;
use crate::authorize::{callback, connections, ending, enter, key_form, status, step};
use crate::clock::Clock;
use crate::config::resolved::grants::{AppAuthorization, Branding, Mode, public_origin};
use crate::config::resolved::{self, Config, PublicUrl};
use crate::grants::{Grants, MONDAY};
use crate::jwt;
use crate::limits;
use crate::oauth::discovery::Discovery;
use crate::oauth::provider::Provider;
use crate::oauth::web::Web;
use crate::pages::brand::{Brand, BrandFault, Wishes};
use crate::pages::words::{Languages, WordsFault};
use crate::snapshot::served::{Page, providers};
use crate::vault::Vault;

/// The pages of all apps. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Flow(Arc<Inner>);

/// What all visits share.
#[derive(Debug)]
pub(crate) struct Inner {
    apps: Vec<AppFlow>,
    /// How browsers reach the gateway: origin and path of the first public URL.
    public: String,
    /// The path of it.
    pub(crate) prefix: String,
    /// What needs a vault: none where every backend keeps its own grants, or until the store is there.
    pub(crate) kept: OnceLock<Kept>,
    public_urls: Vec<PublicUrl>,
    /// Asks providers.
    pub(crate) web: Web,
    /// Knows the endpoints of issuers.
    pub(crate) discovery: Discovery,
    /// monday's API.
    pub(crate) monday_api: Url,
    /// What backends have said of who is authorized.
    pub(crate) statuses: Statuses,
    /// The time.
    pub(crate) clock: Clock,
    /// Whose pages these are.
    pub(crate) brand: Brand,
    /// What they say.
    pub(crate) languages: Languages,
}

/// What needs a vault.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Makes and reads cookies.
    pub(crate) cookies: Cookies,
    /// Makes and checks what forms carry.
    pub(crate) forms: Forms,
    /// What the flow remembers.
    pub(crate) rows: Rows,
    /// What users have granted.
    pub(crate) grants: Grants,
}

/// One app with an Authorization URL.
#[derive(Debug)]
pub(crate) struct AppFlow {
    /// `apps.NAME`.
    pub(crate) name: String,
    /// `[apps.NAME.authorization]`.
    pub(crate) authorization: AppAuthorization,
    /// What its users may connect.
    pub(crate) providers: Vec<Arc<Provider>>,
    /// monday's, also where nobody has to connect it: it says who is in a browser.
    pub(crate) monday: Option<Arc<Provider>>,
    /// Signs what `status_url` is asked with.
    pub(crate) status_key: Option<jwt::Key>,
}

/// What the pages work with.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Asks providers.
    pub(crate) web: Web,
    /// Knows the endpoints of issuers.
    pub(crate) discovery: Discovery,
    /// The time.
    pub(crate) clock: Clock,
}

/// Why there are no pages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowFault {
    /// How they should look.
    #[error("[pages]: {0}")]
    Brand(#[from] BrandFault),
    /// What they should say.
    #[error("[pages] words: {0}")]
    Words(#[from] WordsFault),
    /// The picture.
    #[error("[pages] logo: {path}: {fault}")]
    Logo {
        /// Where.
        path: String,
        /// What the system says.
        fault: std::io::Error,
    },
}

impl Flow {
    /// The pages of a configuration. Those of grants say that they are not available, until [`Flow::open`].
    pub(crate) fn new(config: &Config, parts: Parts) -> Result<Self, FlowFault> {
        let Parts { web, discovery, clock } = parts;
        let urls = &config.server.public_urls;
        let (brand, languages) = look(&config.branding)?;
        Ok(Self(Arc::new(Inner {
            apps: apps(config),
            public: public_origin(urls),
            prefix: urls.first().map(|url| url.path.clone()).unwrap_or_default(),
            kept: OnceLock::new(),
            public_urls: urls.clone(),
            web,
            discovery,
            monday_api: config.monday.api.clone(),
            statuses: Statuses::new(),
            clock,
            brand,
            languages,
        })))
    }

    /// Lets the pages of grants use a vault, whose ring seals their cookies.
    pub(crate) fn open(&self, vault: Vault, grants: Grants) {
        let urls = &self.0.public_urls;
        self.0.kept.get_or_init(|| Kept {
            cookies: Cookies::new(vault.keys(), urls.first()),
            forms: Forms::new(vault.keys(), urls),
            rows: Rows::new(vault, self.0.clock.clone()),
            grants,
        });
    }

    /// What becomes of a visit.
    pub(crate) async fn visit(&self, visit: &Visit) -> Admission {
        let Some(app) = self.0.app(&visit.app) else { return Admission::Onwards };
        let here = Here::new(&self.0, visit, app);
        let outcome = match &visit.page {
            Page::Authorize => enter::authorize(&here).await,
            Page::Status => status::status(&here).await,
            Page::Connect => enter::connect(&here).await,
            Page::Go => enter::go(&here).await,
            Page::Next => step::next(&here, Pin::Account).await,
            Page::Switch => step::next(&here, Pin::None).await,
            Page::Confirm => step::confirm(&here).await,
            Page::Keys(name) => key_form::keys(&here, name).await,
            Page::Callback(_) => callback::callback(&here).await,
            Page::Connections => connections::connections(&here).await,
            Page::Disconnect => connections::disconnect(&here).await,
        };
        here.answer(outcome)
    }

    /// A one-time link with which a user connects again; none if there is no such app, or nothing to connect.
    pub(crate) async fn reconnect_link(&self, reconnect: &Reconnect) -> Option<String> {
        let app = self.0.app(&reconnect.app)?;
        let known = reconnect.providers.iter().filter(|name| app.provider(name).is_some());
        let wanted: Vec<String> = known.cloned().collect();
        if wanted.is_empty() || matches!(app.authorization.mode, Mode::Status { .. }) {
            return None;
        }
        let ticket = Ticket {
            app: app.name.clone(),
            account: reconnect.account,
            user: reconnect.user,
            slug: reconnect.slug.clone(),
            wanted,
            again: Vec::new(),
        };
        match self.0.link(app, &self.0.kept.get()?.rows, &ticket, limits::RECONNECT_TICKET).await {
            Ok(url) => Some(url),
            Err(fault) => {
                tracing::warn!(%fault, app = app.name, "no reconnect link");
                None
            }
        }
    }
}

impl Inner {
    /// The app of that name, if it has an Authorization URL.
    pub(crate) fn app(&self, name: &str) -> Option<&AppFlow> {
        self.apps.iter().find(|app| app.name == name)
    }

    /// A path of the gateway as a URL: never of a request's `Host`.
    pub(crate) fn outside(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// The URL of a new link.
    pub(crate) async fn link(
        &self,
        app: &AppFlow,
        rows: &Rows,
        ticket: &Ticket,
        lifetime: Duration,
    ) -> Result<String, RowFault> {
        let id = ticket.issue(rows, lifetime).await?;
        Ok(self.outside(&format!("{}/go?ticket={}", app.base(), id.as_str())))
    }
}

impl AppFlow {
    /// The path below which its pages are.
    pub(crate) fn base(&self) -> &str {
        self.authorization.path.trim_end_matches('/')
    }

    /// What a user must have granted, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        match &self.authorization.mode {
            Mode::Grants(grants) => grants.iter().map(|provider| provider.name.clone()).collect(),
            Mode::Status { .. } => Vec::new(),
        }
    }

    /// A provider whose grants are kept.
    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// A provider that may be asked: those, and monday.com for who it is.
    pub(crate) fn connectable(&self, name: &str) -> Option<&Arc<Provider>> {
        self.provider(name).or_else(|| self.monday.as_ref().filter(|_| name == MONDAY))
    }
}

impl<'v> Here<'v> {
    /// What needs a vault. Only pages of apps that ask for grants do, and those have one.
    pub(crate) fn kept(&self) -> Result<&'v Kept, ending::Trouble> {
        self.flow.kept.get().ok_or_else(|| ending::Ending::Down.into())
    }

    /// The form that was sent.
    pub(crate) fn fields(&self) -> Result<Fields, ending::Trouble> {
        Fields::read(&self.visit.body).ok_or_else(|| ending::Ending::Form.into())
    }
}

impl Visit {
    /// Its path, as a browser sees it.
    pub(crate) fn path_outside(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.path)
    }
}

fn apps(config: &Config) -> Vec<AppFlow> {
    let flow = |(at, app): (usize, &resolved::App)| {
        let authorization = app.authorization.clone()?;
        let status_key = match &authorization.mode {
            Mode::Status { upstream, .. } => {
                let upstream = config.upstreams.get(*upstream);
                upstream.and_then(|upstream| upstream.signing_secret.as_ref()).map(jwt::Key::new)
            }
            Mode::Grants(_) => None,
        };
        let providers = providers(config, at);
        Some(AppFlow { name: app.name.clone(), authorization, providers, monday: app.monday.clone(), status_key })
    };
    config.apps.iter().enumerate().filter_map(flow).collect()
}

/// How pages look and what they say; also for `check`.
pub(crate) fn look(branding: &Branding) -> Result<(Brand, Languages), FlowFault> {
    let logo = branding
        .logo
        .as_ref()
        .map(|path| fs::read(path).map_err(|fault| FlowFault::Logo { path: path.display().to_string(), fault }));
    let wishes = Wishes {
        name: branding.name.clone(),
        logo: logo.transpose()?,
        color: branding.color.clone(),
        support: branding.support.clone(),
    };
    let languages = branding.words.as_deref().map_or_else(|| Ok(Languages::default()), Languages::load)?;
    Ok((Brand::new(wishes)?, languages))
}
