//! Wrong providers: each refused at its line, with what would be right.

use super::{WHOLE, line_of, mutant, read, refused, warned};

/// A table of its own after the file: the mistake is at its n-th line, or in the table as a whole (its first).
fn provider(text: &str, line: usize, words: &str) {
    refused(&format!("{WHOLE}\n{text}"), WHOLE.lines().count() + 1 + line, words);
}

/// A right provider with one more line.
fn with(line: &str, words: &str) {
    let text = "[providers.x]\nauthorize_url = \"https://x.example/a\"\ntoken_url = \"https://x.example/t\"\nclient_id = \"x\"\n";
    provider(&format!("{text}{line}\n"), 5, words);
}

/// A right form with one key replaced.
fn form(from: &str, to: &str, line: usize, words: &str) {
    let text = "[providers.x]\ntype = \"api_key\"\nfields = [{ name = \"key\", label = \"API key\" }]\n\
        test = { url = \"https://x.example/me\", headers = { Authorization = \"Bearer {key}\" } }\n";
    assert!(text.contains(from), "{from}");
    provider(&text.replacen(from, to, 1), line, words);
}

#[test]
fn names_that_headers_or_paths_cannot_carry_are_refused() {
    let body = "preset = \"github\"\nclient_id = \"x\"\n";
    for (name, words) in [
        ("monday", "is built in"),
        ("Monday", "is built in"),
        ("monday-dev", "among `X-Monday-*`"),
        ("\"a b\"", "1 to 64 letters"),
        ("\"\"", "1 to 64 letters"),
        ("_x", "begins with a letter or a digit"),
        ("\"..\"", "begins with a letter or a digit"),
        ("forwarded", "cannot be set by a provider"),
    ] {
        provider(&format!("[providers.{name}]\n{body}"), 1, words);
    }
    with("name = \"\"", "1 to 64 characters");
    with("name = \"a\\u0007\"", "1 to 64 characters");
    for name in ["Authorization", "Cookie", "Host", "X-Monday-User-Id", "X-Forwarded-For", "X_A", "", "Connection"] {
        with(&format!("header = \"{name}\""), "");
    }
}

#[test]
fn there_is_exactly_one_way_to_a_provider() {
    provider("[providers.x]\nclient_id = \"x\"\n", 1, "says nowhere where the service is");
    provider("[providers.x]\nclient_id = \"x\"\nauthorize_url = \"https://x.example\"\n", 3, "add token_url");
    provider("[providers.x]\nclient_id = \"x\"\ntoken_url = \"https://x.example\"\n", 3, "add authorize_url");
    refused(
        &WHOLE.replace(
            "issuer = \"https://crm.example.com\"",
            "issuer = \"https://crm.example.com\"\ntoken_url = \"https://x.example\"",
        ),
        line_of(WHOLE, "issuer = \"https://crm.example.com\"") + 1,
        "there is one way to a provider",
    );
    for key in ["refresh_url", "revoke_url", "iss"] {
        let line = format!("issuer = \"https://crm.example.com\"\n{key} = \"https://x.example\"");
        let at = line_of(WHOLE, "issuer = \"https://crm.example.com\"") + 1;
        refused(&WHOLE.replace("issuer = \"https://crm.example.com\"", &line), at, "service's own metadata");
    }
    mutant("preset = \"github\"", "preset = \"gitub\"", "did you mean `github`");
    for url in [
        "",
        "x.example",
        "http://x.example",
        "http://10.0.0.1/token",
        "https://user:CANARY@x.example",
        "https://x.example/#a",
        "ftp://x.example",
        "https://",
        "https://x.example/ a",
    ] {
        for key in ["authorize_url", "token_url", "refresh_url", "revoke_url"] {
            let from = format!("{key} = \"https://github.example.com/");
            let line = line_of(WHOLE, &from);
            let rest = WHOLE.lines().nth(line - 1).unwrap();
            refused(
                &WHOLE.replacen(rest, &format!("{key} = \"{url}\""), 1),
                line,
                "https://login.example.com/oauth/token",
            );
        }
    }
}

