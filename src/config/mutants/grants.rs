//! Wrong Authorization URLs, vaults, issuers, internal listeners, pages, and what routes ask of them: each refused at its line.

use super::{ROUTE, WHOLE, line_of, mutant, read, refused, warned};

const GRANTS: &str = "grants = [\"monday\", \"github\", \"crm\", \"desk\"]";
const VIEW: &str = "path = \"/planner/api/{board}/{*rest}\"";

/// One more line before `before`'s: refused there.
fn before(before: &str, line: &str, words: &str) {
    refused(&WHOLE.replacen(before, &format!("{line}\n{before}"), 1), line_of(WHOLE, before), words);
}

#[test]
fn one_of_grants_and_status_url_decides() {
    before(GRANTS, "status_url = \"https://x.example\"", "one of the two decides");
    before(GRANTS, "upstream = \"backend\"", "goes with `status_url`");
    refused(
        &WHOLE.replace(&format!("{GRANTS}\n"), ""),
        line_of(WHOLE, "[apps.planner.authorization]"),
        "says nowhere what makes a user authorized",
    );
    let status = "status_url = \"http://127.0.0.1:3000/status\"";
    refused(
        &WHOLE.replace("upstream = \"backend\"\n\n[providers", "\n[providers"),
        line_of(WHOLE, status),
        "`upstream` is missing",
    );
    mutant(
        "upstream = \"backend\"\n\n[providers.github]",
        "upstream = \"beckend\"\n\n[providers.github]",
        "did you mean `backend`",
    );
    mutant(
        "upstream = \"backend\"\n\n[providers.github]",
        "upstream = \"plain\"\n\n[providers.github]",
        "signing_secret",
    );
    mutant(status, "status_url = \"http://x.example/status\"", "is http");
    for key in [
        "identity = \"confirm\"",
        "on_uninstall = \"keep\"",
        "events = { url = \"https://x.example\", key = { env = \"SET_IN_TESTS\" } }",
    ] {
        before(status, key, "the backend keeps its own");
    }
    refused(
        &WHOLE.replace("signing_secret = \"CANARY-other-signing-0123456789-0123456789\"\n", ""),
        line_of(WHOLE, "[apps.other.authorization]") - 1,
        "verified with `signing_secret`",
    );
}

#[test]
fn grants_are_known_once_and_in_an_order_that_tells_who_connects() {
    mutant(GRANTS, "grants = []", "asks for nothing");
    mutant(GRANTS, "grants = [\"monday\", \"monday\"]", "twice");
    mutant(GRANTS, "grants = [\"monday\", \"gitub\"]", "did you mean `github`");
    mutant(GRANTS, "grants = [\"github\", \"monday\"]", "`monday` is asked first");
    mutant(GRANTS, "grants = [\"crm\"]", "only monday's `me` can say");
    let confirmed = WHOLE.replace(GRANTS, "grants = [\"github\"]");
    refused(&confirmed, line_of(WHOLE, "identity = \"monday\""), "asks for no monday grant");
    mutant("identity = \"monday\"", "identity = \"confirm\"", "a confirmation tells less");
    let bare = WHOLE.replace("client_id = \"5f0c\"\n", "");
    refused(&bare, line_of(&bare, GRANTS), "app `planner` has no client_id");
    let unlocked = WHOLE.replace("[vault]", "[vaults]");
    refused(&unlocked, line_of(WHOLE, "[vault]"), "did you mean `vault`");
    refused(&unlocked, line_of(WHOLE, GRANTS), "kept in a vault, and there is none");
    mutant(GRANTS, "grants = \"monday\"", "a list is expected here");
}

#[test]
fn a_way_back_leads_to_hosts_that_are_named() {
    for (host, words) in [
        ("https://x.example", "always https"),
        ("x.example/y", "always https"),
        ("x.example:8443", "without a port"),
        ("127.0.0.2:8443", "without a port"),
        ("127.0.0.1:443", "without a port"),
        ("127.0.0.1:0", "without a port"),
        ("127.0.0.1:08443", "without a port"),
        ("127.0.0.1:65536", "without a port"),
        ("localhost:", "without a port"),
        ("*.localhost:8443", "without a port"),
        ("*", "no host"),
        ("*.com", "nearly everybody"),
        ("*.*.com", "no host"),
        ("a*.example.com", "no host"),
        ("", "no host"),
        ("x y", "no host"),
        ("user@x.example", "no host"),
        ("münchen.example", "no host"),
    ] {
        mutant("back_to = [\"*.monday.com\", \"planner.example.com\"]", &format!("back_to = [\"{host}\"]"), words);
    }
    mutant("back_to = [\"*.monday.com\", \"planner.example.com\"]", "back_to = []", "empty");
}

