//! `monday-gateway explain token`: what a token says, who signed it, and why each kind accepts it or not.
//! The verdict is that of `pipeline::verify` itself; the steps before it only put it in words. Nothing that is printed can
//! be used as a token: no signature, no short-lived token, no secret.

use std::fmt::Write as _;
use std::io::Read;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::commands::explain::issued;
use crate::commands::minting::{self, MintFault};
use crate::config::resolved::{App, Config};
use crate::jwt::{Compact, Key};
use crate::limits::TOKEN_BYTES;
use crate::monday::claims::{Claims, ClaimsFlaw};
use crate::monday::kinds::{KINDS, Kind, Shape, TokenPlace};
use crate::pipeline::refusal::{Refusal, Unauthorized};
use crate::pipeline::reply::detail::log_detail;
use crate::pipeline::verify::{Asked, judge};
use crate::snapshot::build::app_keys;

/// Say why a token is accepted, or not.
///
/// Reads the token from the command line, or from standard input if there is none, with or without `Bearer `. It is not sent
/// anywhere; for an issuer's token, the issuer's keys are fetched. Without --kind, all kinds are tried.
#[derive(Debug, Args)]
pub(crate) struct ExplainTokenArgs {
    /// The token; standard input if absent or `-`.
    token: Option<String>,
    /// The app, by its name in gateway.toml; needed if there are several.
    #[arg(long)]
    app: Option<String>,
    /// The kind of the route.
    #[arg(long, value_parser = minting::kind_by_name)]
    kind: Option<Kind>,
    /// The path that is requested, for an app with audience = "exact"; by default the one in the token.
    #[arg(long)]
    path: Option<String>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) good: bool,
    pub(super) says: String,
}

/// What a kind, or one issuer of its tokens, says.
pub(super) struct Verdict {
    pub(super) kind: &'static str,
    /// Its table's name.
    pub(super) issuer: Option<String>,
    /// The metrics' label.
    pub(super) result: &'static str,
    /// Why it is refused.
    pub(super) refused: Option<String>,
}

/// Everything that there is to say.
pub(super) struct Explanation {
    pub(super) steps: Vec<Step>,
    pub(super) verdicts: Vec<Verdict>,
}

