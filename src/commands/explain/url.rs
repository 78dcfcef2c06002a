//! `monday-gateway explain url`: which route a request takes, why the others do not have it, and what would refuse it there.
//! Asks the guard's rules and the routes' index, those that `run` asks; sends nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::commands::explain::url::Fit::{OtherHost, OtherMethod, OtherPath, Suits};
use crate::config::resolved::grants::Issuer;
use crate::config::resolved::{Config, Pattern, PublicUrl, Route, UpstreamServer};
use crate::config::units::{duration_text, size_text};
use crate::monday::kinds::{Kind, Shape, SignedBy, TokenPlace, VIEW_IN_HEADER};
use crate::pipeline::guard::{host, path};
use crate::pipeline::refusal::Refusal;
use crate::pipeline::reply::facts::facts;
use crate::snapshot::build;
use crate::snapshot::index::{Entry, Found, Index};
use crate::snapshot::served::{NO_UPSTREAM, served};

/// Which route a URL takes, and why.
///
/// Says which route gets a request of this method to this URL, what its host, path and method have to do with it, why the
/// other routes do not get it, and what the request must have so that it is not refused there. Needs no secrets.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway explain url POST https://gw.example.com/planner/actions/create
      The route, and what a request there must have.

  monday-gateway explain url GET /planner/%2e%2e/admin
      Refused, and by which rule. Without a host, that of the first public_url is meant.")]
pub(crate) struct ExplainUrlArgs {
    /// The method.
    method: Method,
    /// The URL, or a path.
    url: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// What was asked about, cut into its parts.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// What routes are found by.
    host: String,
    /// Likewise with the port, as it was said.
    authority: String,
    path: String,
    query: Option<String>,
}

/// Whether one route, alone, would have the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Suits,
    OtherHost,
    OtherPath,
    OtherMethod,
}

/// What becomes of the request.
#[derive(Debug)]
enum Way<'c> {
    /// It takes this route.
    Route(&'c Route),
    /// It is refused before, or for want of, a route.
    Refused { status: u16, reason: &'static str, why: String },
}

/// The whole answer.
struct Answer<'c> {
    config: &'c Config,
    method: &'c Method,
    asked: Asked,
    way: Way<'c>,
    fits: Vec<(&'c Route, Fit)>,
}

/// Runs the command; 0 when a route takes the request, 1 when it is refused.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: &ExplainUrlArgs, config: &Config) -> ExitCode {
    let config = &with_pages(config);
    let answer = match answer(&args.method, &args.url, config) {
        Ok(answer) => answer,
        Err(fault) => {
            eprintln!("error: {fault}");
            return ExitCode::from(2);
        }
    };
    if args.json {
        println!("{:#}", answer.to_json());
    } else {
        print!("{}", answer.to_text());
    }
    if matches!(answer.way, Way::Route(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The configuration with the pages that the gateway serves written out as routes.
fn with_pages(config: &Config) -> Config {
    let mut whole = config.clone();
    whole.routes.extend(served(config).into_iter().map(|one| one.route));
    whole.apps.iter_mut().for_each(|app| app.authorization = None);
    whole
}

fn answer<'c>(method: &'c Method, url: &str, config: &'c Config) -> Result<Answer<'c>, String> {
    let asked = Asked::read(url, config)?;
    let fits = config.routes.iter().map(|route| (route, fit(route, method, &asked))).collect();
    let way = way(method, &asked, config)?;
    Ok(Answer { config, method, asked, way, fits })
}

impl Asked {
    /// Cuts a URL at its own delimiters; nothing is decoded or put right, since the gateway does not either.
    fn read(url: &str, config: &Config) -> Result<Self, String> {
        let own = config.server.public_urls.first().map_or_else(|| "//localhost".to_owned(), PublicUrl::origin);
        let own_authority = own.split_once("//").map_or("localhost", |(_scheme, authority)| authority);
        let (authority, target) = match url.split_once("://") {
            _ if url.starts_with('/') => (own_authority, url),
            Some(("http" | "https", rest)) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            _ => return Err("the URL must be http://..., https://..., or a path that begins with a slash".to_owned()),
        };
        let host = host::parse(authority).ok_or_else(|| format!("`{authority}` is no host"))?;
        // A client keeps the fragment to itself.
        let target = target.split_once('#').map_or(target, |(target, _fragment)| target);
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { "/" } else { path };
        let (host, authority) = (host.name.to_ascii_lowercase(), authority.to_ascii_lowercase());
        Ok(Self { host, authority, path: path.to_owned(), query: query.map(str::to_owned) })
    }
}

/// What the index and the guard say.
fn way<'c>(method: &Method, asked: &Asked, config: &'c Config) -> Result<Way<'c>, String> {
    let refused = |refusal: Refusal, why: &str| {
        let facts = facts(&refusal);
        Ok(Way::Refused { status: facts.status.as_u16(), reason: facts.reason, why: why.to_owned() })
    };
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return refused(Refusal::MethodRefused, "no route can allow TRACE or CONNECT");
    }
    if let Err(flaw) = path::judge(&asked.path) {
        return refused(
            Refusal::Malformed(flaw),
            "two servers could read this path differently: dot segments, empty segments, backslashes, and %2e %2f %5c %00 in \
             any encoding are refused",
        );
    }
    if let Err(flaw) = asked.query.as_deref().map_or(Ok(()), path::judge_query) {
        return refused(Refusal::Malformed(flaw), "the query has a character that must be percent-encoded");
    }
    let index = build::index(config);
    match index.find(&asked.host, &asked.path, method) {
        Found::Route(at) => config.routes.get(at).map(Way::Route).ok_or_else(|| "the index is out of step".to_owned()),
        Found::Nothing => refused(Refusal::NoRoute, "no route has this host and path"),
        Found::OtherMethods(allow) => {
            let why = format!("this host and path are routed, but for {allow} only");
            refused(Refusal::NoMethod { allow }, &why)
        }
    }
}

