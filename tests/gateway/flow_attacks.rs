//! What attackers do with an Authorization URL (O1 to O8, R22): redirects elsewhere, states that are missing, stolen or used,
//! codes of another server, sessions and links of somebody else. After each the token endpoints were asked for nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::backend::{Backend, Step};
use crate::support::fake_monday::Monday;
use crate::support::fake_provider::Provider;
use crate::support::gateway::Gateway;
use crate::support::mint::{self, ACCOUNT, BACK_TO, SIGNING, USER, kind};
use crate::support::peers;
use crate::support::raw::{self, Raw};
use crate::support::scene::{
    AUTHORIZE, Scene, act, action_token_of, authorization_url, authorization_url_of, call, connect_all, consent, got,
};
use crate::support::setup::Setup;
use crate::support::visitor::{Page, Visitor};

async fn granted(gateway: &Gateway) -> String {
    got(&act(gateway).await, "x-monday-grants").unwrap_or_default()
}

/// An address that is no place for a browser.
const ELSEWHERE: &[&str] = &[
    "https://evil.example/",
    "http://myaccount.monday.com/",
    "HTTP://myaccount.monday.com/",
    "ftp://myaccount.monday.com/",
    "javascript:alert(1)",
    "javascript://myaccount.monday.com/%0aalert(1)",
    "java\tscript://myaccount.monday.com/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "blob:https://myaccount.monday.com/x",
    "filesystem:https://myaccount.monday.com/temporary/x",
    "view-source:https://myaccount.monday.com/",
    "about:blank",
    "",
    " ",
    "/",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "https://evil.example\\@myaccount.monday.com/",
    "https://evil.example\\.monday.com/",
    "https://evil.example/.monday.com",
    "https://evil.example#.monday.com",
    "https://evil.example?.monday.com",
    "https://evil.example;.monday.com/x",
    "https://evilmonday.com/",
    "https://monday.com.evil.example/",
    "https://monday.com:443@evil.example/",
    "https://myaccount.monday.com@evil.example/",
    "https://myaccount.monday.com:x@evil.example/",
    "https://myaccount.monday.com%40evil.example/",
    "https://myaccount.monday.com%2eevil.example/",
    "https://myaccount.monday.com%00.evil.example/",
    "https://evil.example%00.monday.com/",
    "https://evil.example%2f.monday.com/",
    "https://evil.example%5c.monday.com/",
    "https://evil.example%23.monday.com/",
    "https://evil.example%3f.monday.com/",
    "https://evil.example\u{ff0f}.monday.com/",
    "https://evil.example\u{2044}.monday.com/",
    "https://evil.example\u{2215}.monday.com/",
    "https://evil.example\u{ff03}.monday.com/",
    "https://evil.example\u{ff1f}.monday.com/",
    "https://evil.example\u{ff20}myaccount.monday.com/",
    "https://user@myaccount.monday.com/",
    "https://user:password@myaccount.monday.com/",
    "https://@myaccount.monday.com/",
    "https://:@myaccount.monday.com/",
    "https://myaccount.monday.com:444/",
    "https://myaccount.monday.com:80/",
    "https://myaccount.monday.com:0/",
    "https://myaccount.monday.com:65536/",
    "https://myaccount.monday.com./",
    "https://myaccount.monday.com../",
    "https://myaccount.monday.com.:443/",
    "https://.monday.com/",
    "https://..monday.com/",
    "https://monday.com/",
    "https://monday.com./",
    "https://xn--mnday-xqa.com/",
    "https://myaccount.m\u{f6}nday.com/",
    "https://myaccount.monday.c\u{43e}m/",
    "https://myaccount.mond\u{430}y.com/",
    "https://myaccount.monday\u{3002}com.evil.example/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://localhost/",
    "https://myaccount.monday.com\r\nLocation: https://evil.example/",
    "https://myaccount.monday.com\nSet-Cookie: a=b",
    "https://evil.example\t.monday.com/",
    "https://evil.example\n/.monday.com/",
    "https://evil.example /.monday.com/",
    "https://xn--/",
    "https://xn--a.xn--b.evil.example/",
    "https://\u{ad}evil.example/",
    "https://monday.com\u{ad}.evil.example/",
];