#[test]
fn events_are_signed_with_a_whole_key() {
    let key = "key = \"whsec_Q0FOQVJZLWV2ZW50cy0wMTIzNDU2Nzg5LTAxMjM0NQ==\"";
    for to in ["\"\"", "\"CANARY-short\"", "\"whsec_CANARY\"", "\"whsec_Q0FOQVJZ\"", "{ env = \"SHORT\" }"] {
        mutant(key, &format!("key = {to}"), "whsec_");
    }
    mutant("url = \"https://backend.example.com/events\"", "url = \"http://backend.example.com/events\"", "is http");
}

#[test]
fn what_the_gateway_serves_is_no_routes() {
    let open = "path = \"/open\"";
    for path in [
        "/planner/authorize",
        "/planner/authorize/",
        "/planner/authorize/{*rest}",
        "/planner/authorize/callback/github",
        "/planner/authorize/{page}",
        "/old/github/callback",
        "/other/authorize",
        "/planner/{*rest}",
        "/{*rest}",
        "/planner/{page}",
        "/{a}/{b}",
        "/old/{*rest}",
    ] {
        refused(
            &WHOLE.replace(open, &format!("path = \"{path}\"")),
            line_of(WHOLE, open),
            "the gateway itself answers",
        );
    }
    for path in ["/planner/authorized", "/planner/pages/{*rest}", "/{a}/pages", "/other/authorize/pages/{*rest}"] {
        assert!(read(&WHOLE.replace(open, &format!("path = \"{path}\""))).is_ok(), "{path}");
    }
    for path in ["/{*rest}", "/planner/{*rest}", "/{a}/authorize"] {
        let text = WHOLE.replace(open, &format!("path = \"{path}\"\nhost = \"gw.example.com\""));
        refused(&text, line_of(WHOLE, open), "a route with a `host` is asked first");
    }
    let from = "path = \"/other/authorize\"";
    for path in ["/planner/authorize", "/planner/authorize/other"] {
        refused(&WHOLE.replace(from, &format!("path = \"{path}\"")), line_of(WHOLE, from), "overlap");
    }
    for (path, words) in [
        ("other", "begins with `/`"),
        ("/", "everything is below"),
        ("/other/", "did you mean `/other`"),
        ("/{a}", "stands for itself only"),
        ("/a//b", "one slash"),
        ("/a/../b", "`..`"),
        ("/a?b", "query"),
        ("", "begins with `/`"),
    ] {
        mutant(from, &format!("path = \"{path}\""), words);
        mutant("callback = \"/old/github/callback\"", &format!("callback = \"{path}\""), words);
    }
    for page in ["", "/connect", "/connections", "/keys/desk", "/callback/crm"] {
        let callback = format!("callback = \"/planner/authorize{page}\"");
        mutant("callback = \"/old/github/callback\"", &callback, "or of a page below it");
    }
    for free in ["/planner/authorize/callback/github", "/planner/authorize/callback", "/other/authorize/done"] {
        let text = WHOLE.replace("callback = \"/old/github/callback\"", &format!("callback = \"{free}\""));
        assert!(read(&text).is_ok(), "{free}");
    }
    before("per = \"account\"", "callback = \"/old/github/callback\"", "the same callback");
}