/// Asks an index with this route alone.
fn fit(route: &Route, method: &Method, asked: &Asked) -> Fit {
    let everywhere = Pattern { base: String::new(), rest: true };
    let finds = |entry: Entry<'_>, path: &str| Index::build(&[entry]).find(&asked.host, path, method);
    let host = route.host.as_deref();
    if finds(Entry { host, pattern: &everywhere, methods: &[] }, "/") == Found::Nothing {
        return OtherHost;
    }
    match finds(Entry { host, pattern: &route.pattern, methods: &route.methods }, &asked.path) {
        Found::Route(_) => Suits,
        Found::Nothing => OtherPath,
        Found::OtherMethods(_) => OtherMethod,
    }
}

impl Answer<'_> {
    fn to_text(&self) -> String {
        let Asked { authority, path, .. } = &self.asked;
        let mut text = String::new();
        match &self.way {
            Way::Refused { status, reason, why } => {
                let _written =
                    writeln!(text, "{} {authority}{path} is refused with {status} ({reason}): {why}.", self.method);
            }
            Way::Route(route) => {
                let _written = writeln!(text, "{} {authority}{path} takes the route `{}`.\n", self.method, route.name);
                for (name, why) in self.decided(route) {
                    let _written = writeln!(text, "  {name:8} {why}");
                }
                text.push_str("\nIt is refused unless it has all of this:\n");
                for (status, needs) in needs(route, self.config) {
                    let _written = writeln!(text, "  {status}  {needs}");
                }
            }
        }
        let others: Vec<_> = self.others().collect();
        if !others.is_empty() {
            text.push_str("\nThe other routes:\n");
            for (route, why) in others {
                let _written = writeln!(text, "  {}  {why}", shown(route));
            }
        }
        text
    }

    /// Which part of the request met which part of the route.
    fn decided(&self, route: &Route) -> Vec<(&'static str, String)> {
        let host = match &route.host {
            Some(host) => format!("the route is for `{host}`, which goes before routes of any host"),
            None => "the route is for any host, and no route for this host has the path".to_owned(),
        };
        let same_host = self
            .fits
            .iter()
            .filter(|(other, fit)| *fit == Suits && !std::ptr::eq(*other, route) && other.host == route.host);
        let less: Vec<_> = same_host
            .filter(|(other, _)| other.path != route.path)
            .map(|(other, _)| format!("`{}`", other.path))
            .collect();
        let over =
            if less.is_empty() { String::new() } else { format!(", which is more specific than {}", less.join(", ")) };
        let method = if route.methods.is_empty() {
            "the route takes any".to_owned()
        } else {
            format!("the route takes {}", methods(route))
        };
        vec![
            ("host", host),
            ("path", format!("fits `{}`{over}", route.path)),
            ("method", method),
            ("kind", route.kind.name().to_owned()),
            ("upstream", self.upstream(route)),
        ]
    }

    fn upstream(&self, route: &Route) -> String {
        let Some(upstream) = self.config.upstreams.get(route.upstream) else {
            return "none: the gateway answers by itself".to_owned();
        };
        let server = match &upstream.server {
            UpstreamServer::Http { host, port } => format!("http://{host}:{port}"),
            UpstreamServer::Https { host, port, .. } => format!("https://{host}:{port}"),
            UpstreamServer::Unix { path } => format!("unix:{}, path ", path.display()),
        };
        let stripped = route.strip_prefix.as_deref().and_then(|prefix| self.asked.path.strip_prefix(prefix));
        let path = match stripped {
            Some("") => "/",
            Some(rest) => rest,
            None => self.asked.path.as_str(),
        };
        format!("{}, as {} {server}{path}", upstream.name, self.method)
    }

    /// Every other route, and why it does not get the request.
    fn others(&self) -> impl Iterator<Item = (&Route, &'static str)> {
        let taken = match &self.way {
            Way::Route(route) => Some(*route),
            Way::Refused { .. } => None,
        };
        self.fits.iter().filter(move |(route, _)| !taken.is_some_and(|taken| std::ptr::eq(taken, *route))).map(
            move |(route, fit)| {
                let why = match (fit, taken) {
                    (OtherHost, _) => "is for another host",
                    (OtherPath, _) => "has another path",
                    (OtherMethod, _) => "is for other methods",
                    (Suits, Some(taken)) if taken.host != route.host => {
                        "would fit, but a route that names the host goes first"
                    }
                    (Suits, Some(taken)) if taken.path == route.path => {
                        "would fit, but a route that names the method goes first"
                    }
                    (Suits, Some(_)) => "would fit, but is less specific",
                    (Suits, None) => "would fit, were the request not refused before",
                };
                (*route, why)
            },
        )
    }

    fn to_json(&self) -> Value {
        let others: Vec<Value> =
            self.others().map(|(route, why)| json!({ "route": route.name, "path": route.path, "why": why })).collect();
        let mut answer = json!({
            "method": self.method.as_str(), "host": self.asked.host, "path": self.asked.path, "other_routes": others,
        });
        let Some(members) = answer.as_object_mut() else { return answer };
        match &self.way {
            Way::Route(route) => {
                let decided: serde_json::Map<_, _> =
                    self.decided(route).into_iter().map(|(name, why)| (name.to_owned(), why.into())).collect();
                let needs: Vec<Value> = needs(route, self.config)
                    .into_iter()
                    .map(|(status, what)| json!({ "status": status, "unless": what }))
                    .collect();
                members.extend([
                    ("route".to_owned(), route.name.clone().into()),
                    ("decided".to_owned(), decided.into()),
                    ("refused".to_owned(), needs.into()),
                ]);
            }
            Way::Refused { status, reason, why } => {
                let refused = json!({ "status": status, "reason": reason, "why": why });
                members
                    .extend([("route".to_owned(), Value::Null), ("refused".to_owned(), Value::Array(vec![refused]))]);
            }
        }
        answer
    }
}

