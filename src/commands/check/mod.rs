//! `monday-gateway check`: everything that is wrong in gateway.toml at once, and with `--print` what it means. Opens no
//! connection. Ends with 0 if a gateway would start with this file, with 1 if not. Certificates and keys are loaded by the code
//! that `run` loads them with.

pub(crate) mod files;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::commands::check::files::{BadFile, bad_files};
use crate::commands::effective::effective;
use crate::commands::register::{Registration, registrations};
use crate::config::mistake::in_all;
use crate::config::resolved::{Config, Route};
use crate::config::units::duration_text;
use crate::config::{Loaded, Mistakes, Secrets, load};
use crate::vault::StoreAddress;

/// What can be typed after `check`; the file's name comes from the options of all commands.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "three switches of a command line")]
pub(crate) struct Args {
    /// Show the effective configuration (secrets masked), the route table, and every URL to register at monday and where
    #[arg(long)]
    pub print: bool,
    /// Take all secrets and TLS files as given: for machines without them
    #[arg(long)]
    pub no_secrets: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks the file at `path`.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(crate) fn run(path: &Path, args: Args) -> ExitCode {
    let secrets = if args.no_secrets { Secrets::Assume } else { Secrets::Read };
    let checked = load(path, secrets);
    let bad = match &checked {
        _ if secrets == Secrets::Assume => Vec::new(),
        Ok(loaded) => bad_files(&loaded.config),
        // Where only secrets are missing, what the file names besides can be looked at all the same.
        Err(_) => load(path, Secrets::Assume).map_or_else(|_mistakes| Vec::new(), |loaded| bad_files(&loaded.config)),
    };
    let bad_text: String = bad.iter().map(BadFile::to_text).collect();
    match (&checked, args.json) {
        (Ok(loaded), false) if bad.is_empty() => print!("{}", summary(path, loaded, args)),
        (Ok(_), false) => eprint!("{bad_text}{}", in_all(bad.len())),
        (Ok(loaded), true) => println!("{:#}", summary_json(loaded, &bad, args)),
        (Err(mistakes), false) => eprint!("{bad_text}{}", mistakes.told(bad.len())),
        (Err(mistakes), true) => println!("{:#}", mistakes_json(mistakes, &bad)),
    }
    if checked.is_ok() && bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mistakes_json(mistakes: &Mistakes, bad: &[BadFile]) -> Value {
    let findings: Vec<Value> =
        mistakes.iter().map(crate::config::Mistake::to_json).chain(bad.iter().map(BadFile::to_json)).collect();
    json!({ "ok": false, "findings": findings })
}

fn summary_json(loaded: &Loaded, bad: &[BadFile], args: Args) -> Value {
    let warnings = loaded.warnings.iter().map(crate::config::Mistake::to_json);
    let findings: Vec<Value> = warnings.chain(bad.iter().map(BadFile::to_json)).collect();
    let mut answer = json!({ "ok": bad.is_empty(), "findings": findings, "notes": notes(&loaded.config) });
    if let (true, Some(object)) = (args.print, answer.as_object_mut()) {
        object.insert("configuration".to_owned(), effective(&loaded.config));
        let register: Vec<Value> = registrations(&loaded.config).iter().map(Registration::to_json).collect();
        object.insert("register".to_owned(), Value::Array(register));
    }
    answer
}

fn summary(path: &Path, loaded: &Loaded, args: Args) -> String {
    let config = &loaded.config;
    let mut text = String::new();
    for warning in &loaded.warnings {
        let _written = writeln!(text, "{warning}\n");
    }
    for note in notes(config) {
        let _written = writeln!(text, "note: {note}\n");
    }
    if args.print {
        text.push_str(&toml_text(&effective(config)));
        text.push_str(&route_table(config));
        text.push_str(&register_text(config));
    }
    let counted = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let parts = [
        counted(config.apps.len(), "app"),
        counted(config.upstreams.len(), "upstream"),
        counted(config.routes.len(), "route"),
        counted(loaded.warnings.len(), "warning"),
    ];
    let _written = writeln!(text, "{}: ok ({})", path.display(), parts.join(", "));
    text
}

/// What is right, and good to know.
fn notes(config: &Config) -> Vec<&'static str> {
    let store = config.vault.as_ref().map(|vault| match vault.store {
        StoreAddress::Sqlite(_) => {
            "the vault is a SQLite file, for one gateway only: several that share grants need PostgreSQL or Redis"
        }
        StoreAddress::Postgres(_) => "several gateways may share this vault",
        StoreAddress::Redis(_) => {
            "several gateways may share this vault; it is refused at start without an append-only file, or where it may evict"
        }
    });
    store.into_iter().collect()
}

/// The effective configuration as the file would write it.
fn toml_text(effective: &Value) -> String {
    let without_nulls = strip_nulls(effective.clone());
    toml::to_string(&without_nulls).unwrap_or_else(|_| format!("{without_nulls:#}\n"))
}

/// TOML has no null: what is absent is left out.
fn strip_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(strip_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn route_table(config: &Config) -> String {
    let head = ["HOST", "METHODS", "PATH", "KIND", "APP", "UPSTREAM", "TIMEOUT"].map(str::to_owned);
    let rows: Vec<[String; 7]> =
        std::iter::once(head).chain(config.routes.iter().map(|route| row(config, route))).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = "\n# Routes\n".to_owned();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _written = writeln!(text, "# {}", cells.join("  ").trim_end());
    }
    text
}

fn row(config: &Config, route: &Route) -> [String; 7] {
    let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
    let app = route.app.and_then(|index| config.apps.get(index)).map_or("-", |app| app.name.as_str());
    [
        route.host.clone().unwrap_or_else(|| "*".to_owned()),
        if methods.is_empty() { "*".to_owned() } else { methods.join(",") },
        route.path.clone(),
        route.kind.name().to_owned(),
        app.to_owned(),
        config.upstreams.get(route.upstream).map_or("-", |upstream| upstream.name.as_str()).to_owned(),
        duration_text(route.timeout),
    ]
}

fn register_text(config: &Config) -> String {
    let mut text = "\n# To register\n".to_owned();
    for one in registrations(config) {
        let _written = writeln!(text, "# {}  {}\n#     {}", one.app, one.url, one.place);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load::load_text;

    const WHOLE: &str = include_str!("../../config/whole.toml");

    fn loaded(text: &str) -> Loaded {
        load_text("gateway.toml", text, Path::new("/"), Secrets::Assume).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    #[test]
    fn the_effective_configuration_means_itself_once_secrets_are_put_back() {
        let config = loaded(WHOLE).config;
        let text = toml_text(&effective(&config));
        assert!(!text.contains("CANARY"), "{text}");
        // A key of the vault is 32 bytes in base64.
        let text_again = text.replace("keys = [\"********\"]", &format!("keys = [\"{}\"]", "0".repeat(43)));
        let again = loaded(&text_again.replace("********", "00000000000000000000000000000000")).config;
        assert_eq!(toml_text(&effective(&again)), text);
    }

    #[test]
    fn print_shows_routes_and_what_to_register_and_no_secret() {
        let loaded = loaded(WHOLE);
        let shown = summary(Path::new("gateway.toml"), &loaded, Args { print: true, ..Args::default() });
        for words in [
            "# HOST            METHODS   PATH",
            "https://gw.example.com/planner/actions/...\n#     the action block of an integration recipe: Run URL",
            "https://gw.example.com/planner/authorize\n#     the integration feature: Authorization URL",
            "https://gw.example.com/planner/authorize/callback/monday\n#     the app's OAuth page: Redirect URLs",
            "https://gw.example.com/old/github/callback\n#     at GitHub: the redirect URI (callback URL) of your OAuth client",
            "https://gw.example.com/planner/authorize/callback/crm\n#     at crm",
            "note: several gateways may share this vault",
            "gateway.toml: ok (3 apps, 2 upstreams, 4 routes, 11 warnings)\n",
        ] {
            assert!(shown.contains(words), "{words}:\n{shown}");
        }
        let json = summary_json(&loaded, &[], Args { print: true, json: true, ..Args::default() }).to_string();
        assert!(!shown.contains("CANARY") && !json.contains("CANARY"), "{shown}");
    }
}
