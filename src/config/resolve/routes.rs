//! `[[routes]]`: each key in its range, each name resolved, and what a kind allows. What routes mean to each other is in `relations`.

use std::time::Duration;

use http::Method;

use crate::config::address::is_host_name;
use crate::config::headers::header;
use crate::config::mask::quotable;
use crate::config::read::{Field, Named};
use crate::config::resolve::cors::cors;
use crate::config::resolve::providers::Providers;
use crate::config::resolve::route_path::{literal_prefix, pattern};
use crate::config::resolve::server::{size, timeout};
use crate::config::resolved::{Allow, App, Authorization, InjectHeader, InjectValue, Pattern, Piece, Route};
use crate::config::sheet::{At, Place, Sheet};
use crate::config::suggest::suggest;
use crate::config::written;
use crate::config::written::QueryToken;
use crate::monday::kinds::{Kind, SignedBy, TokenPlace};

/// What routes point at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// The file.
    pub(crate) file: &'a written::File,
    /// `server.limits.body`.
    pub(crate) default_body: u64,
    /// In the file's order; a wrong one is `None`.
    pub(crate) apps: &'a [Option<App>],
    /// `[providers.*]`.
    pub(crate) providers: &'a Providers<'a>,
}

/// All routes, in the file's order.
pub(crate) fn routes(around: &Around<'_>, sheet: &mut Sheet<'_>) -> Option<Vec<Route>> {
    let file = around.file;
    let written = match file.routes.optional()? {
        Some(routes) if !routes.is.0.is_empty() => &routes.is.0,
        // Pages and the internal API are served without one.
        Some(_) | None if has_other_use(file) => return Some(Vec::new()),
        Some(_) | None => {
            let right = "add a [[routes]] table with path, app, kind and upstream";
            return sheet.absent(
                Place::default(),
                "there is no route: every request would be answered with 404",
                right,
            );
        }
    };
    let routes: Vec<Option<Route>> =
        written.iter().map(|route| Reading { around, file, route }.resolve(sheet)).collect();
    routes.into_iter().collect()
}

/// Whether the gateway answers anything besides routes: an Authorization URL, or the internal API.
fn has_other_use(file: &written::File) -> bool {
    let apps = file.apps.given().map_or(&[][..], |apps| apps.is.0.as_slice());
    let has_pages = |app: &Field<written::App>| app.given().is_some_and(|app| !app.is.authorization.is_absent());
    !file.internal.is_absent() || apps.iter().any(|(_, app)| has_pages(app))
}

/// One route and the file around it.
pub(crate) struct Reading<'a> {
    /// What it points at.
    pub(crate) around: &'a Around<'a>,
    /// The file.
    pub(crate) file: &'a written::File,
    /// The route.
    pub(crate) route: &'a At<written::Route>,
}