/// What a request on this route must have, and the status without it.
fn needs(route: &Route, config: &Config) -> Vec<(u16, String)> {
    let mut needs: Vec<(u16, String)> = token(route, config).map(|token| (401, token)).into_iter().collect();
    let allow = &route.allow;
    let rules = [(allow.no_guests, "no guest"), (allow.no_view_only, "no viewer"), (allow.admin_only, "an admin")];
    needs.extend(rules.iter().filter(|(applies, _)| *applies).map(|(_, who)| (403, format!("a caller who is {who}"))));
    if !allow.accounts.is_empty() {
        needs.push((403, "a caller of one of allow.accounts".to_owned()));
    }
    if !route.require.is_empty() {
        let into =
            if route.kind == Kind::Authorization { "; without one a browser is sent into the flow by 303" } else { "" };
        needs.push((403, format!("a usable grant at each of: {}{into}", required(route))));
    }
    if route.cors.is_some() {
        needs.push((403, "a listed Origin, if it is a WebSocket handshake".to_owned()));
    }
    needs.push((413, format!("a body of at most {}", size_text(route.max_body))));
    needs.push((
        431,
        format!(
            "a head of at most {} and {} fields",
            size_text(config.server.limits.head as u64),
            config.server.limits.headers
        ),
    ));
    if let Some(issuer) = route.issuer.and_then(|at| config.issuers.get(at)) {
        needs.push((503, format!("a usable key of [issuers.{}], fetched at most six hours ago", issuer.name)));
    }
    if !route.require.is_empty() {
        needs.push((
            503,
            format!("a store that answers, and {} where a token must be refreshed first", required(route)),
        ));
    }
    if config.upstreams.get(route.upstream).is_some() {
        needs.push((504, format!("a backend that answers within {}", duration_text(route.timeout))));
    } else {
        needs.push((503, format!("a page that is ready within {}", duration_text(route.timeout))));
    }
    needs
}

