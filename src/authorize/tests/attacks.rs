//! security.md 1d at the level of the flow: what an attacker tries, and that nothing is asked of a provider or stored for it.

use super::scene::{ACCOUNT, BACK, Got, NOW, Scene, USER, code_of, own_code};
use crate::grants::standing::Standing;

#[tokio::test]
async fn o1_o2_a_signed_back_to_url_that_leads_elsewhere_ends_on_a_page() {
    let scene = Scene::new().await;
    let mut cases = 0;
    for back in [
        "https://evil.com",
        "https://evilmonday.com",
        "https://monday.com.evil.com",
        "https://monday.com:443@evil.com",
        "https://myaccount.monday.com.",
        "https://myaccount.monday.com:8443",
        "https://myaccount.monday.com\\@evil.com",
        "//evil.com",
        "/\\evil.com",
        "/\t/evil.com",
        "javascript:alert(1)",
        "https://myaccount.monday.com/\r\nSet-Cookie: a=b",
        "",
    ] {
        let got = scene.browser().open(ACCOUNT, USER, back).await;
        assert_eq!((got.status, got.title()), (400, "This link leads somewhere unexpected"), "{back:?}");
        assert!(got.location.is_none() && got.link("Back to monday.com").is_none());
        cases += 1;
    }
    assert_eq!(scene.exchanges(), 0);
    println!("cases: {cases} (O1, O2 in the flow; the table is in back_to)");
}

#[tokio::test]
async fn o3_no_token_code_or_secret_is_in_any_url_page_or_header_that_the_gateway_emits() {
    // `Scene` looks at every answer: see `Got::hold_rules`. What is left are the addresses of providers.
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    for link in ["Continue to monday.com", "Back to monday.com"] {
        let link = page.link(link).unwrap();
        for secret in ["secret", "access-of-", "canary", "code_verifier", "ey"] {
            assert!(!link.replace("survey", "").contains(secret), "{link}: {secret}");
        }
    }
    let page = browser.consent(&page, &own_code()).await;
    let last = browser.consent(&page, "access-of-github").await;
    assert_eq!(last.location.as_deref(), Some(BACK));
    for value in browser.jar.values() {
        assert!(!value.contains("access-of") && !value.contains(&USER.to_string()), "cookies say nothing");
    }
}

/// A callback that must end with 4xx and without a question to the token endpoint.
fn refused(got: &Got, scene: &Scene, what: &str) {
    assert!((400..500).contains(&got.status), "{what}: {} {}", got.status, got.body);
    assert_eq!(scene.exchanges(), 0, "{what}");
}

/// Queries that are not the one that the browser was sent with.
fn oddities(code: &str, state: &str) -> [String; 21] {
    let (attempt, step) = state.split_once('.').unwrap();
    let flipped = |text: &str| text.chars().rev().collect::<String>();
    [
        String::new(),
        format!("?code={code}"),
        format!("?code={code}&state="),
        format!("?code={code}&state"),
        format!("?code={code}&state=undefined"),
        format!("?code={code}&state={attempt}"),
        format!("?code={code}&state={step}"),
        format!("?code={code}&state={attempt}."),
        format!("?code={code}&state=.{step}"),
        format!("?code={code}&state={}.{step}", flipped(attempt)),
        format!("?code={code}&state={attempt}.{}", flipped(step)),
        format!("?code={code}&state={state}A"),
        format!("?code={code}&state={}", state.to_uppercase()),
        format!("?code={code}&state={state}%00"),
        format!("?code={code}&state=%20{state}"),
        format!("?code={code}&state={state}&state={state}"),
        format!("?code={code}&code={code}&state={state}"),
        format!("?code={code}&State={state}"),
        format!("?code={code}&state[]={state}"),
        format!("?code={code}&state={}", "A".repeat(10_000)),
        "?%ff%fe=%ff&state=%ff".to_owned(),
    ]
}

