//! The Authorization URL as users meet it: consent at monday and at providers, and every way in which it goes otherwise.

use serde_json::json;

use crate::support::fake_monday::{ApiFailure, Generation, Monday};
use crate::support::fake_provider::{GOOD_KEY, Provider, key_service};
use crate::support::mint::{ACCOUNT, BACK_TO, USER, kind};
use crate::support::oauth_server::{Failure, Pkce};
use crate::support::peers::Peer;
use crate::support::scene::{
    AUTHORIZE, NEXT_VAULT_KEY, Scene, VAULT_KEY, act, authorization_url, call, connect_all, consent, got,
    view_token_with,
};
use crate::support::visitor::{Page, Visitor};

/// The address of the gateway's page is one that says no token, and the page is one that a reader can do something with.
fn assert_is_a_page(page: &Page, what: &str) {
    assert!(page.is_gateways(), "{what}: {}", page.url);
    assert!(page.field("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{what}: {:?}", page.answer);
    let words = page.words();
    assert!(words.len() > 40 && page.text().contains("<h1"), "{what}: {words}");
    let policy = page.field("content-security-policy").unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe-inline") && !page.text().contains("<script"), "{what}: {policy}");
    assert!(page.field("cache-control").is_some_and(|value| value.contains("no-store")), "{what}: {:?}", page.answer);
    assert!(
        page.field("referrer-policy").is_some_and(|value| matches!(value, "no-referrer" | "same-origin")),
        "{what}"
    );
}

fn assert_says(page: &Page, status: u16, words: &[&str]) {
    assert_is_a_page(page, page.url.as_str());
    assert_eq!(page.status(), status, "{} {}", page.url, page.words());
    for word in words {
        assert!(page.words().contains(word), "no `{word}`: {}", page.words());
    }
}

async fn granted(gateway: &crate::support::gateway::Gateway) -> String {
    got(&act(gateway).await, "x-monday-grants").unwrap_or_default()
}

#[tokio::test]
async fn a_user_goes_through_two_providers_once_and_straight_back_afterwards() {
    for (what, monday) in [("2.1", Monday::v21()), ("legacy", Monday::legacy())] {
        let scene = Scene::with(monday, vec![(Provider::standard("github"), "name = \"GitHub\"\n".into())]);
        let gateway = scene.start();
        assert_eq!(granted(&gateway).await, "monday=missing, github=missing", "{what}");
        let mut visitor = Visitor::new(&gateway);
        let page = visitor.visit(&authorization_url(BACK_TO)).await;
        assert_says(&page, 200, &["1 of 2: monday.com", "2 of 2: GitHub", "planner"]);
        assert_says(&page, 200, &[&ACCOUNT.to_string(), &USER.to_string()]);
        let at_monday = visitor.press(&page, "Continue to monday.com").await;
        assert!(at_monday.text().contains("Allow access?"), "{what}: {}", at_monday.text());
        assert!(at_monday.url.query().unwrap().contains("subdomain=myaccount"), "{what}: {}", at_monday.url);
        let between = visitor.press(&at_monday, "Allow").await;
        assert_says(&between, 200, &["2 of 2: GitHub", "done"]);
        let at_github = visitor.press(&between, "Continue to GitHub").await;
        let end = visitor.press(&at_github, "Allow").await;
        assert_eq!(end.url.as_str(), BACK_TO, "{what}: {}", end.text());

        let again = visitor.look(&authorization_url(BACK_TO)).await;
        assert!(matches!(again.status(), 302 | 303), "{what}: {again:?}");
        assert_eq!(again.field("location"), Some(BACK_TO), "{what}");
        let mut elsewhere = Visitor::new(&gateway);
        let elsewhere = elsewhere.look(&authorization_url(BACK_TO)).await;
        assert_eq!(elsewhere.field("location"), Some(BACK_TO), "{what}: whoever has the grants goes straight back");

        let answer = act(&gateway).await;
        assert_eq!(got(&answer, "x-monday-grants").as_deref(), Some("monday=ok, github=ok"), "{what}");
        assert_eq!(got(&answer, "x-monday-access-token"), Some(scene.monday.oauth.last_access()), "{what}");
        let github = scene.provider("github").oauth.last_access();
        assert_eq!(got(&answer, "x-github-access-token"), Some(github), "{what}");
        assert_eq!(scene.token_calls(), 2, "{what}: one exchange each");
        assert_eq!(scene.monday.api_calls(), 1, "{what}");
        no_address_has_a_token(&visitor, &scene);
    }
}

/// O3: no token of anybody in an address that the gateway sends a browser to, but monday's own link.
fn no_address_has_a_token(visitor: &Visitor<'_>, scene: &Scene) {
    let sent: Vec<&str> = visitor.answers.iter().filter_map(|answer| answer.field("location")).collect();
    for secret in scene.secrets() {
        assert!(!sent.iter().any(|address| address.contains(&secret)), "{secret} in {sent:?}");
    }
    assert!(!sent.iter().any(|address| address.contains("token=")), "{sent:?}");
}

#[tokio::test]
async fn providers_with_every_quirk_are_gone_through() {
    let quirks: Vec<(&str, Provider, &str)> = vec![
        (
            "Basic, no PKCE, comma",
            Provider::start("slack", |m| {
                m.basic = Some(true);
                m.pkce = Pkce::Refused;
            }),
            "pkce = false\nauthentication = \"basic\"\nscope_separator = \",\"\nscopes = [\"a\", \"b\"]\n",
        ),
        (
            "JSON, errors with 200, the token elsewhere, another scope parameter",
            Provider::start("slack", |m| {
                m.json = Some(true);
                m.errors_with_200 = true;
                m.token_in = Some("authed_user".into());
                m.more = json!({ "team": { "id": "T-77" } });
                m.scope_parameter = "user_scope".into();
                m.wants = vec![("access_type".into(), "offline".into())];
            }),
            "format = \"json\"\ntoken_at = \"/authed_user\"\nscope_parameter = \"user_scope\"\nscopes = [\"a\"]\n\
             authorize_params = { access_type = \"offline\" }\nkeep = { team = \"/team/id\" }\n",
        ),
    ];
    for (what, provider, keys) in quirks {
        let has_team = keys.contains("team");
        let scene = Scene::with(Monday::v21(), vec![(provider, keys.into())]);
        let gateway = scene.start();
        let mut visitor = Visitor::new(&gateway);
        connect_all(&mut visitor).await;
        let answer = act(&gateway).await;
        assert_eq!(got(&answer, "x-monday-grants").as_deref(), Some("monday=ok, slack=ok"), "{what}");
        let token = scene.provider("slack").oauth.last_access();
        assert_eq!(got(&answer, "x-slack-access-token"), Some(token), "{what}");
        assert_eq!(got(&answer, "x-slack-team").as_deref(), has_team.then_some("T-77"), "{what}");
    }
}

#[tokio::test]
async fn whoever_denies_gets_a_page_and_can_try_again() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let denied = visitor.press(&at_monday, "Deny").await;
    assert_says(&denied, 403, &["monday.com was not connected", "Back to monday.com"]);
    assert!(!denied.text().contains("<b>"), "a provider's words are words");
    assert_eq!(scene.token_calls(), 0);
    let again = visitor.press(&denied, "Try again").await;
    let end = consent(&mut visitor, again).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());

    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let between = visitor.press(&at_monday, "Allow").await;
    let at_github = visitor.press(&between, "Continue to ").await;
    let denied = visitor.press(&at_github, "Deny").await;
    assert_says(&denied, 403, &["was not connected"]);
    assert_eq!(granted(&gateway).await, "monday=ok, github=missing");
    let home = visitor.press(&denied, "Back to monday.com").await;
    assert_eq!(home.url.as_str(), BACK_TO);
}