#[test]
fn a_store_is_one_that_keeps_and_is_not_shown() {
    let store = "store = \"postgres://gateway:CANARY-store@127.0.0.1/vault\"";
    for (to, words) in [
        ("\"\"", ""),
        ("\"vault.db\"", "no store that is known"),
        ("\"sqlite:\"", "names no file"),
        ("\"sqlite::memory:\"", "outlive"),
        ("\"mysql://u:CANARY@h/d\"", "no store that is known"),
        ("\"redis://\"", "no host"),
        ("{ env = \"UNSET\" }", "is not set"),
        ("{ env = \"SET_IN_TESTS\" }", "no store that is known"),
        ("5", "expected here"),
    ] {
        mutant(store, &format!("store = {to}"), words);
    }
    for (to, words) in [
        ("postgres://u:CANARY@127.0.0.1/d", "stands in the file itself"),
        ("postgres://db.internal/d?sslmode=disable", "without TLS"),
        ("postgresql://u:CANARY@10.0.0.1/d?sslmode=disable", "without TLS"),
        ("redis://cache.internal", "without TLS"),
    ] {
        warned(&WHOLE.replace(store, &format!("store = \"{to}\"")), words);
    }
    for to in [
        "sqlite:data/vault.db",
        "postgres://db.internal/d",
        "postgres://db.internal/d?sslmode=prefer",
        "postgres://db.internal/d?sslmode=verify-full",
        "rediss://cache.internal",
        "redis://[::1]",
        "postgresql:///d?host=/run/postgresql",
    ] {
        let loaded =
            read(&WHOLE.replace(store, &format!("store = \"{to}\""))).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(!loaded.warnings.iter().any(|warning| warning.key == "vault.store"), "{to}: {:?}", loaded.warnings);
    }
}

#[test]
fn a_vaults_key_is_32_bytes_in_base64() {
    let keys = "keys = [\"Q0FOQVJZLXZhdWx0LWtleS0wMTIzNDU2Nzg5LTAxMjM=\"]";
    for (to, words) in [
        ("[]", "empty"),
        ("\"CANARY not base64\"", "is not base64"),
        ("\"Q0FOQVJZ\"", "has 6 bytes"),
        (
            "[\"Q0FOQVJZLXZhdWx0LWtleS0wMTIzNDU2Nzg5LTAxMjM=\", \"Q0FOQVJZLXZhdWx0LWtleS0wMTIzNDU2Nzg5LTAxMjM\"]",
            "the same",
        ),
        ("{ env = \"UNSET\" }", "is not set"),
        ("{ env = \"SHORT\" }", "vault key"),
    ] {
        mutant(keys, &format!("keys = {to}"), words);
    }
    mutant("stale = \"2m\"", "stale = \"2d\"", "too much");
    mutant("cache_entries = 1000", "cache_entries = 0", "too little");
    mutant("cache_entries = 1000", "cache_entries = 99999999", "too much");
    mutant("audit = \"audit.jsonl\"", "audit = \"\"", "names no file");
}

#[test]
fn a_file_without_routes_is_right_where_pages_or_the_internal_api_are_served() {
    let file = |more: &str| {
        format!(
            "[server]\nlisten = \"127.0.0.1:8443\"\npublic_url = \"https://gw.example.com\"\n[apps.planner]\n\
            client_id = \"x\"\nclient_secret = \"CANARY-{pad}\"\nsigning_secret = \"CANARY+{pad}\"\n\
            [upstreams.backend]\nservers = [\"http://127.0.0.1:3000\"]\nsigning_secret = \"CANARY/{pad}\"\n{more}",
            pad = "0".repeat(32)
        )
    };
    let vault = format!("[vault]\nstore = \"sqlite:v.db\"\nkeys = [\"{}\"]\n", "A".repeat(43));
    let authorization = "[apps.planner.authorization]\npath = \"/authorize\"\n";
    let internal = "[internal.clients.one]\nkey = \"CANARY-0123456789-0123456789-0123456789\"\napps = [\"planner\"]\n\
        grants = [\"monday\"]\n";
    for more in [
        format!("{authorization}status_url = \"http://127.0.0.1:3000/status\"\nupstream = \"backend\"\n"),
        format!("{authorization}grants = [\"monday\"]\n{vault}"),
        format!("{vault}{internal}"),
    ] {
        assert!(read(&file(&more)).unwrap_or_else(|mistakes| panic!("{mistakes}")).config.routes.is_empty(), "{more}");
    }
    refused(&file(&vault), 1, "there is no route");
}