#[test]
fn what_a_client_shows_and_asks_is_checked() {
    provider("[providers.x]\npreset = \"github\"\n", 1, "`client_id` is missing");
    mutant("client_id = \"Iv1\"", "client_id = \"a b\"", "visible ASCII");
    mutant("client_secret = \"CANARY-known\"", "client_secret = \"\"", "copy it from the service");
    mutant(
        "client_secret = [\"CANARY-github\", \"CANARY-github-old\"]",
        "client_secret = { env = \"UNSET\" }",
        "is not set",
    );
    with("authentication = \"basic\"", "there is no `client_secret`");
    with("pkce = false", "whoever sees a code could redeem it");
    with("scopes = [\"a b\"]", "no single scope");
    with("scopes = [\"\"]", "no single scope");
    with("scopes = [\"a\", \"a\"]", "twice");
    mutant("[\"repo\", \"user\"]", "[\"repo,user\"]", "no single scope");
    mutant("scope_separator = \",\"", "scope_separator = \"x\"", "between scopes");
    mutant("scope_parameter = \"user_scope\"", "scope_parameter = \"state\"", "the gateway itself sends `state`");
    mutant("scope_parameter = \"user_scope\"", "scope_parameter = \"a b\"", "no name of a parameter");
    for name in
        ["response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope"]
    {
        with(&format!("authorize_params = {{ {name} = \"x\" }}"), "the gateway itself sends");
    }
    mutant("{ prompt = \"consent\" }", "{ user_scope = \"x\" }", "the gateway itself sends");
    for name in ["grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier", "refresh_token"] {
        with(
            &format!("token_params = {{ {name} = \"CANARY-parameter-of-a-token-request\" }}"),
            "the gateway itself sends",
        );
    }
    with("authorize_params = { \"a b\" = \"x\" }", "a value has a name");
    with("authorize_params = { a = \"é\" }", "visible ASCII");
    with("authorize_params = { a = 1 }", "expected here");
}

#[test]
fn what_is_kept_of_an_answer_is_a_json_pointer_and_one_header() {
    mutant("token_at = \"/authed_user\"", "token_at = \"authed_user\"", "did you mean `/authed_user`");
    mutant("token_at = \"/authed_user\"", "token_at = \"/a~2\"", "no JSON pointer");
    mutant(
        "{ instance_url = \"/instance_url\" }",
        "{ instance_url = \"instance.url\" }",
        "did you mean `/instance/url`",
    );
    mutant("{ instance_url = \"/instance_url\" }", "{ instance_url = \"\" }", "the whole answer");
    mutant("keep = { login = \"/login\" }", "keep = { login = \"login\" }", "did you mean `/login`");
    refused(
        &WHOLE.replace("keep = { login = \"/login\" }\n", ""),
        line_of(WHOLE, "[providers.github.after]"),
        "`keep` is missing",
    );
    let twice = WHOLE.replace("{ instance_url = \"/instance_url\" }", "{ a_b = \"/a\", a-b = \"/b\" }");
    refused(&twice, line_of(WHOLE, "[providers.github]"), "in the same header, `x-github-a-b`");
    let token = "[providers.x]\npreset = \"github\"\nclient_id = \"x\"\nkeep = { access_token = \"/a\" }\n";
    provider(token, 1, "in the same header, `x-x-access-token`");
    for (key, words) in [
        ("keepalive = \"1s\"", "too little"),
        ("lifetime = \"0s\"", "too little"),
        ("lifetime = \"4000d\"", "too much"),
    ] {
        with(key, words);
    }
    mutant("connect_by = \"member\"", "connect_by = \"anybody\"", "known here: `admin`, `member`");
    with("connect_by = \"admin\"", "add per = \"account\"");
}