/// Runs the command; 0 when the kind, or any kind, accepts the token.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: &ExplainTokenArgs, config: &Config) -> ExitCode {
    let token = match &args.token {
        Some(token) if token != "-" => token.clone(),
        Some(_) | None => from_stdin(),
    };
    let explained = explain(args, config, token.trim(), Clock::system().unix_seconds());
    match explained {
        Ok(explained) => {
            let accepted = explained.verdicts.iter().any(|verdict| verdict.refused.is_none());
            print!("{}", if args.json { explained.to_json() } else { explained.to_text() });
            if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn from_stdin() -> String {
    let mut text = String::new();
    // What is cut off here is far too long to be a token, and is said to be.
    match std::io::stdin().take(2 * TOKEN_BYTES as u64).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

fn explain(args: &ExplainTokenArgs, config: &Config, token: &str, now: i64) -> Result<Explanation, String> {
    if args.kind == Some(Kind::Public) {
        return Err(MintFault::Public.to_string());
    }
    let app = minting::app(config, args.app.as_deref()).map_err(|fault| fault.to_string())?;
    let bare = match token.split_once([' ', '\t']) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => token,
    };
    if args.kind == Some(Kind::Jwt) || args.kind.is_none() && issued::is_issued(bare, config) {
        return issued::explain(bare, config, app, now);
    }
    let mut steps = Vec::new();
    let claims = read(bare, config, app, &mut steps);
    if let Some(claims) = &claims {
        explain_claims(claims, config, app, now, &mut steps);
    }
    let came = claims.as_ref().and_then(|claims| claims.get("aud")?.as_str()).unwrap_or_default();
    let path = args.path.clone().unwrap_or_else(|| path_of(came));
    let keys = app_keys(app);
    let verdicts: Vec<_> = KINDS
        .iter()
        .filter(|row| row.is_mondays() && args.kind.is_none_or(|kind| kind == row.kind))
        .map(|row| {
            let asked = Asked { row, app: Some(&keys), public_urls: &config.server.public_urls, path: &path, now };
            (row, judged(bare, &asked))
        })
        .collect();
    let elsewhere = verdicts.iter().any(|(_, verdict)| matches!(verdict, Err(Unauthorized::Audience { .. })));
    for step in steps.iter_mut().filter(|step| step.what == "aud") {
        step.good = !elsewhere;
    }
    let verdicts = verdicts.into_iter().map(|(row, judged)| Verdict::new(row.name, judged)).collect();
    Ok(Explanation { steps, verdicts })
}

/// What `verify` says to the token in its place.
fn judged(token: &str, asked: &Asked<'_>) -> Result<(), Unauthorized> {
    if let TokenPlace::Query(name) = asked.row.token {
        let encoded = form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
        judge(std::iter::empty(), Some(&format!("{name}={encoded}")), asked).map(|_| ())
    } else {
        judge(std::iter::once(token.as_bytes()), None, asked).map(|_| ())
    }
}

/// Form, header and signature. Gives the payload if it can be decoded at all, trusted or not.
fn read(token: &str, config: &Config, app: &App, steps: &mut Vec<Step>) -> Option<Value> {
    let compact = match Compact::split(token) {
        Ok(compact) => compact,
        Err(flaw) => {
            steps.push(Step { what: "form", good: false, says: words(&Unauthorized::Token(flaw)) });
            return None;
        }
    };
    steps.push(Step { what: "form", good: true, says: "a compact token with alg HS256".to_owned() });
    steps.push(signature(&compact, config, app));
    let mut payload = Vec::new();
    if let Err(flaw) = compact.payload(&mut payload) {
        steps.push(Step { what: "claims", good: false, says: words(&Unauthorized::Token(flaw)) });
        return None;
    }
    let strict = [Shape::DatOrFlat, Shape::FlatWithBackToUrl]
        .map(|shape| Claims::parse(Bytes::copy_from_slice(&payload), shape));
    match strict {
        [Ok(_), _] | [_, Ok(_)] => {}
        [Err(ClaimsFlaw::Malformed(why)), _] => steps.push(Step { what: "claims", good: false, says: why }),
        [Err(flaw), _] => steps.push(Step { what: "claims", good: false, says: flaw.to_string() }),
    }
    serde_json::from_slice(&payload).ok()
}

/// Whose secret it is.
fn signature(compact: &Compact<'_>, config: &Config, app: &App) -> Step {
    let others = config.apps.iter().filter(|other| other.name != app.name);
    let candidates = std::iter::once(app)
        .chain(others)
        .flat_map(|app| [(app, "signing_secret", &app.signing_secrets), (app, "client_secret", &app.client_secrets)]);
    for (owner, name, secrets) in candidates {
        let keys: Vec<_> = secrets.iter().map(Key::new).collect();
        if let Ok(at) = compact.verify(&keys) {
            let which = if keys.len() > 1 { format!(" (number {})", at + 1) } else { String::new() };
            let says = format!("made with the {name}{which} of the app {}", owner.name);
            return Step { what: "signature", good: owner.name == app.name, says };
        }
    }
    let says = "fits no secret in gateway.toml; the claims below are only what the token says".to_owned();
    Step { what: "signature", good: false, says }
}

/// What the claims say, each on its own; `judged` decides.
fn explain_claims(claims: &Value, config: &Config, app: &App, now: i64, steps: &mut Vec<Step>) {
    explain_times(claims, app, now, steps);
    if let Some(aud) = claims.get("aud") {
        let expected: Vec<_> =
            config.server.public_urls.iter().map(|url| format!("{}{}", url.origin(), url.path)).collect();
        let says = format!("{aud}; the gateway is at {}", expected.join(", "));
        steps.push(Step { what: "aud", good: true, says });
    }
    let dat = claims.get("dat").filter(|dat| dat.is_object());
    let top = dat.unwrap_or(claims);
    let shape = if dat.is_some() { "claims under `dat`" } else { "flat claims" };
    let ids = if dat.is_some() { ["account_id", "user_id"] } else { ["accountId", "userId"] };
    let value = |id: &str| top.get(id).map_or_else(|| "absent".to_owned(), Value::to_string);
    let shown: Vec<_> = ids.iter().map(|id| format!("{id} {}", value(id))).collect();
    let back = if claims.get("backToUrl").is_some() { ", with backToUrl" } else { "" };
    steps.push(Step { what: "shape", good: true, says: format!("{shape}: {}{back}", shown.join(", ")) });
    for (within, name) in [(top, "client_id"), (top, "app_id"), (claims, "platformAppId")] {
        if let Some(named) = within.get(name) {
            let own = if name == "client_id" { json!(app.client_id) } else { json!(app.app_id) };
            let good = own.is_null() || own == *named;
            let own = if own.is_null() { "not in gateway.toml".to_owned() } else { own.to_string() };
            steps.push(Step { what: name_of(name), good, says: format!("{named}; the app's: {own}") });
        }
    }
}

/// `exp`, `nbf` and `iat`.
pub(super) fn explain_times(claims: &Value, app: &App, now: i64, steps: &mut Vec<Step>) {
    let leeway = i64::try_from(app.leeway.as_secs()).unwrap_or(i64::MAX);
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    if let Some(exp) = time("exp") {
        let good = now < exp.saturating_add(leeway);
        steps.push(Step { what: "exp", good, says: format!("{} (leeway {leeway} s)", when(exp, now)) });
    }
    for name in ["nbf", "iat"] {
        if let Some(from) = time(name) {
            let good = now.saturating_add(leeway) >= from;
            let doubt = if good { "" } else { ": is this machine's clock right?" };
            steps.push(Step { what: name_of(name), good, says: format!("{}{doubt}", when(from, now)) });
        }
    }
}

fn name_of(name: &str) -> &'static str {
    match name {
        "nbf" => "nbf",
        "iat" => "iat",
        "client_id" => "client_id",
        "app_id" => "app_id",
        _ => "platformAppId",
    }
}

/// A time in words.
fn when(time: i64, now: i64) -> String {
    let distance = now.abs_diff(time);
    let (days, hours, minutes, seconds) = (distance / 86_400, distance / 3600 % 24, distance / 60 % 60, distance % 60);
    let words = match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    };
    if time > now { format!("{time}, in {words}") } else { format!("{time}, {words} ago") }
}