#[test]
fn an_issuer_is_named_to_the_byte_and_only_where_its_tokens_come() {
    mutant("issuer = \"https://login.example.com\"", "issuer = \"http://login.example.com\"", "is http");
    mutant("issuer = \"https://login.example.com\"", "issuer = \"https://login.example.com?x\"", "has no query");
    mutant("jwks_url = \"https://login.example.com/jwks\"", "jwks_url = \"file:///jwks\"", "https://");
    mutant("audience = [\"https://api.example.com\"]", "audience = [\"\"]", "nobody's");
    mutant("audience = [\"https://api.example.com\"]", "audience = []", "empty");
    mutant("account = \"org_id\"", "account = \"\"", "names no claim");
    mutant("{ scope = \"orders\", tenant = true }", "{ tenant = false }", "required or not named");
    mutant("{ scope = \"orders\", tenant = true }", "{ tenant = 7 }", "expected here");
    mutant("issuer = \"own\"", "issuer = \"owm\"", "did you mean `own`");
    refused(&WHOLE.replace("issuer = \"own\"\n", ""), line_of(WHOLE, "path = \"/clients") - 1, "`issuer` is missing");
    before(ROUTE, "issuer = \"own\"", "are monday's, and no issuer's");
    let clients = "path = \"/clients/{*rest}\"\napp = \"planner\"\n";
    let nobodys = WHOLE.replace(clients, "path = \"/clients/{*rest}\"\n");
    refused(
        &nobodys,
        line_of(WHOLE, "path = \"/clients") - 1,
        "grants, `leeway` and metrics of these requests are an app's",
    );
    let unused = WHOLE.replace("kind = \"jwt\"\nissuer = \"own\"", "kind = \"action\"");
    warned(&unused, "no route uses issuer `own`");
}

#[test]
fn the_internal_api_is_near_or_behind_certificates_and_knows_its_clients() {
    let listen = "listen = \"0.0.0.0:9465\"";
    let tls = &WHOLE[WHOLE.find("[internal.tls]").unwrap()..WHOLE.find("[internal.clients").unwrap()];
    refused(&WHOLE.replace(tls, ""), line_of(WHOLE, listen), "readable, for whoever has a key");
    assert!(read(&WHOLE.replace(tls, "").replace(listen, "listen = \"[::1]:9465\"")).is_ok());
    assert!(read(&WHOLE.replace(tls, "").replace(listen, "listen = \"unix:/run/gateway.sock\"")).is_ok());
    refused(&WHOLE.replace(listen, "listen = \"unix:/run/x.sock\""), line_of(WHOLE, "[internal.tls]"), "permissions");
    mutant(listen, "listen = \"unix:x.sock\"", "absolute path");
    mutant(listen, "listen = \"9465\"", "no address");
    mutant(listen, "listen = \"127.0.0.1:8443\"", "taken twice");
    mutant(listen, "listen = \"127.0.0.1:9464\"", "taken twice");
    let clients = &WHOLE[WHOLE.find("[internal.clients").unwrap()..WHOLE.find("[pages]").unwrap()];
    refused(&WHOLE.replace(clients, ""), line_of(WHOLE, "[internal]"), "has no clients");
    let key = "key = \"CANARY-backend-0123456789-0123456789\"";
    mutant(key, "key = \"CANARY-short\"", "32 random bytes");
    let apps = "apps = [\"planner\"]";
    mutant(apps, "apps = [\"planer\"]", "did you mean `planner`");
    mutant(apps, "apps = [\"bare\"]", "signed with its `app_id`");
    mutant(apps, "apps = []", "empty");
    mutant("grants = [\"github\", \"known\"]", "grants = [\"gitub\"]", "did you mean `github`");
    let table = "[internal.clients.backend]";
    refused(&WHOLE.replace("grants = [\"github\", \"known\"]", ""), line_of(WHOLE, table), "`grants` is missing");
    let can = "can = [\"read\", \"list\", \"revoke\", \"sign\"]";
    mutant(can, "can = []", "may do nothing");
    mutant(can, "can = [\"read\", \"read\"]", "twice");
    mutant(can, "can = [\"write\"]", "known here");
    let second = format!("{WHOLE}\n[internal.clients.other]\n{key}\n{apps}\ngrants = [\"github\"]\n");
    refused(&second, WHOLE.lines().count() + 2, "the same key");
}