/// Addresses that must work: they are where users are.
const HOME: &[&str] = &[
    "https://myaccount.monday.com/boards/1111/app_automations/2222",
    "https://myaccount.monday.com/boards/1111/app_automations/2222?nodeId=2&fieldKey=account",
    "https://myaccount.monday.com/",
    "https://myaccount.monday.com",
    "https://myaccount.monday.com:443/boards",
    "https://MyAccount.Monday.com/boards",
    "HTTPS://myaccount.monday.com/boards",
    "https://my-account.monday.com/boards",
    "https://a.monday.com/boards",
    "https://a.b.monday.com/boards",
    "https://1.monday.com/boards",
    "https://myaccount.monday.com/boards#anchor",
    "https://myaccount.monday.com/?next=https://evil.example/",
    "https://myaccount.monday.com/https://evil.example/",
    "https://myaccount.monday.com/@evil.example",
    "https://myaccount.monday.com//evil.example",
    "https://myaccount.monday.com/%2f%2fevil.example",
    "https://myaccount.monday.com/a?b=%0d%0aLocation:%20x",
    "https://myaccount.monday.com/boards?x=%E2%9C%93",
    "https://myaccount.monday.com/%E2%9C%93",
    "https://myaccount.monday.com/?q=a+b",
    "https://xn--mnchen-3ya.monday.com/boards",
];

/// Each address as it is, with what parsers drop or change around it, and each as a tail of a good host.
fn corpus() -> Vec<String> {
    let mut all: Vec<String> = ELSEWHERE.iter().map(|text| (*text).to_owned()).collect();
    for text in ELSEWHERE {
        for before in [
            " ",
            "\t",
            "\u{0}",
            "\u{1f}",
            "\u{feff}",
            "\u{a0}",
            "https://myaccount.monday.com",
            "https:",
            "url=",
            "%20",
        ] {
            all.push(format!("{before}{text}"));
        }
        for after in [" ", "\t", "\u{0}", ".monday.com", "#.monday.com", "@myaccount.monday.com"] {
            all.push(format!("{text}{after}"));
        }
    }
    all
}

/// What Node's `new URL` makes of each: protocol, host name, port, user; null where it is none.
async fn as_browsers_read(addresses: &[String]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("addresses.json");
    std::fs::write(&file, json!(addresses).to_string()).unwrap();
    let mut command = peers::node("urls.js");
    command.arg(&file);
    serde_json::from_value(peers::output_json(command).await).unwrap()
}

fn is_home(read: &Value) -> bool {
    let host = read["hostname"].as_str().unwrap_or_default();
    let label = host.strip_suffix(".monday.com").is_some_and(|label| !label.is_empty() && !label.starts_with('.'));
    read["protocol"] == "https:" && label && read["port"] == "" && read["username"] == "" && read["password"] == ""
}

#[tokio::test]
async fn o1_o2_r22_no_back_to_url_leads_elsewhere() {
    let mut scene = Scene::usual();
    scene.grants = vec!["monday"];
    scene.providers.clear();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    connect_all(&mut visitor).await;
    let corpus = corpus();
    let mut connection = gateway.connect().await;
    let (mut sent, mut refused) = (Vec::new(), 0);
    for address in &corpus {
        let answer = ask(&gateway, &mut connection, &authorization_url(address)).await;
        match (answer.status, answer.field("location")) {
            (302 | 303, Some(to)) => {
                assert!(to.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{address:?}: {to:?}");
                sent.push((address.clone(), to.to_owned()));
            }
            (400 | 401, None) => refused += 1,
            other => panic!("{address:?}: {other:?} {}", answer.text()),
        }
    }
    let mut read = as_browsers_read(&sent.iter().map(|(_, to)| to.clone()).collect::<Vec<_>>()).await;
    for ((address, to), read) in sent.iter().zip(&read) {
        assert!(is_home(read), "{address:?} was sent to {to:?}, which a browser reads as {read}");
    }
    for address in HOME {
        let answer = ask(&gateway, &mut connection, &authorization_url(address)).await;
        assert!(matches!(answer.status, 302 | 303), "{address}: {} {}", answer.status, answer.text());
        let to = answer.field("location").unwrap().to_owned();
        read = as_browsers_read(&[(*address).to_owned(), to]).await;
        assert_eq!(read[0]["href"], read[1]["href"], "{address}");
    }
    println!(
        "cases: {} addresses elsewhere ({refused} refused, {} sent home), {} at home (O1, O2, R22)",
        corpus.len(),
        sent.len(),
        HOME.len()
    );
}

/// Over a connection that is kept while it can be.
async fn ask(gateway: &Gateway, connection: &mut Raw, target: &str) -> crate::support::answer::Answer {
    for _ in 0..2 {
        connection.send(&raw::request("GET", target, "", "")).await;
        if let Some(answer) = connection.maybe_answer().await {
            if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                *connection = gateway.connect().await;
            }
            return answer;
        }
        *connection = gateway.connect().await;
    }
    panic!("no answer to {target}")
}