impl Reading<'_> {
    fn resolve(&self, sheet: &mut Sheet<'_>) -> Option<Route> {
        let route = &self.route.is;
        let pattern = self.pattern(sheet);
        let name = self.name(sheet);
        let host = self.host(sheet);
        let methods = self.methods(sheet);
        let strip_prefix = self.strip_prefix(pattern.as_ref(), sheet);
        let app = self.app(sheet);
        let upstream = self.upstream(sheet);
        let kind = route.kind.given();
        let timeout = self.timeout(sheet);
        let max_body = match route.max_body {
            Field::Absent => Some(self.around.default_body),
            Field::Given(_) | Field::Wrong => size(&route.max_body, 1, 1 << 40, sheet),
        };
        let authorization = self.authorization(sheet);
        let keep_query_token = self.query_token(sheet);
        let allow = self.allow(sheet);
        let cors = route.cors.optional().map(|table| table.map(|table| cors(&table.is, sheet)));
        let inject_headers = self.inject_headers(sheet);
        let grants = self.grants(sheet);
        let issuer = self.issuer(sheet);
        let path = &route.path.given()?.is;
        Some(Route {
            name: name?,
            path: path.clone(),
            pattern: pattern?,
            host: host?,
            methods: methods?,
            app: app?,
            kind: kind?.is,
            upstream: upstream?,
            strip_prefix: strip_prefix?,
            timeout: timeout?,
            max_body: max_body?,
            authorization: authorization?,
            keep_query_token: keep_query_token?,
            allow: allow?,
            cors: match cors? {
                Some(cors) => Some(cors?),
                None => None,
            },
            inject_claims: route.inject.given()?.is.claims.given()?.is,
            inject_headers: inject_headers?,
            require: grants.as_ref()?.require.clone(),
            grants: grants?.all,
            issuer: issuer?,
        })
    }

    /// Its kind, if it is right.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.route.is.kind.given().map(|kind| kind.is)
    }

    fn pattern(&self, sheet: &mut Sheet<'_>) -> Option<Pattern> {
        let path = self.route.is.path.given()?;
        match pattern(&path.is) {
            Ok(pattern) => Some(pattern),
            Err((what, right)) => sheet.refuse(path.place, what, right),
        }
    }

    fn name(&self, sheet: &mut Sheet<'_>) -> Option<String> {
        let Some(name) = self.route.is.name.optional()? else {
            return self.route.is.path.given().map(|path| path.is.clone());
        };
        let is_plain =
            (1..=128).contains(&name.is.len()) && name.is.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if is_plain {
            return Some(name.is.clone());
        }
        sheet.refuse(name.place, "a route's name has 1 to 128 visible ASCII characters: metrics carry it", "rename it")
    }

    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    fn host(&self, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
        let Some(host) = self.route.is.host.optional()? else {
            return Some(None);
        };
        let name = host.is.strip_prefix("*.").unwrap_or(&host.is);
        if is_host_name(name) || host.is.starts_with('[') && host.is.ends_with(']') {
            return Some(Some(host.is.to_ascii_lowercase()));
        }
        sheet.refuse(
            host.place,
            "this is no host",
            "a name without port, as in \"gw.example.com\", or \"*.example.com\" for any below",
        )
    }

    fn methods(&self, sheet: &mut Sheet<'_>) -> Option<Vec<Method>> {
        let Some(methods) = self.route.is.methods.optional()? else {
            return Some(Vec::new());
        };
        let mut read: Vec<Option<Method>> = Vec::new();
        for At { is: name, place } in &methods.is.0 {
            let method = match Method::try_from(name.as_str()) {
                Ok(Method::CONNECT) => sheet.refuse(*place, "the gateway opens no tunnels", "remove it"),
                Ok(_) if name.bytes().any(|byte| byte.is_ascii_lowercase()) => sheet.refuse(
                    *place,
                    "methods are told apart by case, and no request has this one",
                    format!("did you mean `{}`?", name.to_ascii_uppercase()),
                ),
                Ok(method) if read.contains(&Some(method.clone())) => {
                    sheet.refuse(*place, "this method is in the list twice", "remove one")
                }
                Ok(method) => Some(method),
                Err(_) => sheet.refuse(*place, "this is no method", "as in \"POST\""),
            };
            read.push(method);
        }
        read.into_iter().collect()
    }

    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    fn strip_prefix(&self, pattern: Option<&Pattern>, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
        let Some(prefix) = self.route.is.strip_prefix.optional()? else {
            return Some(None);
        };
        let literal = literal_prefix(pattern?);
        let written = prefix.is.strip_suffix('/').unwrap_or(&prefix.is);
        let is_prefix = written.starts_with('/')
            && literal.strip_prefix(written).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_prefix {
            return Some(Some(written.to_owned()));
        }
        let right = if literal.is_empty() {
            "this path begins with no literal segment, so nothing can be taken off".to_owned()
        } else {
            format!("`{literal}`, or a part of it that ends at a segment")
        };
        sheet.refuse(prefix.place, "the route's path does not begin with these segments", right)
    }

    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    fn app(&self, sheet: &mut Sheet<'_>) -> Option<Option<usize>> {
        let kind = self.kind();
        let Some(name) = self.route.is.app.optional()? else {
            return match kind {
                Some(Kind::Public) => Some(None),
                Some(Kind::Jwt) => sheet.absent(
                    self.route.place,
                    "`app` is missing here: X-Monday-App, grants, `leeway` and metrics of these requests are an app's",
                    "add app = \"NAME\"; its secrets are not needed for the tokens of an issuer",
                ),
                Some(_) => sheet.absent(
                    self.route.place,
                    "`app` is missing here: whose secret would verify the token?",
                    "add app = \"NAME\"",
                ),
                None => None,
            };
        };
        let index = index_of(&self.file.apps, name, "app", sheet)?;
        let app = self.file.apps.given()?.is.0.get(index)?;
        if let (Some(app), Some(kind)) = (app.1.given(), self.route.is.kind.given()) {
            check_secret(&name.is, app, kind, sheet);
        }
        Some(Some(index))
    }

    fn upstream(&self, sheet: &mut Sheet<'_>) -> Option<usize> {
        index_of(&self.file.upstreams, self.route.is.upstream.given()?, "upstream", sheet)
    }

    fn timeout(&self, sheet: &mut Sheet<'_>) -> Option<Duration> {
        match self.route.is.timeout {
            Field::Absent => self.kind().map(|kind| Duration::from_secs(kind.row().timeout)),
            Field::Given(_) | Field::Wrong => timeout(&self.route.is.timeout, 3600, sheet),
        }
    }

    fn authorization(&self, sheet: &mut Sheet<'_>) -> Option<Authorization> {
        let authorization = self.route.is.authorization.given()?;
        if authorization.is != Authorization::Resign {
            return Some(authorization.is);
        }
        if self.kind() == Some(Kind::Public) {
            return sheet.refuse(
                authorization.place,
                "a public route has no verified claims to sign",
                "\"keep\" or \"strip\"",
            );
        }
        let upstreams = self.file.upstreams.given().map_or(&[][..], |upstreams| upstreams.is.0.as_slice());
        let name = self.route.is.upstream.given().map(|name| name.is.as_str());
        let upstream = upstreams.iter().find(|(upstream, _)| Some(upstream.is.as_str()) == name);
        if let Some((name, Field::Given(upstream))) = upstream
            && upstream.is.signing_secret.is_absent()
        {
            let what =
                format!("a new token is signed with the upstream's own secret, and upstream `{}` has none", name.is);
            let right = format!("add signing_secret = {{ env = \"...\" }} to [upstreams.{}]", name.is);
            return sheet.absent(authorization.place, what, right);
        }
        Some(Authorization::Resign)
    }

    fn query_token(&self, sheet: &mut Sheet<'_>) -> Option<bool> {
        let query_token = self.route.is.query_token.given()?;
        let is_keep = query_token.is == QueryToken::Keep;
        let kind = self.kind()?;
        match kind.row().token {
            TokenPlace::HeaderOrQuery(_) | TokenPlace::Query(_) => Some(is_keep),
            TokenPlace::Header | TokenPlace::Nowhere if is_keep => {
                let what = format!("requests of kind `{}` have no token in the query", kind.name());
                sheet.refuse(query_token.place, what, "remove it")
            }
            TokenPlace::Header | TokenPlace::Nowhere => Some(false),
        }
    }

    fn allow(&self, sheet: &mut Sheet<'_>) -> Option<Allow> {
        let Some(allow) = self.route.is.allow.optional()? else {
            return Some(Allow::default());
        };
        let kind = self.kind()?;
        if kind == Kind::Public {
            return sheet.refuse(
                allow.place,
                "a public route knows nobody, so it can allow nobody",
                "choose another kind, or remove `allow`",
            );
        }
        let mut is_right = true;
        for (key, flag) in
            [("guests", &allow.is.guests), ("view_only", &allow.is.view_only), ("admin_only", &allow.is.admin_only)]
        {
            let Field::Given(flag) = flag else { continue };
            if !kind.row().has_dat() {
                is_right = false;
                let what = format!(
                    "tokens of kind `{}` do not say who is a guest, a viewer or an admin: `{key}` would refuse everybody",
                    kind.name()
                );
                let _: Option<()> =
                    sheet.refuse(flag.place, what, "remove it; `view` and the lifecycle kinds have these claims");
            }
        }
        let accounts = accounts(allow, sheet);
        let flag =
            |field: &Field<bool>, default: bool| field.optional().map(|flag| flag.map_or(default, |flag| flag.is));
        let allowed = Allow {
            no_guests: !flag(&allow.is.guests, true)?,
            no_view_only: !flag(&allow.is.view_only, true)?,
            admin_only: flag(&allow.is.admin_only, false)?,
            accounts: accounts?,
        };
        is_right.then_some(allowed)
    }

    fn inject_headers(&self, sheet: &mut Sheet<'_>) -> Option<Vec<InjectHeader>> {
        let inject = &self.route.is.inject.given()?.is;
        let is_public = self.kind() == Some(Kind::Public);
        if let (true, Some(claims)) = (is_public, inject.claims.given().filter(|claims| claims.is)) {
            let _: Option<()> = sheet.refuse(claims.place, "a public route has no verified claims", "remove it");
        }
        let Some(headers) = inject.headers.optional()? else {
            return Some(Vec::new());
        };
        let mut read: Vec<Option<InjectHeader>> = Vec::new();
        for (name, value) in &headers.is.0 {
            let Some(value) = value.given() else {
                read.push(None);
                continue;
            };
            let header = header(name, value, sheet);
            if read.iter().flatten().any(|other| header.as_ref().is_some_and(|header| header.name == other.name)) {
                let _: Option<()> = sheet.refuse(
                    name.place,
                    "two names of this route differ in case only, and headers do not",
                    "remove one",
                );
            }
            if is_public && header.as_ref().is_some_and(|header| has_claims(&header.value)) {
                let what = "a public route has no verified claims to put into a header";
                let _: Option<()> = sheet.refuse(value.place, what, "write plain text, or choose another kind");
            }
            read.push(header);
        }
        read.into_iter().collect()
    }
}