#[tokio::test]
async fn a_providers_faults_end_on_pages_that_name_it() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let decoy = key_service();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let mut between = visitor.press(&at_monday, "Allow").await;
    let failures = [
        Failure::Status(500),
        Failure::Garbage,
        Failure::Body("{}"),
        Failure::Body("[]"),
        Failure::Body("{\"access_token\":7}"),
        Failure::Body("{\"access_token\":\"\"}"),
        Failure::Body("{\"access_token\":\"a\\r\\nX-Monday-App: b\"}"),
        Failure::Error("invalid_client"),
        Failure::Error("invalid_grant"),
        Failure::Redirect(decoy.url("/token")),
        Failure::Huge(3 * 1024 * 1024),
    ];
    let cases = failures.len();
    for failure in failures {
        scene.provider("github").oauth.state().failure = Some(failure.clone());
        let at_github = visitor.press(&between, "Continue to ").await;
        let failed = visitor.press(&at_github, "Allow").await;
        assert_is_a_page(&failed, &format!("{failure:?}"));
        assert!(failed.status() >= 400, "{failure:?}: {} {}", failed.status(), failed.words());
        assert!(failed.words().to_lowercase().contains("github"), "{failure:?}: {}", failed.words());
        assert_eq!(granted(&gateway).await, "monday=ok, github=missing", "{failure:?}");
        between = visitor.press(&failed, "Try again").await;
    }
    assert!(decoy.asked().is_empty(), "a redirect of a token endpoint was followed");
    scene.provider("github").oauth.state().failure = None;
    let end = consent(&mut visitor, between).await;
    assert_eq!(end.url.as_str(), BACK_TO);
    println!("cases: {cases} faults of a token endpoint (O6)");
}