#[tokio::test]
async fn back_to_is_what_the_configuration_says() {
    let mut scene = Scene::usual();
    scene.grants = vec!["monday"];
    scene.providers.clear();
    scene.authorization = "back_to = [\"app.example.com\", \"*.eu.example.com\"]\n".into();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let start = visitor.visit(&authorization_url("https://app.example.com/x")).await;
    let end = consent(&mut visitor, start).await;
    assert_eq!(end.url.as_str(), "https://app.example.com/x");
    for (address, good) in [
        ("https://app.example.com/", true),
        ("https://a.eu.example.com/", true),
        ("https://eu.example.com/", false),
        ("https://b.app.example.com/", false),
        ("https://xapp.example.com/", false),
        ("https://xeu.example.com/", false),
        (BACK_TO, false),
    ] {
        let answer = visitor.look(&authorization_url(address)).await;
        assert_eq!(matches!(answer.status(), 302 | 303), good, "{address}: {}", answer.status());
    }
}

/// A browser between monday's consent and its callback: the address with code and state, not yet visited.
async fn at_the_callback<'a>(gateway: &'a Gateway, visitor: &mut Visitor<'a>) -> String {
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let decided = visitor.submit(&at_monday, "Allow", &[]).await;
    let address = decided.field("location").unwrap().to_owned();
    assert!(address.starts_with("https://gw.test/planner/authorize/callback/monday?"), "{address} {}", gateway.plain);
    address
}

fn without(address: &str, name: &str) -> String {
    changed(address, name, None)
}

fn changed(address: &str, name: &str, value: Option<&str>) -> String {
    let mut url = url::Url::parse(address).unwrap();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter_map(|(n, v)| if n == name { value.map(|value| (n, value.to_owned())) } else { Some((n, v)) })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.to_string()
}

fn assert_refused(page: &Page, what: &str) {
    assert!((400..500).contains(&page.status()), "{what}: {} {}", page.status(), page.text());
    assert!(page.text().contains("<h1"), "{what}: {}", page.text());
    assert_eq!(page.field("location"), None, "{what}");
}