/// The app must have the secret that verifies this kind's tokens.
fn check_secret(name: &str, app: &At<written::App>, kind: &At<Kind>, sheet: &mut Sheet<'_>) {
    let (key, is_absent) = match kind.is.row().signed_by {
        SignedBy::Signing | SignedBy::SigningThenClient => ("signing_secret", app.is.signing_secret.is_absent()),
        SignedBy::Client => ("client_secret", app.is.client_secret.is_absent()),
        SignedBy::Issuer | SignedBy::Nobody => return,
    };
    if is_absent && !sheet.is_broken() {
        sheet.refuse_pair(
            [kind.place, app.place],
            "this is the app",
            format!("tokens of kind `{}` are verified with `{key}`, and app `{name}` has none", kind.is.name()),
            format!("add {key} = {{ env = \"...\" }} to [apps.{name}]"),
        );
    }
}

fn accounts(allow: &At<written::Allow>, sheet: &mut Sheet<'_>) -> Option<Vec<i64>> {
    let Some(accounts) = allow.is.accounts.optional()? else {
        return Some(Vec::new());
    };
    if accounts.is.0.is_empty() {
        return sheet.refuse(
            accounts.place,
            "an empty list would allow nobody",
            "name the accounts, or remove `accounts` to allow all",
        );
    }
    for account in accounts.is.0.iter().filter(|account| account.is <= 0) {
        let _: Option<()> =
            sheet.refuse(account.place, "an account's id is a positive number", "as in `X-Monday-Account-Id`");
    }
    Some(accounts.is.0.iter().map(|account| account.is).collect())
}

fn has_claims(value: &InjectValue) -> bool {
    match value {
        InjectValue::Fixed(_) => false,
        InjectValue::Template(pieces) => pieces.iter().any(|piece| !matches!(piece, Piece::Text(_))),
    }
}

/// Where the named table is.
pub(crate) fn index_of<T>(
    tables: &Field<Named<T>>,
    name: &At<String>,
    what: &str,
    sheet: &mut Sheet<'_>,
) -> Option<usize> {
    let known = match tables {
        Field::Given(tables) => tables.is.0.as_slice(),
        Field::Absent => &[],
        Field::Wrong => return None,
    };
    let names: Vec<&str> = known.iter().map(|(name, _)| name.is.as_str()).collect();
    if let Some(index) = names.iter().position(|known| *known == name.is) {
        return Some(index);
    }
    let right =
        if names.is_empty() { format!("add [{what}s.{}]", quotable(&name.is)) } else { suggest(&name.is, &names) };
    sheet.absent(name.place, format!("there is no {what} `{}`", quotable(&name.is)), right)
}