#[tokio::test]
async fn an_api_of_monday_that_fails_stores_nothing() {
    let scene = Scene::usual();
    let gateway = scene.start();
    for failure in [ApiFailure::Errors, ApiFailure::Status, ApiFailure::Garbage] {
        scene.monday.fail_api(Some(failure.clone()));
        let mut visitor = Visitor::new(&gateway);
        let start = visitor.visit(&authorization_url(BACK_TO)).await;
        let end = consent(&mut visitor, start).await;
        assert_is_a_page(&end, &format!("{failure:?}"));
        assert!(end.status() >= 400, "{failure:?} {}", end.words());
        assert_eq!(granted(&gateway).await, "monday=missing, github=missing", "{failure:?}");
    }
}

#[tokio::test]
async fn an_app_that_is_not_installed_is_installed_on_the_way() {
    let scene = Scene::usual();
    scene.monday.oauth.state().installed = false;
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    connect_all(&mut visitor).await;
    assert!(scene.monday.oauth.state().installed);
}

#[tokio::test]
async fn another_monday_user_is_told_so_and_can_switch() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let others =
        [(ACCOUNT, USER + 1, "myaccount"), (ACCOUNT + 1, USER, "elsewhere"), (ACCOUNT + 1, USER + 1, "elsewhere")];
    for (account, user, slug) in others {
        scene.monday.sign_in(|person| (person.account, person.user, person.slug) = (account, user, slug.into()));
        let mut visitor = Visitor::new(&gateway);
        let start = visitor.visit(&authorization_url(BACK_TO)).await;
        let stopped = consent(&mut visitor, start).await;
        assert_says(&stopped, 403, &["Another account is signed in", &account.to_string(), &user.to_string()]);
        assert!(!granted(&gateway).await.contains("=ok"), "{account} {user} {slug}");
        scene.monday.sign_in(|_| ());
        let switched = visitor.press(&stopped, "Switch account").await;
        let at_monday = visitor.press(&switched, "Continue to ").await;
        assert!(!at_monday.url.query().unwrap_or_default().contains("subdomain="), "{}", at_monday.url);
        let between = visitor.press(&at_monday, "Allow").await;
        assert_says(&between, 200, &["2 of 2"]);
        assert_eq!(granted(&gateway).await, "monday=ok, github=missing");
        disconnect(&gateway, &mut visitor, "monday.com").await;
    }
}