#[tokio::test]
async fn o4_a_callback_without_its_own_state_and_browser_asks_no_token_endpoint() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let good = at_the_callback(&gateway, &mut visitor).await;
    let state = url::Url::parse(&good).unwrap().query_pairs().find(|(n, _)| n == "state").unwrap().1.into_owned();
    assert!(state.len() >= 22, "{state}");
    let mut cases = 0;
    let flipped = {
        let mut letters: Vec<char> = state.chars().collect();
        letters[3] = if letters[3] == 'A' { 'B' } else { 'A' };
        letters.into_iter().collect::<String>()
    };
    let long = "a".repeat(6000);
    let strange = [
        without(&good, "state"),
        changed(&good, "state", Some("")),
        changed(&good, "state", Some(&flipped)),
        changed(&good, "state", state.get(1..)),
        changed(&good, "state", Some(&format!("{state}x"))),
        changed(&good, "state", Some(&state.to_uppercase())),
        changed(&good, "state", Some(" ")),
        changed(&good, "state", Some("\0")),
        changed(&good, "state", Some("../../x")),
        changed(&good, "state", Some("%00")),
        changed(&good, "state", Some("*")),
        changed(&good, "state", Some("null")),
        changed(&good, "state", Some("undefined")),
        changed(&good, "state", Some(&long)),
        format!("{good}&state={state}"),
        format!("{good}&code=other"),
        format!("{AUTHORIZE}/callback/monday"),
        format!("{AUTHORIZE}/callback/monday?"),
        format!("{AUTHORIZE}/callback/monday?code"),
        format!("{AUTHORIZE}/callback/monday?code=x"),
        format!("{AUTHORIZE}/callback/monday?error=access_denied"),
        format!("{AUTHORIZE}/callback/monday?error=access_denied&state="),
        format!("{AUTHORIZE}/callback/monday?state[]={state}&code=x"),
        format!("{AUTHORIZE}/callback/monday?%73tate=&code=%ff%fe"),
        format!("{AUTHORIZE}/callback/monday?state=&state=&code=&code="),
    ];
    for address in &strange {
        let mut same = visitor.clone();
        let page = same.look(address).await;
        assert_refused(&page, address);
        cases += 1;
    }
    // A callback is a GET: nobody's form may post one.
    let path = good.strip_prefix("https://gw.test").unwrap();
    let posted = gateway.request("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", "a=b").await;
    assert_eq!(posted.status, 405);
    // Another browser's, one without a cookie, one with a cookie of its own flow, one with a made-up cookie.
    let mut bare = Visitor::new(&gateway);
    assert_refused(&bare.look(&good).await, "no cookie");
    let mut other = Visitor::new(&gateway);
    let others = at_the_callback(&gateway, &mut other).await;
    assert_refused(&other.look(&good).await, "another browser's state");
    let mut forged = Visitor::new(&gateway);
    for (name, value) in visitor.cookies() {
        forged.set_cookie(&name, &format!("{}x", value.get(..value.len() - 1).unwrap()));
    }
    assert_refused(&forged.look(&good).await, "a cookie that is not quite it");
    assert_eq!(scene.token_calls(), 0);
    // And the one whose it is goes on: but was its state spent by the others? Then the page offers a new try.
    let page = visitor.visit(&others).await;
    assert_refused(&page, "the other way round");
    assert_eq!(scene.token_calls(), 0);
    let mut fresh = Visitor::new(&gateway);
    let address = at_the_callback(&gateway, &mut fresh).await;
    assert_eq!(fresh.visit(&address).await.status(), 200);
    assert_eq!(scene.token_calls(), 1);
    for what in ["replayed", "replayed again"] {
        assert_refused(&fresh.look(&address).await, what);
    }
    assert_eq!(scene.token_calls(), 1);
    println!("cases: {} callbacks without their own state, 0 calls of a token endpoint (O4)", cases + 8);
}

#[tokio::test]
async fn o4_one_state_is_taken_once_also_by_twenty_at_a_time() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let address = at_the_callback(&gateway, &mut visitor).await;
    let mut browsers: Vec<Visitor<'_>> = (0..20).map(|_| visitor.clone()).collect();
    let mut asking = Vec::new();
    for browser in &mut browsers {
        asking.push(browser.look(&address));
    }
    let pages = join_all(asking).await;
    let on = pages.iter().filter(|page| page.status() == 303).count();
    assert_eq!(on, 1, "{:?}", pages.iter().map(Page::status).collect::<Vec<_>>());
    assert_eq!(scene.token_calls(), 1);
    println!("cases: 20 at a time with one state, 1 call (O4)");
}

async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn o5_a_code_of_one_server_never_goes_to_another() {
    let github = Provider::start("github", |m| m.iss = Some("https://github.test".into()));
    let mut scene = Scene::with(Monday::v21(), vec![(github, "iss = \"https://github.test\"\n".into())]);
    scene.grants = vec!["monday", "github"];
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let callback = at_the_callback(&gateway, &mut visitor).await;
    // monday's state and code at the other provider's callback.
    let mixed = callback.replace("/callback/monday", "/callback/github");
    assert_refused(&visitor.clone().look(&mixed).await, "monday's at github's");
    assert_eq!(scene.token_calls(), 0);

    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url(BACK_TO)).await;
    let at_monday = visitor.press(&page, "Continue to ").await;
    let between = visitor.press(&at_monday, "Allow").await;
    let at_github = visitor.press(&between, "Continue to ").await;
    let decided = visitor.submit(&at_github, "Allow", &[]).await;
    let good = decided.field("location").unwrap().to_owned();
    let calls = scene.token_calls();
    for iss in ["https://evil.test", "https://github.test/", "https://GITHUB.test", ""] {
        let page = visitor.clone().look(&changed(&good, "iss", Some(iss))).await;
        assert!(page.status() >= 400, "{iss}: {} {}", page.status(), page.text());
        assert_eq!(scene.token_calls(), calls, "{iss}");
    }
    println!("cases: 5 answers of another server (O5)");
}

