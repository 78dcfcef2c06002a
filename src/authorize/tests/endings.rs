//! Where a flow can end other than well: each on a page that says what happened and offers the way on, never on JSON or a blank page.

use super::scene::{ACCOUNT, BACK, NOW, Scene, USER, own_code};
use crate::grants::standing::Standing;

#[tokio::test]
async fn whoever_says_no_is_told_that_nothing_was_stored_and_can_try_again() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let state = page.asked("state");
    let denied = browser.come_back(&page, &[("error", "access_denied"), ("state", &state)]).await;
    assert_eq!((denied.status, denied.title(), scene.exchanges()), (403, "monday.com was not connected", 0));
    assert_eq!(denied.link("Back to monday.com").as_deref(), Some(BACK));
    let again = browser.get(&denied.link("Try again").unwrap()).await;
    let next = browser.consent(&again, &own_code()).await;
    assert!(next.link("Continue to GitHub").is_some());
    assert_eq!(scene.standing("monday").await, Standing::Ok);
}

#[tokio::test]
async fn what_a_provider_does_wrong_is_a_page_with_the_providers_name() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let first = browser.open(ACCOUNT, USER, BACK).await;
    let mut page = browser.consent(&first, &own_code()).await;
    for parameters in [
        &[("error", "server_error")][..],
        &[("error", "<script>alert(1)</script>")],
        &[("error", "temporarily_unavailable"), ("error_description", "access-of-x")],
        &[("code", "refused")],
        &[("code", "odd")],
        &[("code", "html")],
    ] {
        let state = page.asked("state");
        let mut all = parameters.to_vec();
        all.push(("state", &state));
        let got = browser.come_back(&page, &all).await;
        assert_eq!((got.status, got.title()), (502, "GitHub reported a problem"), "{parameters:?}");
        assert!(!got.body.contains("<script>") && got.body.contains("GitHub"));
        page = browser.get(&got.link("Try again").unwrap()).await;
    }
    for parameters in [&[("status", "success")][..], &[("code", "")], &[("code", "x"), ("error", "y")], &[]] {
        let state = page.asked("state");
        let mut all = parameters.to_vec();
        all.push(("state", &state));
        let got = browser.come_back(&page, &all).await;
        assert_eq!((got.status, got.title()), (400, "This attempt has expired"), "{parameters:?}");
        page = browser.get(&got.link("Try again").unwrap()).await;
    }
    assert_eq!(scene.standing("github").await, Standing::Missing);
}

#[tokio::test]
async fn an_app_that_is_not_installed_is_a_page_that_says_who_can_install_it() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let got = browser.come_back(&page, &[("error", "unauthorized_client"), ("state", &page.asked("state"))]).await;
    assert_eq!((got.status, got.title()), (403, "The app is not installed"));
    assert!(got.body.contains("admin") && got.link("Try again").is_some());
}

#[tokio::test]
async fn an_attempt_that_has_expired_or_never_was_is_a_page() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let flow = page.asked("state").split('.').next().unwrap().to_owned();
    for path in [
        "next",
        "next?flow=",
        "next?flow=x",
        "next?flow=a&flow=b",
        "switch?flow=x",
        "go",
        "go?ticket=x",
        "go?ticket=a&ticket=b",
    ] {
        let got = browser.get(&format!("/planner/authorize/{path}")).await;
        assert_eq!((got.status, got.title()), (400, "This attempt has expired"), "{path}");
    }
    scene.clock.set(NOW + 3600);
    let got = browser.get(&format!("/planner/authorize/next?flow={flow}")).await;
    assert_eq!((got.status, got.title()), (400, "This attempt has expired"));
    for path in ["connections", "connections?flow=x", "connections?done=disconnected"] {
        let got = browser.get(&format!("/planner/authorize/{path}")).await;
        assert!(got.status == 401 || got.status == 400, "{path}");
        assert!(!got.title().is_empty());
    }
}

#[tokio::test]
async fn a_cookie_from_before_a_key_rotation_is_read_and_one_of_a_key_that_is_gone_starts_again() {
    let mut scene = Scene::new().await;
    let (old, new) = (*b"01234567890123456789012345678901", [9; 32]);
    let jar = {
        let mut browser = scene.browser();
        let page = browser.open(ACCOUNT, USER, BACK).await;
        drop(browser.consent(&page, &own_code()).await);
        browser.jar.clone()
    };
    scene.rekeyed(&[new, old]).await;
    let mut browser = scene.browser();
    browser.jar = jar.clone();
    assert_eq!(browser.get("/planner/authorize/connections").await.title(), "Your connections");
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert!(page.link("Continue to GitHub").is_some(), "known, as before");
    let flow = page.asked("state").split('.').next().unwrap().to_owned();
    let callback = format!("/planner/authorize/callback/github?code=access-of-x&state={}", page.asked("state"));
    scene.rekeyed(&[[8; 32]]).await;
    let mut browser = scene.browser();
    browser.jar = jar;
    for path in [format!("/planner/authorize/next?flow={flow}"), callback] {
        let got = browser.get(&path).await;
        assert_eq!((got.status, got.title()), (400, "This attempt has expired"), "{path}");
    }
    assert_eq!(browser.get("/planner/authorize/connections").await.title(), "Open this from monday.com");
}

#[tokio::test]
async fn with_the_store_down_every_page_says_so() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let flow = page.asked("state").split('.').next().unwrap().to_owned();
    let state = page.asked("state");
    scene.break_store();
    for path in [
        format!("next?flow={flow}"),
        format!("callback/monday?code=x&state={state}"),
        format!("go?ticket={}", "A".repeat(43)),
    ] {
        let got = browser.get(&format!("/planner/authorize/{path}")).await;
        assert_eq!((got.status, got.title()), (503, "Not available right now"), "{path}");
    }
    assert_eq!(scene.browser().open(ACCOUNT, 99, BACK).await.status, 503);
    assert_eq!(scene.browser().ask_link(ACCOUNT, USER, "").await.status, 503);
    assert_eq!(scene.reconnect(&["github"]).await, None);
    assert_eq!(scene.exchanges(), 0);
}

#[tokio::test]
async fn pages_are_in_the_readers_language_with_the_teams_own_words() {
    let scene = Scene::new().await;
    let words = scene.folder.path().join("words");
    std::fs::create_dir(&words).unwrap();
    std::fs::write(words.join("he.toml"), "direction = \"rtl\"\nprogress_title = \"חיבור\"").unwrap();
    let branding = crate::config::resolved::grants::Branding {
        name: Some("Acme <Planner>".to_owned()),
        color: Some("#ffcc00".to_owned()),
        support: Some("help@acme.example".to_owned()),
        words: Some(words),
        ..Default::default()
    };
    let mut scene = scene;
    scene.config.branding = branding;
    scene.rekeyed(&[*b"01234567890123456789012345678901"]).await;
    let mut browser = scene.browser();
    browser.language = "he, en;q=0.5";
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert!(page.body.contains("<html lang=\"he\" dir=\"rtl\">") && page.title() == "חיבור", "{}", page.body);
    assert!(page.body.contains("Acme &#60;Planner&#62;") && page.body.contains("mailto:help@acme.example"));
    assert!(page.body.contains("--accent:#ffcc00;--on-accent:#000"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let style = page.body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(policy.contains(&crate::pages::style::hash(style)), "{policy}");
}