#[test]
fn a_form_has_fields_and_its_test_sends_them_over_https() {
    form("fields = [{ name = \"key\", label = \"API key\" }]\n", "", 1, "has `fields`");
    form("[{ name = \"key\", label = \"API key\" }]", "[]", 1, "has `fields`");
    let nine: Vec<String> = (0..9).map(|at| format!("{{ name = \"f{at}\", label = \"x\" }}")).collect();
    form("[{ name = \"key\", label = \"API key\" }]", &format!("[{}]", nine.join(", ")), 3, "at most 8 fields");
    form("\"API key\" }", "\"API key\" }, { name = \"key\", label = \"x\" }", 3, "the same name");
    form("name = \"key\"", "name = \"a b\"", 3, "a field has a name");
    form("\"API key\"", "\"\"", 3, "1 to 80 characters");
    form("name = \"key\", ", "", 3, "`name` is missing");
    for (url, words) in [
        ("http://x.example/me", "is http"),
        ("http://{key}/me", "is http"),
        ("{key}", ""),
        ("https://x.example/{kex}", "did you mean `key`"),
        ("https://x.example/{key", "stands alone"),
        ("https://user:{key}@x.example/", "a user in it"),
        ("x.example", "no URL"),
    ] {
        form("https://x.example/me", url, 4, words);
    }
    form("Bearer {key}", "Bearer {k}", 4, "`k` is no field");
    form("Bearer {key}", "Bearer", 4, "succeed with any key");
    form("Authorization =", "Host =", 4, "belongs to the connection");
    form("Authorization =", "\"a b\" =", 4, "no name of a header");
    form("Bearer {key}", "é", 4, "visible ASCII");
    for key in [
        "issuer = \"https://x.example\"",
        "client_id = \"x\"",
        "scopes = []",
        "pkce = true",
        "callback = \"/x\"",
        "keepalive = \"1d\"",
    ] {
        form("type = \"api_key\"\n", &format!("type = \"api_key\"\n{key}\n"), 3, "is for OAuth");
    }
    with("help_url = \"https://x.example\"", "is for API keys");
    with("fields = []", "is for API keys");
    mutant("help_url = \"https://desk.example.com/keys\"", "help_url = \"desk.example.com\"", "no URL");
}

#[test]
fn a_header_has_one_owner() {
    let same = "[providers.y]\npreset = \"github\"\nclient_id = \"x\"\nheader = \"x-github-token\"\n";
    provider(same, 4, "two providers set `x-github-token`");
    let value = "[providers.y]\npreset = \"github\"\nclient_id = \"x\"\nheader = \"X-Github-Login\"\n";
    provider(value, 4, "two providers set `x-github-login`");
    let injected = WHOLE.replace("X-Tenant =", "X-Github-Instance-Url =");
    refused(&injected, line_of(WHOLE, "X-Tenant ="), "carries a provider's grant");
}

#[test]
fn a_preset_is_overridden_key_by_key() {
    let text = WHOLE.replace(
        "[providers.known]\npreset = \"github\"",
        "[providers.known]\npreset = \"github\"\ntoken_url = \"http://127.0.0.1:1/token\"\nscopes = [\"a\"]\nname = \"Mine\"",
    );
    let loaded = read(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let known = loaded.config.providers.iter().find(|one| one.name == "known").unwrap();
    let client = known.client().unwrap();
    assert_eq!((known.display.as_str(), client.scopes.as_slice()), ("Mine", &["a".to_owned()][..]));
    let shown = format!("{:?}", client.endpoints);
    assert!(shown.contains("127.0.0.1") && shown.contains("github.com"), "{shown}");
    assert_eq!(known.header.as_str(), "x-known-access-token");
}

#[test]
fn a_provider_that_nothing_uses_is_warned_about() {
    warned(
        &WHOLE.replace("grants = [\"github\", \"known\"]", "grants = [\"github\"]"),
        "nothing uses provider `known`",
    );
}