/// By the connections page.
async fn disconnect(gateway: &crate::support::gateway::Gateway, visitor: &mut Visitor<'_>, provider: &str) {
    let page = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
    assert_says(&page, 200, &["Your connections"]);
    let after = visitor.press(&page, &format!("Disconnect {provider}")).await;
    assert_says(&after, 200, &["Your connections"]);
    assert!(!granted(gateway).await.contains(&format!("{}=ok", provider.trim_end_matches(".com").to_lowercase())));
}

#[tokio::test]
async fn five_tabs_at_once_end_each_where_it_belongs() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let homes: Vec<String> = (0..5).map(|n| format!("https://myaccount.monday.com/boards/{n}")).collect();
    let mut tabs = Vec::new();
    for home in &homes {
        let page = visitor.visit(&authorization_url(home)).await;
        tabs.push(visitor.press(&page, "Continue to ").await);
    }
    for (tab, home) in tabs.iter().zip(&homes).rev() {
        let next = visitor.press(tab, "Allow").await;
        let end = consent(&mut visitor, next).await;
        assert_eq!(end.url.as_str(), home, "{}", end.text());
    }
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
}

#[tokio::test]
async fn the_back_button_leads_to_pages_with_a_way_on() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    connect_all(&mut visitor).await;
    let trail: Vec<String> = visitor.trail.iter().filter(|at| at.starts_with("https://gw.test")).cloned().collect();
    let calls = scene.token_calls();
    for address in trail.iter().rev() {
        let page = visitor.visit(address).await;
        if page.status() == 0 {
            assert_eq!(page.url.as_str(), BACK_TO, "{address}");
            continue;
        }
        assert_is_a_page(&page, address);
        let words = page.words();
        let way_on = ["Try again", "Go on to monday.com", "Back to monday.com", "Continue to "];
        assert!(way_on.iter().any(|way| words.contains(way)), "{address}: {words}");
    }
    assert_eq!(scene.token_calls(), calls, "a used code is not sent again");
    println!("cases: {} pages loaded again", trail.len());
}

#[tokio::test]
async fn consent_that_is_given_twice_in_one_flow_does_no_harm() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let first = visitor.press(&at_monday, "Allow").await;
    assert_says(&first, 200, &["2 of 2"]);
    let second = visitor.press(&at_monday, "Allow").await;
    assert_says(&second, 400, &["This attempt has expired", "Try again"]);
    let on = visitor.press(&second, "Try again").await;
    let end = consent(&mut visitor, on).await;
    assert_eq!(end.url.as_str(), BACK_TO);
}

#[tokio::test]
async fn an_attempt_of_eleven_minutes_has_expired_and_the_tokens_own_time_does_not_matter() {
    let mut scene = Scene::usual();
    scene.movable_clock = true;
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    gateway.move_clock(9 * 60);
    let between = visitor.press(&at_monday, "Allow").await;
    assert_says(&between, 200, &["2 of 2"]);
    let at_github = visitor.press(&between, "Continue to ").await;
    gateway.move_clock(9 * 60 + 11 * 60);
    let calls = scene.token_calls();
    let expired = visitor.press(&at_github, "Allow").await;
    assert_says(&expired, 400, &["This attempt has expired"]);
    assert_eq!(scene.token_calls(), calls);
    let on = visitor.press(&expired, "Try again").await;
    let end = consent(&mut visitor, on).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
}

#[tokio::test]
async fn a_flow_goes_on_after_a_key_rotation() {
    let mut scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let between = visitor.press(&at_monday, "Allow").await;
    assert_says(&between, 200, &["2 of 2"]);
    let at_github = visitor.press(&between, "Continue to ").await;
    let cookies = visitor.cookies();
    scene.vault_keys = vec![NEXT_VAULT_KEY, VAULT_KEY];
    let gateway = scene.restart(gateway);
    let mut visitor = Visitor::new(&gateway);
    for (name, value) in &cookies {
        visitor.set_cookie(name, value);
    }
    let end = visitor.press(&at_github, "Allow").await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
}