#[tokio::test]
async fn o6_a_stolen_code_is_of_no_use_without_its_verifier() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut victim = Visitor::new(&gateway);
    let stolen = at_the_callback(&gateway, &mut victim).await;
    let code = url::Url::parse(&stolen).unwrap().query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
    let mut attacker = Visitor::new(&gateway);
    let own = at_the_callback(&gateway, &mut attacker).await;
    let page = attacker.visit(&changed(&own, "code", Some(&code))).await;
    assert!(page.status() >= 400, "{} {}", page.status(), page.text());
    assert_eq!(granted(&gateway).await, "monday=missing, github=missing");
    let calls = scene.monday.oauth.token_calls();
    assert_eq!(calls.len(), 1);
    let verifier = calls[0].member("code_verifier").unwrap_or_default();
    assert!((43..=128).contains(&verifier.len()), "{verifier}");
    println!("cases: a stolen code (O6)");
}

#[tokio::test]
async fn o7_a_consent_makes_a_new_identity_cookie() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let identity = |visitor: &Visitor<'_>| {
        let found = visitor.cookies().into_iter().find(|(name, _)| name.contains("identity"));
        found.map(|(_, value)| value)
    };
    let mut first = Visitor::new(&gateway);
    connect_all(&mut first).await;
    let planted = identity(&first).unwrap();
    // A second person signs in in a browser in which somebody planted that cookie.
    scene.monday.sign_in(|person| person.user = USER + 1);
    let mut second = Visitor::new(&gateway);
    for (name, value) in first.cookies() {
        second.set_cookie(&name, &value);
    }
    let start = second.visit(&authorization_url_of(ACCOUNT, USER + 1, BACK_TO)).await;
    let end = consent(&mut second, start).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
    assert_ne!(identity(&second).unwrap(), planted);
    let page = second.visit(&format!("{AUTHORIZE}/connections")).await;
    assert!(page.words().contains(&(USER + 1).to_string()), "{}", page.words());
    println!("cases: a planted identity cookie (O7)");
}

#[tokio::test]
async fn o8_a_victim_who_opens_the_attackers_link_gives_him_nothing() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let (attacker, victim) = (USER + 7, USER);
    let as_attacker = async |gateway: &Gateway| {
        got(&call(gateway, "action", &action_token_of(ACCOUNT, attacker)).await, "x-monday-grants").unwrap()
    };
    let session = {
        let mut claims = kind("view").claims();
        claims["dat"]["user_id"] = json!(attacker);
        mint::sign(&claims, mint::CLIENT)
    };
    let ticket = async |route: &str| {
        let lines = format!("Authorization: {session}\r\nContent-Type: application/json\r\n");
        if route == "connect" {
            let answer = gateway.request("POST", &format!("{AUTHORIZE}/connect"), &lines, "{}").await;
            return answer.json()["url"].as_str().unwrap().to_owned();
        }
        call(&gateway, "viewneeds", &session).await.json()["reconnect"].as_str().unwrap().to_owned()
    };
    let links = [authorization_url_of(ACCOUNT, attacker, BACK_TO), ticket("connect").await, ticket("reconnect").await];
    assert_ne!(victim, attacker);
    for (link, seen_before) in links.iter().flat_map(|link| [(link, false), (link, true)]) {
        let mut visitor = Visitor::new(&gateway);
        if seen_before {
            // The victim has used the gateway before, and has an identity cookie of his own.
            scene.monday.sign_in(|_| ());
            let start = visitor.visit(&authorization_url(BACK_TO)).await;
            let end = consent(&mut visitor, start).await;
            assert_eq!(end.url.as_str(), BACK_TO, "{}", end.text());
        }
        let start = visitor.visit(link).await;
        let end = consent(&mut visitor, start).await;
        assert!(end.is_gateways() && end.status() >= 400, "{link}: {} {}", end.url, end.text());
        assert!(
            !visitor.trail.iter().skip(1).any(|at| at.contains("/authorize/callback/github") && !seen_before),
            "{link}"
        );
        assert_eq!(as_attacker(&gateway).await, "monday=missing, github=missing", "{link}");
    }
    println!("cases: {} links of an attacker in a victim's browser (O8)", links.len() * 2);
}