#[test]
fn pages_say_only_what_pages_can_show() {
    mutant("name = \"Planner\"", "name = \"\"", "1 to 64 characters");
    mutant("logo = \"logo.svg\"", "logo = \"logo.bmp\"", ".svg");
    for color in ["blue", "#fff", "0b5fcc", "#0b5fcg", ""] {
        mutant("color = \"#0b5fcc\"", &format!("color = \"{color}\""), "no colour");
    }
    for support in ["help", "http://example.com", "a@b", "javascript:alert(1)", "a b@example.com", ""] {
        mutant("support = \"help@example.com\"", &format!("support = \"{support}\""), "no mail address");
    }
}

#[test]
fn routes_carry_grants_that_are_known_and_theirs_to_have() {
    let open = "path = \"/open\"";
    for key in ["grants", "require"] {
        before(open, &format!("{key} = [\"github\"]"), "a public route knows nobody");
        before(VIEW, &format!("{key} = [\"gitub\"]"), "did you mean `github`");
        before(VIEW, &format!("{key} = [\"github\", \"github\"]"), "twice");
        let guests = WHOLE.replace("guests = false\n", "");
        let text = guests.replace(VIEW, &format!("{key} = [\"crm\"]\n{VIEW}"));
        refused(&text, line_of(WHOLE, VIEW), "the whole account's");
        assert!(read(&WHOLE.replace(VIEW, &format!("{key} = [\"crm\"]\n{VIEW}"))).is_ok());
    }
    let other = WHOLE.replace("app = \"planner\"\nkind = \"action\"", "app = \"other\"\nkind = \"action\"");
    refused(&other, line_of(WHOLE, "require = [\"monday\"]"), "app `other` has no client_id and client_secret");
    warned(&other.replace("require = [\"monday\"]\n", ""), "nobody can connect here");
    warned(&WHOLE.replace("scopes = [\"me:read\", \"boards:read\"]\n", ""), "and nothing else");
    warned(&WHOLE.replace("kind = \"action\"", "kind = \"authorization\""), "leads another one to a backend");
    refused(
        &WHOLE.replace("\"https://gw.example.com\"", "\"http://gw.example.com\""),
        4,
        "codes and cookies would cross",
    );
    mutant("scopes = [\"me:read\", \"boards:read\"]", "scopes = [\"me:read boards:read\"]", "no single scope");
}

#[test]
fn a_route_has_by_default_the_grants_of_its_app_where_only_monday_calls() {
    let names = |text: &str| -> Vec<(Vec<String>, Vec<String>)> {
        let loaded = read(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let of = |all: &[std::sync::Arc<crate::oauth::provider::Provider>]| {
            all.iter().map(|one| one.name.clone()).collect::<Vec<_>>()
        };
        loaded.config.routes.iter().map(|route| (of(&route.grants), of(&route.require))).collect()
    };
    let [view, action, jwt, public] = names(WHOLE).try_into().unwrap();
    assert_eq!(action, (vec!["github".to_owned(), "monday".to_owned()], vec!["monday".to_owned()]));
    assert!(view.0.is_empty() && jwt.0.is_empty() && public.0.is_empty());
    let default = names(&WHOLE.replace("grants = [\"github\"]\nrequire = [\"monday\"]\n", ""));
    assert_eq!(default[1].0, ["monday", "github", "crm", "desk"]);
    assert!(default[1].1.is_empty());
    let none = names(&WHOLE.replace("grants = [\"github\"]\nrequire = [\"monday\"]\n", "grants = []\n"));
    assert!(none[1].0.is_empty());
}

#[test]
fn a_value_beside_a_token_is_in_no_header_that_backends_trust_for_something_else() {
    for (provider, field) in [("forwarded", "for"), ("real", "ip"), ("request", "id")] {
        let fields =
            ["key", field].map(|name| format!("[[providers.{provider}.fields]]\nname = \"{name}\"\nlabel = \"x\"\n"));
        let table = format!("\n[providers.{provider}]\ntype = \"api_key\"\n{}", fields.concat());
        let text = format!("{WHOLE}{table}");
        let line = text.lines().position(|line| line == format!("[providers.{provider}]")).unwrap() + 1;
        refused(&text, line, "cannot be set by a provider");
    }
}