#[tokio::test]
async fn a_cookie_from_before_the_keys_were_changed_ends_on_a_page() {
    let mut scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    connect_all(&mut visitor).await;
    let cookies = visitor.cookies();
    scene.vault_keys = vec![NEXT_VAULT_KEY];
    scene.store = "sqlite:another.db".into();
    let gateway = scene.restart(gateway);
    let mut visitor = Visitor::new(&gateway);
    for (name, value) in &cookies {
        visitor.set_cookie(name, value);
    }
    let page = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
    assert_says(&page, 401, &["Open this from monday.com"]);
    connect_all(&mut visitor).await;
}

#[tokio::test]
async fn keys_that_a_user_types_in_are_tried_before_they_are_kept() {
    let service = key_service();
    let mut scene = Scene::with(Monday::v21(), Vec::new());
    scene.grants = vec!["monday", "desk"];
    scene.tables = format!(
        "[providers.desk]\ntype = \"api_key\"\nname = \"Desk\"\nfields = [{{ name = \"key\", label = \"API key\" }}]\n\
         test = {{ url = \"{}\", headers = {{ Authorization = \"Bearer {{key}}\" }} }}\n",
        service.url("/me")
    );
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let between = visitor.press(&at_monday, "Allow").await;
    let form = visitor.press(&between, "Continue to Desk").await;
    assert_says(&form, 200, &["Your key for Desk", "API key"]);
    let refused = visitor.fill_in(&form, "Connect Desk", &[("field-key", "wrong-canary-key-5555")]).await;
    assert_says(&refused, 422, &["Desk"]);
    assert!(!refused.text().contains("wrong-canary-key-5555"), "what was typed comes back");
    let done = visitor.fill_in(&refused, "Connect Desk", &[("field-key", GOOD_KEY)]).await;
    // After a form the way out is a link: a form may lead to this origin only.
    assert_says(&done, 200, &["Connected", "Go on to monday.com"]);
    let end = visitor.press(&done, "Go on to monday.com").await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    let answer = act(&gateway).await;
    assert_eq!(got(&answer, "x-desk-access-token").as_deref(), Some(GOOD_KEY));
    gateway.assert_printed_none(&[GOOD_KEY, "wrong-canary-key-5555"]);
}

#[tokio::test]
async fn an_app_without_a_monday_grant_asks_who_it_is() {
    let mut scene = Scene::usual();
    scene.grants = vec!["github"];
    scene.authorization = "identity = \"confirm\"\n".into();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    assert_says(&page, 200, &["Is this you?", &ACCOUNT.to_string(), &USER.to_string()]);
    // A link to the provider is of no use before the question is answered, and the answer is a POST from this page.
    let next = visitor.press(&page, "Yes, this is me").await;
    let end = consent(&mut visitor, next).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    assert_eq!(granted(&gateway).await, "github=ok");
}

#[tokio::test]
async fn scopes_that_grew_are_asked_for_again() {
    let provider = Provider::standard("github");
    let mut scene = Scene::with(Monday::v21(), vec![(provider, "scopes = [\"repo\"]\n".into())]);
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    scene.providers[0].1 = "scopes = [\"repo\", \"gist\"]\n".into();
    let gateway = scene.restart(gateway);
    assert_eq!(granted(&gateway).await, "monday=ok, github=insufficient");
    // What it was good for it still is: nobody's automations stop because the configuration grew.
    assert_eq!(call(&gateway, "needs", &kind("action").token()).await.status, 200);
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    let end = consent(&mut visitor, page).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
    assert!(visitor.trail.iter().any(|at| at.contains("gist")), "{:?}", visitor.trail);
}