#[tokio::test]
async fn o8_where_no_monday_grant_is_asked_for_the_page_names_who_will_be_connected() {
    let mut scene = Scene::usual();
    scene.grants = vec!["github"];
    scene.authorization = "identity = \"confirm\"\n".into();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let page = visitor.visit(&authorization_url_of(ACCOUNT, USER + 7, BACK_TO)).await;
    assert!(page.words().contains(&(USER + 7).to_string()), "{}", page.words());
    let form = crate::support::html::forms(&page.text()).into_iter().find(|form| !form.buttons.is_empty()).unwrap();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
    let cookies: Vec<String> = visitor.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = page.url.join(&form.action).unwrap().path().to_owned();
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (what, lines) in [
        ("another site's form", "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n"),
        ("a sister site's form", "Origin: https://evil.gw.test\r\nSec-Fetch-Site: same-site\r\n"),
        ("an old browser's, from elsewhere", "Origin: https://evil.example\r\n"),
        ("an old browser's, from a sandbox", "Origin: null\r\n"),
        ("one that says nothing", ""),
    ] {
        let cookie = format!("Cookie: {}\r\n", cookies.join("; "));
        let answer = gateway.request("POST", &path, &format!("{kind}{cookie}{lines}"), &body).await;
        assert_eq!(answer.status, 403, "{what}: {} {}", answer.status, answer.text());
    }
    for (name, value) in [("form", "x"), ("flow", "x")] {
        let mut other = visitor.clone();
        let answer = other.submit(&page, "Yes, this is me", &[(name, value)]).await;
        assert!(answer.status() >= 400, "{name}: {}", answer.text());
    }
    let at_github = scene.provider("github").oauth.site.asked().len();
    assert_eq!(at_github, 0, "nobody was sent to the provider");
    println!("cases: 7 confirmations from elsewhere (O8)");
}

#[tokio::test]
async fn j11_an_identity_cookie_of_one_app_or_person_is_nobody_elses() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    connect_all(&mut visitor).await;
    let (name, value) = visitor.cookies().into_iter().find(|(name, _)| name.contains("identity")).unwrap();
    assert!(!value.contains(&USER.to_string()), "sealed: {value}");
    let mut cases = 0;
    for at in (0..value.len()).step_by(3) {
        let mut letters: Vec<char> = value.chars().collect();
        letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
        let mut other = Visitor::new(&gateway);
        other.set_cookie(&name, &letters.into_iter().collect::<String>());
        let page = other.look(&format!("{AUTHORIZE}/connections")).await;
        assert_eq!(page.status(), 401, "{at}: {}", page.text());
        cases += 1;
    }
    for other_name in [name.replace("planner", "other"), name.replace("identity", "browser")] {
        let mut other = Visitor::new(&gateway);
        other.set_cookie(&other_name, &value);
        assert_eq!(other.look(&format!("{AUTHORIZE}/connections")).await.status(), 401, "{other_name}");
        cases += 1;
    }
    println!("cases: {cases} identity cookies that are not quite it (J11)");
}