/// The token that it must have, if any.
fn token(route: &Route, config: &Config) -> Option<String> {
    let row = if route.upstream == NO_UPSTREAM && route.kind == Kind::View {
        // The only such page: it makes links.
        &VIEW_IN_HEADER
    } else {
        route.kind.row()
    };
    let place = place(row.token)?;
    if let Some(issuer) = route.issuer.and_then(|at| config.issuers.get(at)) {
        return Some(issued(&place, issuer));
    }
    let (secret, app) = (secret(row.signed_by)?, config.apps.get(route.app?)?);
    let shape = match row.shape {
        Shape::Flat => "with accountId and userId, and without backToUrl",
        Shape::DatOrFlat => "with account and user ids, under dat or flat, and without backToUrl",
        Shape::FlatWithBackToUrl => "with accountId, userId and backToUrl",
        Shape::Configured | Shape::None => "",
    };
    Some(format!("one token, {place}, signed with {secret} of [apps.{}], not expired, {shape}", app.name))
}

/// The token of an issuer.
fn issued(place: &str, issuer: &Issuer) -> String {
    let Issuer { name, issuer, audience, required, .. } = issuer;
    let mut text =
        format!("one token, {place}, signed with a key of [issuers.{name}], not expired, with iss {issuer} and aud ");
    text.push_str(&audience.join(" or "));
    for (claim, wanted) in required {
        let _written = match wanted {
            Some(wanted) => write!(text, ", and {claim} {wanted}"),
            None => write!(text, ", and any {claim}"),
        };
    }
    text
}

fn required(route: &Route) -> String {
    route.require.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn place(place: TokenPlace) -> Option<String> {
    match place {
        TokenPlace::Header => Some("in Authorization, with or without `Bearer`".to_owned()),
        TokenPlace::HeaderOrQuery(name) => Some(format!("in Authorization or the query's `{name}`")),
        TokenPlace::Query(name) => Some(format!("in the query's `{name}`")),
        TokenPlace::Nowhere => None,
    }
}

const fn secret(signed_by: SignedBy) -> Option<&'static str> {
    match signed_by {
        SignedBy::Signing => Some("the signing_secret"),
        SignedBy::Client => Some("the client_secret"),
        SignedBy::SigningThenClient => Some("the signing_secret or the client_secret"),
        SignedBy::Issuer | SignedBy::Nobody => None,
    }
}