#[tokio::test]
async fn o4_a_callback_without_the_state_of_this_browser_asks_nobody() {
    let scene = Scene::new().await;
    let code = own_code();
    let mut cases = 0;
    let path = "/planner/authorize/callback/monday";
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let state = page.asked("state");
    let (attempt, _) = state.split_once('.').unwrap();
    for oddity in oddities(&code, &state) {
        let got = browser.get(&format!("{path}{oddity}")).await;
        refused(&got, &scene, &oddity);
        cases += 1;
    }
    let query = format!("{path}?code={code}&state={state}");
    refused(&scene.browser().get(&query).await, &scene, "no cookie");
    let mut other = scene.browser();
    let others = other.open(ACCOUNT, USER, BACK).await;
    for name in ["", "x", &"A".repeat(43)] {
        let mut odd = scene.browser();
        odd.jar.insert("__Host-gateway-browser".to_owned(), name.to_owned());
        let got = odd.get(&query).await;
        refused(&got, &scene, "a cookie that is not the browser's");
        cases += 1;
    }
    // The last of them had a cookie of the right form, and used the state up: the page says so, and offers the way on.
    let used = browser.get(&query).await;
    refused(&used, &scene, "used up");
    assert!(used.link("Try again").is_some());
    let crossed = browser.get(&format!("{path}?code={code}&state={}", others.asked("state"))).await;
    refused(&crossed, &scene, "another browser's");
    assert_eq!(crossed.title(), "This was started in another browser");
    let page = browser.get(&used.link("Try again").unwrap()).await;
    let mixed =
        format!("{attempt}.{}", page.asked("state").split_once('.').unwrap().1.chars().rev().collect::<String>());
    refused(&browser.get(&format!("{path}?code={code}&state={mixed}")).await, &scene, "a step that does not exist");
    scene.clock.set(NOW + 600);
    let expired = browser.consent(&page, &code).await;
    refused(&expired, &scene, "older than ten minutes");
    assert!(expired.title() == "This attempt has expired" && expired.link("Try again").is_some());
    let page = browser.get(&expired.link("Try again").unwrap()).await;
    let good = browser.consent(&page, &code).await;
    assert_eq!((good.status, scene.exchanges()), (200, 1), "the control: a state that is right is exchanged once");
    let again = browser.consent(&page, &code).await;
    assert!(again.status == 400 && scene.exchanges() == 1, "replayed");
    println!("cases: {} (O4)", cases + 7);
}

#[tokio::test]
async fn o5_a_code_of_one_provider_is_never_sent_to_another() {
    let scene = Scene::with(r#"grants = ["monday", "github", "crm"]"#, "").await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let monday = page.asked("state");
    let crossed = browser.get(&format!("/planner/authorize/callback/github?code=x&state={monday}")).await;
    assert_eq!((crossed.status, scene.exchanges()), (400, 0), "monday's state at GitHub's callback");
    let page = browser.get(&crossed.link("Try again").unwrap()).await;
    let page = browser.consent(&page, &own_code()).await;
    let page = browser.consent(&page, "access-of-github").await;
    assert_eq!(scene.exchanges(), 2);
    let parameters = |iss: &'static str, page: &Got| {
        [
            ("code".to_owned(), "access-of-crm".to_owned()),
            ("state".to_owned(), page.asked("state")),
            ("iss".to_owned(), iss.to_owned()),
        ]
    };
    for iss in ["https://evil.com", "https://crm.example.com/", "https://CRM.example.com", "http://crm.example.com"] {
        let page = browser
            .get(&format!("/planner/authorize/next?flow={}", page.asked("state").split('.').next().unwrap()))
            .await;
        let owned = parameters(iss, &page);
        let borrowed: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let got = browser.come_back(&page, &borrowed).await;
        assert_eq!((got.status, got.title(), scene.exchanges()), (502, "CRM reported a problem", 2), "{iss}");
        assert!(got.body.contains("`iss`"));
    }
    let page =
        browser.get(&format!("/planner/authorize/next?flow={}", page.asked("state").split('.').next().unwrap())).await;
    let owned = parameters("https://crm.example.com", &page);
    let borrowed: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let last = browser.come_back(&page, &borrowed).await;
    assert_eq!((last.location.as_deref(), scene.exchanges()), (Some(BACK), 3));
    println!("cases: 5 (O5), and one control");
}

#[tokio::test]
async fn o7_a_session_that_was_there_before_a_sign_in_is_not_the_one_after_it() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert!(!browser.jar.keys().any(|name| name.contains("identity")));
    drop(browser.consent(&page, &own_code()).await);
    let first = browser.jar["__Host-gateway-identity-planner"].clone();
    let page = browser.get("/planner/authorize/connections").await;
    let page = browser.press(&page, "Reconnect monday.com", &[]).await;
    drop(browser.consent(&page, &own_code()).await);
    assert_ne!(browser.jar["__Host-gateway-identity-planner"], first);
    // Somebody's identity is worth nothing in another browser.
    let mut other = scene.browser();
    drop(other.open(ACCOUNT, USER, BACK).await);
    other.jar.insert("__Host-gateway-identity-planner".to_owned(), first);
    assert_eq!(other.get("/planner/authorize/connections").await.status, 401);
}