fn path_of(url: &str) -> String {
    url.parse::<http::Uri>().map_or_else(|_none| "/".to_owned(), |uri| uri.path().to_owned())
}

/// A token may carry what a terminal obeys.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(super) fn words(why: &Unauthorized) -> String {
    log_detail(&Refusal::Unauthorized(why.clone())).to_string()
}

impl Verdict {
    /// A kind's.
    pub(super) fn new(kind: &'static str, judged: Result<(), Unauthorized>) -> Self {
        let result = judged.as_ref().map_or_else(Unauthorized::label, |()| "ok");
        Self { kind, issuer: None, result, refused: judged.err().map(|why| words(&why)) }
    }
}

impl Explanation {
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let mark = if step.good { "ok " } else { "NO " };
            let _written = writeln!(text, "{mark} {:<14} {}", step.what, printable(&step.says));
        }
        text.push('\n');
        for Verdict { kind, issuer, refused, .. } in &self.verdicts {
            let says = refused.as_ref().map_or_else(|| "accepted".to_owned(), |why| format!("refused: {why}"));
            let by = issuer.as_ref().map_or_else(|| (*kind).to_owned(), |name| format!("{kind}, {name}"));
            let _written = writeln!(text, "{by:<18} {}", printable(&says));
        }
        text
    }

    pub(super) fn to_json(&self) -> String {
        let steps: Vec<_> =
            self.steps.iter().map(|step| json!({ "what": step.what, "ok": step.good, "says": step.says })).collect();
        let kinds: Vec<_> = self
            .verdicts
            .iter()
            .map(|Verdict { kind, issuer, result, refused }| {
                let mut told = json!({ "kind": kind, "accepted": refused.is_none(), "result": result });
                for (name, value) in [("issuer", issuer), ("says", refused)] {
                    if let (Some(value), Some(told)) = (value, told.as_object_mut()) {
                        told.insert(name.to_owned(), json!(value));
                    }
                }
                told
            })
            .collect();
        format!("{}\n", json!({ "steps": steps, "kinds": kinds }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::minting::tests as minted;

    const NOW: i64 = 1_800_000_000;

    fn explained(token: &str, kind: Option<Kind>) -> (String, String) {
        let args = ExplainTokenArgs { token: None, app: None, kind, path: None, json: false };
        let explained = explain(&args, &minted::config(), token, NOW).unwrap();
        (explained.to_text(), explained.to_json())
    }

    fn token(words: &[&str]) -> String {
        minting::mint(&minted::args(words), &minted::config(), None, NOW).unwrap().token
    }

    #[test]
    fn an_accepted_token_is_explained_without_anything_that_could_be_used() {
        let token = token(&[]);
        let (text, json) = explained(&format!("Bearer {token}"), None);
        assert!(text.contains("action             accepted"), "{text}");
        assert!(text.contains("view               refused: the signature fits signing_secret"), "{text}");
        assert!(text.contains("made with the signing_secret of the app planner"), "{text}");
        assert!(json.contains(r#""kind":"action","result":"ok""#), "{json}");
        let signature = token.rsplit_once('.').unwrap().1;
        for shown in [text, json] {
            assert!(!shown.contains(signature) && !shown.contains("canary") && !shown.contains("eyJ"), "{shown}");
        }
    }

    #[test]
    fn a_refused_token_is_told_why() {
        for (words, says) in [
            (&["--expired"][..], "1 d 0 h ago"),
            (&["--aud", "https://other.example.com/x"], "no public_url of gateway.toml"),
            (&["--claims", r#"{"iat":1800009000}"#], "is this machine's clock right?"),
            (&["--claims", r#"{"platformAppId":8}"#], "8; the app's: 7"),
            (&["--claims", r#"{"exp":"x"}"#], "`exp` is no integer"),
        ] {
            let (text, _) = explained(&token(words), Some(Kind::Action));
            assert!(text.contains(says) && text.contains("refused"), "{text}");
        }
        let forged = format!("{}A", token(&[]).rsplit_once('.').unwrap().0.to_owned() + "." + &"A".repeat(42));
        assert!(explained(&forged, None).0.contains("fits no secret in gateway.toml"));
        assert!(explained("nonsense", None).0.contains("NO  form"));
    }

    #[test]
    fn the_authorization_urls_token_is_judged_in_its_place() {
        let (text, _) = explained(&token(&["--kind", "authorization"]), Some(Kind::Authorization));
        assert!(text.contains("authorization      accepted"), "{text}");
    }

    #[test]
    fn a_time_is_told_in_words() {
        assert_eq!(when(1000, 940), "1000, in 1 min 0 s");
        assert_eq!(when(1000, 1000), "1000, 0 s ago");
        assert_eq!(when(1000, 1000 + 7261), "1000, 2 h 1 min ago");
        assert_eq!(when(0, 90_000), "0, 1 d 1 h ago");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\n"), "a?[2J?b?");
    }
}