fn methods(route: &Route) -> String {
    route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// A route in a line.
fn shown(route: &Route) -> String {
    let host = route.host.as_deref().unwrap_or_default();
    let methods = if route.methods.is_empty() { "any method".to_owned() } else { methods(route) };
    format!("{host}{} ({methods}, {})", route.path, route.kind.name())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Secrets;
    use crate::config::load::load_text;

    const FILE: &str = r#"
        [server]
        listen = "127.0.0.1:8080"
        public_url = "https://gw.example.com"
        [apps.planner]
        client_secret = { env = "A" }
        signing_secret = { env = "B" }
        [upstreams.backend]
        servers = ["http://127.0.0.1:3000"]
        [[routes]]
        path = "/planner/{*rest}"
        app = "planner"
        kind = "action"
        upstream = "backend"
        strip_prefix = "/planner"
        [[routes]]
        path = "/planner/api/{*rest}"
        app = "planner"
        kind = "view"
        methods = ["GET"]
        upstream = "backend"
        allow = { admin_only = true }
        [[routes]]
        host = "files.example.com"
        path = "/{*rest}"
        kind = "public"
        upstream = "backend"
    "#;

    fn explained(method: &Method, url: &str) -> (String, Value) {
        let config = load_text("gateway.toml", FILE, Path::new("/"), Secrets::Assume)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        let answer = answer(method, url, &config).unwrap();
        (answer.to_text(), answer.to_json())
    }

    #[test]
    fn the_route_and_what_decided_it_are_named() {
        let (text, json) = explained(&Method::GET, "https://gw.example.com:8443/planner/api/boards?x=1#top");
        assert_eq!(json["route"], "/planner/api/{*rest}");
        for words in [
            "more specific than `/planner/{*rest}`",
            "the route takes GET",
            "the client_secret of [apps.planner]",
            "an admin",
            "as GET http://127.0.0.1:3000/planner/api/boards",
            "files.example.com/{*rest} (any method, public)  is for another host",
        ] {
            assert!(text.contains(words), "{words}:\n{text}");
        }
    }

    #[test]
    fn a_prefix_is_stripped_and_a_host_goes_first() {
        assert!(explained(&Method::POST, "/planner/run").0.contains("as POST http://127.0.0.1:3000/run"));
        let (text, json) = explained(&Method::POST, "http://FILES.example.com/planner/run");
        assert_eq!(json["decided"]["kind"], "public");
        assert!(text.contains("would fit, but a route that names the host goes first"), "{text}");
        assert!(!text.contains("401"), "{text}");
    }

    #[test]
    fn what_no_route_gets_is_told_with_its_status() {
        for (method, url, status, reason) in [
            (Method::POST, "/planner/api/x", 405, "no_method"),
            (Method::GET, "/nothing", 404, "no_route"),
            (Method::GET, "/planner/%2e%2e/x", 400, "malformed_path"),
            (Method::GET, "/planner//x", 400, "malformed_path"),
            (Method::GET, "/planner/x?a b", 400, "malformed_query"),
            (Method::TRACE, "/planner/x", 405, "method_refused"),
        ] {
            let (text, json) = explained(&method, url);
            let refused = &json["refused"][0];
            assert_eq!(
                (refused["status"].as_u64(), refused["reason"].as_str()),
                (Some(status), Some(reason)),
                "{text}"
            );
            assert!(text.contains("is refused with"), "{text}");
        }
    }

    #[test]
    fn a_page_that_the_gateway_serves_is_a_route_as_any_other() {
        let file = "[server]\nlisten = \"127.0.0.1:8080\"\npublic_url = \"https://gw.example.com\"\n[vault]\n\
            store = \"sqlite:vault.db\"\nkeys = [{ env = \"KEY\" }]\n[apps.pages]\nclient_id = \"x\"\n\
            client_secret = { env = \"CS\" }\nsigning_secret = { env = \"SS\" }\n[apps.pages.authorization]\n\
            path = \"/pages/authorize\"\ngrants = [\"monday\"]\n[upstreams.backend]\nservers = [\"http://127.0.0.1:3000\"]\n\
            [[routes]]\npath = \"/run\"\napp = \"pages\"\nkind = \"action\"\nupstream = \"backend\"\n";
        let config = load_text("gateway.toml", file, Path::new("/"), Secrets::Assume)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        let config = with_pages(&config);
        for (method, url, kind) in [
            (Method::GET, "/pages/authorize?token=x", "authorization"),
            (Method::GET, "/pages/authorize/callback/monday", "public"),
            (Method::POST, "/pages/authorize/connect", "view"),
        ] {
            let explained = answer(&method, url, &config).unwrap();
            assert_eq!(explained.to_json()["decided"]["kind"], kind, "{url}");
            let text = explained.to_text();
            assert!(text.contains("the gateway answers by itself") && !text.contains("a backend that"), "{text}");
            assert!(!text.contains("sessionToken"), "a link is asked for with a token in the field only: {text}");
        }
    }

    #[test]
    fn a_token_of_an_issuer_and_a_grant_that_is_required_are_told() {
        let whole = include_str!("../../config/whole.toml");
        let config = load_text("gateway.toml", whole, Path::new("/"), Secrets::Assume)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        let told = |url: &str| answer(&Method::POST, url, &config).unwrap().to_text();
        let clients = told("http://127.0.0.1:8443/clients/x");
        for words in [
            "POST 127.0.0.1:8443/clients/x takes",
            "401  one token, in Authorization",
            "a key of [issuers.own], not expired, with iss https://login.example.com and aud https://api.example.com",
            "and scope orders, and any tenant",
            "503  a usable key of [issuers.own]",
        ] {
            assert!(clients.contains(words), "{words}:\n{clients}");
        }
        let actions = told("https://gw.example.com/planner/actions/create");
        for words in ["403  a usable grant at each of: ", "503  a store that answers"] {
            assert!(actions.contains(words), "{words}:\n{actions}");
        }
    }

    #[test]
    fn what_is_no_url_is_said_so() {
        let config = load_text("gateway.toml", FILE, Path::new("/"), Secrets::Assume)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        for url in ["ftp://x/", "planner", "https://user@gw.example.com/", "https://"] {
            assert!(answer(&Method::GET, url, &config).is_err(), "{url}");
        }
    }
}