#[tokio::test]
async fn one_person_connects_for_the_whole_account() {
    let provider = Provider::standard("github");
    let scene = Scene::with(Monday::v21(), vec![(provider, "per = \"account\"\n".into())]);
    let gateway = scene.start();
    // Neither a member who is no admin, nor a guest.
    for (admin, guest) in [(false, false), (false, true), (true, true)] {
        scene.monday.sign_in(|person| (person.admin, person.guest) = (admin, guest));
        let mut visitor = Visitor::new(&gateway);
        let start = visitor.visit(&authorization_url(BACK_TO)).await;
        let end = consent(&mut visitor, start).await;
        assert_says(&end, 403, &["An admin has to connect"]);
        assert_eq!(granted(&gateway).await, "monday=ok, github=missing", "{admin} {guest}");
    }
    scene.monday.sign_in(|_| ());
    let mut visitor = Visitor::new(&gateway);
    let at_once = visitor.visit(&authorization_url(BACK_TO)).await;
    let end = consent(&mut visitor, at_once).await;
    let end = if end.is_gateways() {
        disconnect(&gateway, &mut visitor, "monday.com").await;
        let start = visitor.visit(&authorization_url(BACK_TO)).await;
        consent(&mut visitor, start).await
    } else {
        end
    };
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    // Everyone of the account has it, nobody of another.
    let colleague = crate::support::scene::action_token_of(ACCOUNT, USER + 5);
    let told = got(&call(&gateway, "action", &colleague).await, "x-monday-grants");
    assert_eq!(told.as_deref(), Some("monday=missing, github=ok"));
    let stranger = crate::support::scene::action_token_of(ACCOUNT + 5, USER);
    let told = got(&call(&gateway, "action", &stranger).await, "x-monday-grants");
    assert_eq!(told.as_deref(), Some("monday=missing, github=missing"));
}

#[tokio::test]
async fn a_view_connects_with_a_ticket_and_a_reconnect_link_does_too() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let token = kind("view").token();
    let lines = format!("Authorization: {token}\r\nContent-Type: application/json\r\n");
    let answer = gateway.request("POST", &format!("{AUTHORIZE}/connect"), &lines, "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://gw.test/planner/authorize/"), "{url}");
    assert!(!url.contains(&token), "{url}");
    let mut visitor = Visitor::new(&gateway);
    let start = visitor.visit(&url).await;
    let end = consent(&mut visitor, start).await;
    assert_says(&end, 200, &["Connected"]);
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
    let again = Visitor::new(&gateway).visit(&url).await;
    assert!(again.status() >= 400, "a ticket is used once: {}", again.text());

    // Through the query, the token would be in histories and logs.
    let by_query = format!("{AUTHORIZE}/connect?sessionToken={token}");
    let refused = gateway.request("POST", &by_query, "Content-Type: application/json\r\n", "{}").await;
    assert!(matches!(refused.status, 400 | 401), "{}", refused.status);

    // A grant that died: the 403 has a link to a new one.
    disconnect(&gateway, &mut visitor, "github").await;
    let refused = call(&gateway, "viewneeds", &kind("view").token()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let link = refused.json()["reconnect"].as_str().unwrap().to_owned();
    let refused = call(&gateway, "needs", &kind("action").token()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.json()["severityCode"], 4000);
    assert!(refused.text().contains("https://gw.test/planner/authorize/"), "{}", refused.text());
    let start = visitor.visit(&link).await;
    let end = consent(&mut visitor, start).await;
    assert_says(&end, 200, &["Connected"]);
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
    assert_eq!(call(&gateway, "needs", &kind("action").token()).await.status, 200);
}

#[tokio::test]
async fn a_ticket_of_a_view_lasts_a_minute() {
    let mut scene = Scene::usual();
    scene.movable_clock = true;
    let gateway = scene.start();
    let lines = format!("Authorization: {}\r\nContent-Type: application/json\r\n", kind("view").token());
    let answer = gateway.request("POST", &format!("{AUTHORIZE}/connect"), &lines, "{}").await;
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    gateway.move_clock(62);
    let late = Visitor::new(&gateway).visit(&url).await;
    assert_is_a_page(&late, "a late ticket");
    assert!(late.status() >= 400, "{}", late.text());
}