#[tokio::test]
async fn a_token_for_one_kind_starts_no_flow() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    let mut claims = kind("authorization").claims();
    claims["exp"] = json!(mint::now() - 3600);
    claims["iat"] = json!(mint::now() - 3900);
    let expired = mint::sign(&claims, SIGNING);
    let stranger = mint::sign(&kind("authorization").claims(), mint::STRANGER);
    for token in [expired, stranger, kind("action").token(), kind("view").token(), String::new(), "x".into()] {
        let page = visitor.look(&format!("{AUTHORIZE}?token={token}")).await;
        assert!(matches!(page.status(), 400 | 401), "{}: {}", page.status(), page.text());
        assert!(page.text().contains("<h1"), "{}", page.text());
    }
    assert_eq!(visitor.look(AUTHORIZE).await.status(), 401);
    // An Authorization URL's token connects no view.
    let lines = format!("Authorization: {}\r\nContent-Type: application/json\r\n", kind("authorization").token());
    let answer = gateway.request("POST", &format!("{AUTHORIZE}/connect"), &lines, "{}").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_session_token_in_the_query_makes_no_link_and_a_page_has_no_head() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let token = kind("view").token();
    let connect = format!("{AUTHORIZE}/connect");
    let json = "Content-Type: application/json\r\n";
    for query in
        [format!("?sessionToken={token}"), format!("?token={token}"), format!("?x=1&sessionToken=Bearer%20{token}")]
    {
        let answer = gateway.request("POST", &format!("{connect}{query}"), json, "{}").await;
        assert_eq!(answer.status, 401, "{query}: {}", answer.text());
        assert!(!answer.text().contains("ticket"), "{}", answer.text());
    }
    // Others ask with what a page or a link can send by itself.
    for method in ["GET", "PUT"] {
        let lines = format!("Authorization: {token}\r\n");
        let answer = gateway.request(method, &connect, &lines, "").await;
        assert_eq!(answer.status, 405, "{method}");
    }
    let link = |answer: crate::support::answer::Answer| answer.json()["url"].as_str().unwrap().to_owned();
    let lines = format!("Authorization: {token}\r\n{json}");
    let ticket = link(gateway.request("POST", &connect, &lines, "{}").await);
    let path = ticket.strip_prefix("https://gw.test").unwrap();
    // A preview that looks before somebody clicks uses nothing up.
    for page in [path.to_owned(), format!("{AUTHORIZE}/next?flow=x"), format!("{AUTHORIZE}/connections")] {
        let mut connection = gateway.connect().await;
        connection.send(format!("HEAD {page} HTTP/1.1\r\nHost: gw.test\r\n\r\n").as_bytes()).await;
        assert_eq!(connection.head().await.status, 405, "{page}");
    }
    let opened = Visitor::new(&gateway).visit(&ticket).await;
    assert_eq!(opened.status(), 200, "{}", opened.text());
    assert_eq!(scene.token_calls(), 0);
}

#[tokio::test]
async fn beside_a_cookie_that_is_no_ascii_a_flow_goes_on() {
    let scene = Scene::usual();
    let gateway = scene.start();
    let mut visitor = Visitor::new(&gateway);
    visitor.set_cookie("__Host-another-programs", "caf\u{e9}");
    let start = visitor.visit(&authorization_url(BACK_TO)).await;
    let end = consent(&mut visitor, start).await;
    assert_eq!(end.url.as_str(), BACK_TO, "{:?}\n{}", visitor.trail, end.text());
}

#[tokio::test]
async fn a_door_that_is_full_says_so_at_once_and_opens_again() {
    const VISITORS: usize = 460;
    let slow = Backend::scripted(|seen| match seen.target.as_str() {
        "/status" => vec![Step::ReadBody, Step::AwaitRelease, Step::Close],
        _ => vec![Step::ReadBody, Step::Echo],
    });
    let setup = Setup::bare(&slow.address)
        .upstream("signing_secret = \"canary-upstream-signing-0123456789\"\n")
        .route("path = \"/planner/public/{*rest}\"\nkind = \"public\"")
        .table(&format!(
            "[apps.planner.authorization]\npath = \"{AUTHORIZE}\"\nstatus_url = \"{}/status\"\nupstream = \"backend\"\n",
            slow.address
        ));
    let gateway = std::sync::Arc::new(Gateway::start(&setup));
    let mut visitors = tokio::task::JoinSet::new();
    for user in 0..VISITORS {
        let gateway = std::sync::Arc::clone(&gateway);
        let target = authorization_url_of(ACCOUNT, 10_000 + i64::try_from(user).unwrap(), BACK_TO);
        visitors.spawn(async move { gateway.request("GET", &target, "Accept: text/html\r\n", "").await.status });
    }
    let (mut refused, begun) = (0, Instant::now());
    while refused < VISITORS - 128 - 256 - 8 {
        let left = Duration::from_secs(8).saturating_sub(begun.elapsed());
        let status = tokio::time::timeout(left, visitors.join_next()).await.expect("at once").unwrap().unwrap();
        assert_eq!(status, 503);
        refused += 1;
    }
    assert_eq!(gateway.request("POST", "/planner/public/x", "", "{}").await.status, 200, "nobody else waits");
    while !visitors.is_empty() {
        slow.release();
        if let Ok(Some(status)) = tokio::time::timeout(Duration::from_millis(50), visitors.join_next()).await {
            assert!(matches!(status.unwrap(), 200 | 503));
        }
    }
    println!("cases: {VISITORS} visitors, {refused} of them refused within {:?}", begun.elapsed());
    let later = gateway.request("GET", &authorization_url_of(ACCOUNT, 1, BACK_TO), "", "").await;
    assert_eq!(later.status, 200, "{}", later.text());
}