#[tokio::test]
async fn o8_a_link_of_somebody_else_stores_nothing_in_the_victims_browser() {
    let scene = Scene::new().await;
    let (attacker, victim) = (USER, 5_555_555);
    // The victim is known in their own browser, as themselves.
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, victim, BACK).await;
    drop(browser.consent(&page, &code_of(ACCOUNT, victim, "admin")).await);
    let before = scene.kept().await;
    let url =
        |got: &Got| serde_json::from_str::<serde_json::Value>(&got.body).unwrap()["url"].as_str().unwrap().to_owned();
    let connect = url(&scene.browser().ask_link(ACCOUNT, attacker, r#"{"provider":"github"}"#).await);
    let reconnect = scene.reconnect(&["github"]).await.unwrap();
    let mut cases = 0;
    let mut pages = vec![browser.open(ACCOUNT, attacker, BACK).await];
    pages.push(browser.get(&connect).await);
    pages.push(browser.get(&reconnect).await);
    for page in pages {
        assert!(page.link("Continue to monday.com").is_some() && page.link("Continue to GitHub").is_none());
        assert!(page.body.contains(&attacker.to_string()), "the page names for whom it is");
        let ended = browser.consent(&page, &code_of(ACCOUNT, victim, "admin")).await;
        assert_eq!((ended.status, ended.title()), (403, "Another account is signed in"));
        // Pushed on to GitHub's callback all the same: no state for it was ever made.
        let calls = scene.exchanges();
        let forced = browser.get("/planner/authorize/callback/github?code=access-of-x&state=x").await;
        assert!((400..500).contains(&forced.status) && scene.exchanges() == calls);
        assert_eq!(scene.kept().await, before, "nothing is stored");
        cases += 1;
    }
    // The attacker's own flow, half way, opened by the victim.
    let mut attackers = scene.browser();
    let page = attackers.open(ACCOUNT, attacker, BACK).await;
    let page = attackers.consent(&page, &code_of(ACCOUNT, attacker, "member")).await;
    let flow = page.asked("state").split('.').next().unwrap().to_owned();
    for path in ["next", "switch", "connections"] {
        let mut fresh = scene.browser();
        let got = fresh.get(&format!("/planner/authorize/{path}?flow={flow}")).await;
        assert_eq!((got.status, got.title()), (403, "This was started in another browser"), "{path}");
        cases += 1;
    }
    let code = browser.consent(&page, "access-of-victims-github").await;
    assert!((400..500).contains(&code.status), "the victim sent to the callback with the attacker's state");
    assert_eq!(scene.standing("github").await, Standing::Missing);
    println!("cases: {} (O8)", cases + 1);
}

#[tokio::test]
async fn o8_an_app_that_only_confirms_shows_the_victim_whose_link_it_is_and_stores_nothing_by_itself() {
    let scene = Scene::with(r#"grants = ["github"]"#, "").await;
    let reconnect = scene.reconnect(&["github"]).await.unwrap();
    let mut browser = scene.browser();
    for page in [browser.get(&reconnect).await, scene.browser().open(ACCOUNT, USER, BACK).await] {
        assert_eq!(page.title(), "Is this you?");
        assert!(page.body.contains("Go on only if that is you") && page.link("Continue to GitHub").is_none());
    }
    assert_eq!((scene.exchanges(), scene.kept().await), (0, 0));
}

#[tokio::test]
async fn a_form_of_one_user_browser_or_purpose_is_worth_nothing_to_another() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    drop(browser.consent(&page, &own_code()).await);
    let mut other = scene.browser();
    let page = other.open(ACCOUNT, 77, BACK).await;
    drop(other.consent(&page, &code_of(ACCOUNT, 77, "member")).await);
    let theirs = other.get("/planner/authorize/connections").await;
    let value = |page: &Got, action: &str| {
        let form = page.body.split(&format!("action=\"/planner/authorize/{action}\"")).nth(1).unwrap().to_owned();
        form.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let own = browser.get("/planner/authorize/connections").await;
    for form in [value(&theirs, "disconnect"), value(&own, "connections"), String::new(), "A".repeat(200)] {
        let got = browser.post("/planner/authorize/disconnect", format!("provider=monday&form={form}")).await;
        assert_eq!((got.status, got.title()), (403, "This form has expired"));
    }
    let twice = format!("provider=monday&provider=monday&form={}", value(&own, "disconnect"));
    assert_eq!(browser.post("/planner/authorize/disconnect", twice).await.status, 403);
    scene.clock.set(NOW + 3599);
    let late = browser
        .post("/planner/authorize/disconnect", format!("provider=monday&form={}", value(&own, "disconnect")))
        .await;
    assert_eq!(late.status, 200, "the control");
    assert_eq!(scene.standing("monday").await, Standing::Revoked);
}