#[tokio::test]
async fn the_connections_page_connects_and_disconnects() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let nobody = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
    assert_says(&nobody, 401, &["Open this from monday.com"]);
    connect_all(&mut visitor).await;
    let page = visitor.visit(&format!("{AUTHORIZE}/connections")).await;
    assert_says(&page, 200, &["Your connections", "monday.com", "Connected", &USER.to_string()]);
    let after = visitor.press(&page, "Disconnect github").await;
    assert_says(&after, 200, &["Your connections", "Disconnected"]);
    assert_eq!(granted(&gateway).await, "monday=ok, github=revoked");
    let revoked = scene.provider("github").oauth.site.asked();
    assert!(!revoked.is_empty());
    let connecting = visitor.press(&after, "onnect github").await;
    let end = consent(&mut visitor, connecting).await;
    assert!(end.status() == 200, "{} {}", end.status(), end.text());
    assert_eq!(granted(&gateway).await, "monday=ok, github=ok");
}

#[tokio::test]
async fn npms_oidc_provider_is_gone_through_and_refreshed() {
    let provider = Peer::oidc(&json!({ "accessLife": 3600 }));
    let mut scene = Scene::with(Monday::v21(), Vec::new());
    scene.grants = vec!["monday", "oidc"];
    scene.tables = format!(
        "[providers.oidc]\nissuer = \"{}\"\nclient_id = \"oidc-client\"\nclient_secret = \"canary-oidc-client-secret-0123456789abcdef\"\n\
         authentication = \"basic\"\nscopes = [\"openid\", \"offline_access\"]\nauthorize_params = {{ prompt = \"consent\" }}\n",
        provider.url()
    );
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let between = visitor.press(&at_monday, "Allow").await;
    let login = visitor.press(&between, "Continue to oidc").await;
    let asked = visitor.fill_in(&login, "Sign-in", &[("login", "dana"), ("password", "any")]).await;
    let end = visitor.press(&asked, "Continue").await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    assert_eq!(granted(&gateway).await, "monday=ok, oidc=ok");
}

#[tokio::test]
async fn a_legacy_monday_gives_a_token_for_ever() {
    let scene = Scene::with(Monday::start(Generation::Legacy, |_| ()), Vec::new());
    let mut scene = Scene { grants: vec!["monday"], ..scene };
    scene.movable_clock = true;
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    gateway.move_clock(400 * 24 * 3600);
    let mut claims = kind("action").claims();
    for time in ["iat", "exp"] {
        claims[time] = json!(claims[time].as_i64().unwrap() + 400 * 24 * 3600);
    }
    let token = crate::support::mint::sign(&claims, crate::support::mint::SIGNING);
    let answer = call(&gateway, "action", &token).await;
    assert_eq!(got(&answer, "x-monday-access-token"), Some(scene.monday.oauth.last_access()));
    assert_eq!(scene.token_calls(), 1);
}

#[tokio::test]
async fn what_is_the_accounts_goes_to_views_that_keep_guests_out() {
    let provider = Provider::standard("github");
    let mut scene = Scene::with(Monday::v21(), vec![(provider, "per = \"account\"\n".into())]);
    scene.tables =
        "[[routes]]\npath = \"/planner/members/{*rest}\"\napp = \"planner\"\nkind = \"view\"\nupstream = \"backend\"\n\
                    grants = [\"github\"]\nallow = { guests = false }\n"
            .into();
    let gateway = scene.start();
    connect_all(&mut Visitor::new(&gateway)).await;
    let member = kind("view").token();
    let guest = view_token_with(|dat| dat["is_guest"] = json!(true));
    let given = got(&call(&gateway, "members", &member).await, "x-github-access-token");
    assert_eq!(given, Some(scene.provider("github").oauth.last_access()));
    assert_eq!(call(&gateway, "members", &guest).await.status, 403);
}
