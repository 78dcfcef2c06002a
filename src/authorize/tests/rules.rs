//! "Rules of the flows": each sentence that is the flow's own has its test here, named as it.

use super::scene::{ACCOUNT, BACK, Browser, Got, NOW, Scene, USER, code_of, own_code};
use crate::grants::standing::Standing;

/// Through monday.com and GitHub.
async fn connect_both(browser: &mut Browser<'_>) -> Got {
    let first = browser.open(ACCOUNT, USER, BACK).await;
    let second = browser.consent(&first, &own_code()).await;
    browser.consent(&second, "access-of-github").await
}

#[tokio::test]
async fn a_user_is_taken_through_what_is_missing_in_order_and_the_second_time_straight_back() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let first = browser.open(ACCOUNT, USER, BACK).await;
    assert_eq!((first.status, first.title()), (200, "Connect your accounts"));
    assert!(first.body.contains("1 of 2: monday.com") && first.body.contains("2 of 2: GitHub"));
    assert!(
        first.link("Continue to monday.com").is_some() && first.link("Back to monday.com").as_deref() == Some(BACK)
    );
    let second = browser.consent(&first, &own_code()).await;
    assert!(second.link("Continue to GitHub").is_some(), "{}", second.body);
    assert!(second.body.contains("1 of 2: monday.com</span> <span class=\"quiet\">done"), "{}", second.body);
    let last = browser.consent(&second, "access-of-github").await;
    assert_eq!((last.status, last.location.as_deref()), (303, Some(BACK)));
    assert_eq!(scene.standing("monday").await, Standing::Ok);
    assert_eq!(scene.standing("github").await, Standing::Ok);
    let again = browser.open(ACCOUNT, USER, BACK).await;
    assert_eq!((again.status, again.location.as_deref()), (303, Some(BACK)));
    let elsewhere = scene.browser().open(ACCOUNT, USER, BACK).await;
    assert_eq!(elsewhere.location.as_deref(), Some(BACK), "in another browser, too: nothing is asked or stored");
    assert_eq!(scene.exchanges(), 2);
}

#[tokio::test]
async fn before_another_provider_is_asked_mondays_consent_step_says_who_is_in_this_browser() {
    let scene = Scene::new().await;
    drop(connect_both(&mut scene.browser()).await);
    // Another browser, without the identity cookie, has only GitHub to connect: monday.com is asked first.
    let link = scene.reconnect(&["github"]).await.unwrap();
    let who = crate::grants::Who { app: "planner".to_owned(), account: ACCOUNT, user: USER };
    assert!(scene.grants.take_back(&who.own("github"), crate::grants::journal::By::User(USER)).await.unwrap());
    let mut other = scene.browser();
    let page = other.get(&link).await;
    assert!(page.link("Continue to monday.com").is_some() && page.link("Continue to GitHub").is_none());
    assert!(page.body.contains("so that planner knows that it is you") && page.body.contains(&USER.to_string()));
    let page = other.consent(&page, &own_code()).await;
    assert!(page.link("Continue to GitHub").is_some());
    let done = other.consent(&page, "access-of-github").await;
    assert_eq!((done.status, done.title()), (200, "Connected"));
    assert_eq!(scene.standing("github").await, Standing::Ok);
}

#[tokio::test]
async fn the_identity_cookie_is_believed_for_an_hour_and_then_monday_is_asked_again() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    drop(connect_both(&mut browser).await);
    let page = browser.get("/planner/authorize/connections").await;
    assert_eq!(page.title(), "Your connections");
    scene.clock.set(NOW + 3599);
    assert_eq!(browser.get("/planner/authorize/connections").await.status, 200);
    scene.clock.set(NOW + 3600);
    let page = browser.get("/planner/authorize/connections").await;
    assert_eq!((page.status, page.title()), (401, "Open this from monday.com"));
}

#[tokio::test]
async fn an_app_without_a_monday_grant_shows_for_whom_it_is_and_goes_on_only_by_a_same_origin_post() {
    let scene = Scene::with(r#"grants = ["github"]"#, "").await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert_eq!((page.status, page.title()), (200, "Is this you?"));
    for named in [ACCOUNT.to_string(), USER.to_string(), "planner".to_owned()] {
        assert!(page.body.contains(&named), "{named}");
    }
    for origin in [
        (None, None),
        (Some("null"), None),
        (Some("https://evil.com"), None),
        (Some("https://gw.example.com.evil.com"), None),
        (Some("http://gw.example.com"), None),
        (None, Some("cross-site")),
        (None, Some("same-site")),
        (None, Some("none")),
        (Some("https://gw.example.com"), Some("cross-site")),
        (Some("https://evil.com"), Some("same-origin")),
    ] {
        browser.origin = origin;
        let refused = browser.press(&page, "Yes, this is me", &[]).await;
        assert_eq!((refused.status, refused.title()), (403, "This form has expired"), "{origin:?}");
    }
    for origin in
        [(Some("null"), Some("same-origin")), (Some("https://gw.example.com"), None), (None, Some("same-origin"))]
    {
        browser.origin = origin;
        browser.jar.retain(|name, _| !name.contains("identity"));
        let next = browser.press(&page, "Yes, this is me", &[]).await;
        assert!(next.link("Continue to GitHub").is_some(), "{origin:?}: {}", next.body);
    }
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let last = browser.consent(&page, "access-of-github").await;
    assert_eq!(last.location.as_deref(), Some(BACK));
}

#[tokio::test]
async fn a_grant_is_stored_only_when_user_and_account_are_the_tokens_and_otherwise_a_page_offers_to_switch() {
    for (account, user) in [(ACCOUNT, 99), (98, USER), (98, 99)] {
        let scene = Scene::new().await;
        let mut browser = scene.browser();
        let page = browser.open(ACCOUNT, USER, BACK).await;
        let other = browser.consent(&page, &code_of(account, user, "admin")).await;
        assert_eq!((other.status, other.title()), (403, "Another account is signed in"));
        assert!(other.body.contains(&account.to_string()) && other.body.contains(&user.to_string()));
        assert_eq!(scene.kept().await, 0, "nothing is stored");
        assert!(!browser.jar.keys().any(|name| name.contains("identity")));
        let switched = browser.get(&other.link("Switch account").unwrap()).await;
        assert_eq!(switched.asked("subdomain"), "", "whoever switches is not pinned to the account");
        let next = browser.consent(&switched, &own_code()).await;
        assert!(next.link("Continue to GitHub").is_some());
        assert_eq!(scene.kept().await, 1);
    }
}

#[tokio::test]
async fn the_authorize_request_carries_the_accounts_name_and_installs_the_app_if_needed() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert_eq!(page.asked("subdomain"), "myaccount");
    assert_eq!(page.asked("force_install_if_needed"), "true");
    assert_eq!(page.asked("redirect_uri"), "https://gw.example.com/planner/authorize/callback/monday");
    assert!(page.asked("scope").contains("me:read"));
    assert_eq!(page.asked("code_challenge_method"), "S256");
    let next = browser.consent(&page, &own_code()).await;
    assert_eq!((next.asked("subdomain"), next.asked("code_challenge_method")), (String::new(), "S256".to_owned()));
}

#[tokio::test]
async fn five_tabs_at_once_all_end_well() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(browser.open(ACCOUNT, USER, BACK).await);
    }
    let states: std::collections::BTreeSet<String> = tabs.iter().map(|tab| tab.asked("state")).collect();
    assert_eq!(states.len(), 5);
    for tab in tabs {
        let next = browser.consent(&tab, &own_code()).await;
        let end = if next.location.is_some() { next } else { browser.consent(&next, "access-of-github").await };
        assert_eq!(end.location.as_deref(), Some(BACK));
    }
}

#[tokio::test]
async fn a_token_may_expire_during_the_flow_and_a_page_may_be_loaded_again() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let first = browser.open(ACCOUNT, USER, BACK).await;
    scene.clock.set(NOW + 1200);
    let page = browser.get(&next_of(&first)).await;
    assert_eq!(page.title(), "Connect your accounts");
    drop(browser.consent(&page, &own_code()).await);
    scene.clock.set(NOW + 2400);
    // The back button: the first page again, which now shows the second step.
    let back = browser.get(&next_of(&first)).await;
    assert!(back.link("Continue to GitHub").is_some(), "{}", back.body);
    let last = browser.consent(&back, "access-of-github").await;
    assert_eq!(last.location.as_deref(), Some(BACK));
}

/// The path of the page itself: its attempt is in the state.
fn next_of(page: &Got) -> String {
    format!("/planner/authorize/next?flow={}", page.asked("state").split('.').next().unwrap())
}

#[tokio::test]
async fn a_per_account_grant_is_made_and_removed_only_by_whom_me_calls_admin() {
    for (rules, rank, may) in [
        ("per = \"account\"", "admin", true),
        ("per = \"account\"", "member", false),
        ("per = \"account\"", "guest", false),
        ("per = \"account\"\nconnect_by = \"member\"", "admin", true),
        ("per = \"account\"\nconnect_by = \"member\"", "member", true),
        ("per = \"account\"\nconnect_by = \"member\"", "guest", false),
    ] {
        let scene = Scene::with(r#"grants = ["monday", "github"]"#, rules).await;
        let mut browser = scene.browser();
        let page = browser.open(ACCOUNT, USER, BACK).await;
        let page = browser.consent(&page, &code_of(ACCOUNT, USER, rank)).await;
        if !may {
            assert_eq!((page.status, page.title()), (403, "An admin has to connect GitHub"), "{rules} {rank}");
            let connections = browser.get("/planner/authorize/connections").await;
            assert!(!connections.body.contains("Connect GitHub</button>"), "{}", connections.body);
            assert!(connections.body.contains("an admin manages it"));
            continue;
        }
        let last = browser.consent(&page, "access-of-github").await;
        assert_eq!(last.location.as_deref(), Some(BACK), "{rules} {rank}");
        assert_eq!(scene.standing_of((ACCOUNT, 77), "github").await, Standing::Ok, "it is the whole account's");
        let connections = browser.get("/planner/authorize/connections").await;
        let after = browser.press(&connections, "Disconnect GitHub", &[]).await;
        assert!(after.body.contains("It was disconnected"), "{}", after.body);
        assert_eq!(scene.standing_of((ACCOUNT, 77), "github").await, Standing::Revoked);
    }
}

#[tokio::test]
async fn nobody_removes_the_accounts_grant_with_a_form_of_their_own() {
    let scene = Scene::with(r#"grants = ["monday", "github"]"#, "per = \"account\"").await;
    let mut admin = scene.browser();
    let page = admin.open(ACCOUNT, USER, BACK).await;
    let page = admin.consent(&page, &code_of(ACCOUNT, USER, "admin")).await;
    drop(admin.consent(&page, "access-of-github").await);
    let mut member = scene.browser();
    let page = member.open(ACCOUNT, 77, BACK).await;
    drop(member.consent(&page, &code_of(ACCOUNT, 77, "member")).await);
    let own = member.get("/planner/authorize/connections").await;
    let form = own.body.split("action=\"/planner/authorize/disconnect\"").nth(1).unwrap();
    let value = form.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = format!("provider=github&form={value}");
    let refused = member.post("/planner/authorize/disconnect", body).await;
    assert_eq!((refused.status, refused.title()), (403, "An admin has to connect GitHub"));
    assert_eq!(scene.standing("github").await, Standing::Ok);
}

#[tokio::test]
async fn a_view_gets_a_one_time_link_for_a_minute_and_a_refused_request_one_for_ten() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let url =
        |got: &Got| serde_json::from_str::<serde_json::Value>(&got.body).unwrap()["url"].as_str().unwrap().to_owned();
    let link = url(&browser.ask_link(ACCOUNT, USER, "").await);
    assert!(link.starts_with("https://gw.example.com/planner/authorize/go?ticket="));
    let page = browser.get(&link).await;
    assert_eq!((page.title(), page.asked("subdomain").as_str()), ("Connect your accounts", "myaccount"));
    let twice = browser.get(&link).await;
    assert_eq!((twice.status, twice.title()), (400, "This attempt has expired"), "once");
    let link = url(&browser.ask_link(ACCOUNT, USER, r#"{"provider":"github"}"#).await);
    scene.clock.set(NOW + 59);
    assert_eq!(browser.get(&link).await.status, 200);
    let link = url(&browser.ask_link(ACCOUNT, USER, "").await);
    scene.clock.set(NOW + 59 + 60);
    assert_eq!(browser.get(&link).await.title(), "This attempt has expired");
    let link = scene.reconnect(&["github"]).await.unwrap();
    scene.clock.set(NOW + 119 + 599);
    assert_eq!(browser.get(&link).await.status, 200);
    let link = scene.reconnect(&["github"]).await.unwrap();
    scene.clock.set(NOW + 718 + 600);
    assert_eq!(browser.get(&link).await.title(), "This attempt has expired");
    assert_eq!(scene.reconnect(&["nothing"]).await, None);
    for body in ["{", "[]", r#"{"provider":"nothing"}"#, r#"{"provider":1}"#, r#"{"x":1}"#] {
        assert_eq!(browser.ask_link(ACCOUNT, USER, body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn connect_disconnect_and_reconnect_from_the_page_of_connections() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    drop(connect_both(&mut browser).await);
    let page = browser.get("/planner/authorize/connections").await;
    let page = browser.press(&page, "Disconnect GitHub", &[]).await;
    assert!(page.body.contains("role=\"status\"") && page.body.contains("Disconnected"));
    assert_eq!(scene.standing("github").await, Standing::Revoked);
    let page = browser.press(&page, "Connect GitHub", &[]).await;
    let page = browser.consent(&page, "access-of-github-2").await;
    assert_eq!(page.title(), "Your connections");
    assert_eq!(scene.standing("github").await, Standing::Ok);
    let page = browser.press(&page, "Reconnect GitHub", &[]).await;
    assert!(page.link("Continue to GitHub").is_some(), "asked again although it is there");
    let page = browser.consent(&page, "access-of-github-3").await;
    assert_eq!(page.title(), "Your connections");
}

#[tokio::test]
async fn keys_are_typed_in_by_somebody_who_is_known_and_kept_only_if_they_work() {
    let scene = Scene::with(r#"grants = ["monday", "mailer"]"#, "").await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    let next = next_of(&page);
    let early = browser.get(&next.replace("next?", "keys/mailer?")).await;
    assert_eq!(early.title(), "Connect your accounts", "nobody is known yet");
    let page = browser.consent(&page, &own_code()).await;
    let page = browser.get(&page.link("Continue to Mailer").unwrap()).await;
    assert_eq!(page.title(), "Your key for Mailer");
    assert!(page.body.contains("<label for=\"field-key\">API key</label>") && page.body.contains("type=\"password\""));
    let empty = browser.press(&page, "Connect Mailer", &[("field-key", " "), ("field-domain", "x")]).await;
    assert!(empty.status == 422 && empty.body.contains("fill in every field"));
    let bad = browser.press(&page, "Connect Mailer", &[("field-key", "bad"), ("field-domain", "d")]).await;
    assert!(bad.status == 422 && bad.body.contains("role=\"alert\"") && bad.body.contains("did not accept"));
    assert_eq!(scene.standing("mailer").await, Standing::Missing);
    let done = browser.press(&page, "Connect Mailer", &[("field-key", " good "), ("field-domain", "d")]).await;
    assert_eq!((done.title(), done.link("Go on to monday.com").as_deref()), ("Connected", Some(BACK)));
    assert_eq!(scene.standing("mailer").await, Standing::Ok);
}

#[tokio::test]
async fn scopes_that_grew_in_the_configuration_are_asked_for_again() {
    let mut scene = Scene::new().await;
    drop(connect_both(&mut scene.browser()).await);
    let mut config = scene.config.clone();
    let github = &mut config.apps[0].authorization.as_mut().unwrap().mode;
    if let crate::config::resolved::grants::Mode::Grants(grants) = github {
        let mut grown = (*grants[1]).clone();
        if let crate::oauth::provider::Connect::Oauth(client) = &mut grown.connect {
            client.scopes.push("user".to_owned());
        }
        grants[1] = std::sync::Arc::new(grown);
    }
    scene.config = config;
    scene.rekeyed(&[*b"01234567890123456789012345678901"]).await;
    let mut browser = scene.browser();
    let page = browser.open(ACCOUNT, USER, BACK).await;
    assert_eq!(page.title(), "Connect your accounts");
    let page = browser.consent(&page, &own_code()).await;
    assert_eq!(page.asked("scope"), "repo user");
    let last = browser.consent(&page, "access-of-github").await;
    assert_eq!(last.location.as_deref(), Some(BACK));
}

#[tokio::test]
async fn a_backend_that_says_who_is_authorized_is_asked_signed_and_believed_as_long_as_it_says() {
    let scene = Scene::with("status_url = \"http://FAKE/status\"\nupstream = \"backend\"", "").await;
    let mut browser = scene.browser();
    let calls = || scene.asked.lock().unwrap().len();
    assert_eq!(browser.open(ACCOUNT, 1, BACK).await.location.as_deref(), Some(BACK));
    assert_eq!(browser.open(ACCOUNT, 1, BACK).await.location.as_deref(), Some(BACK));
    assert_eq!(calls(), 1, "cached");
    let request = scene.asked.lock().unwrap()[0].clone();
    assert!(request.contains(r#""app":"planner""#) && request.contains(r#""account_id":1825529"#), "{request}");
    let token = request.lines().find_map(|line| {
        line.to_ascii_lowercase().starts_with("authorization:").then(|| line.get(14..).unwrap().trim())
    });
    let key = crate::jwt::Key::new(&crate::secret::Secret::new("backend-secret-backend-secret-backend-secret"));
    let compact = crate::jwt::Compact::split(token.unwrap()).unwrap();
    assert_eq!(compact.verify(&[key]), Ok(0));
    let mut payload = Vec::new();
    compact.payload(&mut payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(NOW), Some(NOW + 300)));
    scene.clock.set(NOW + 300);
    drop(browser.open(ACCOUNT, 1, BACK).await);
    assert_eq!(calls(), 2, "as long as it says");
    assert_eq!(browser.open(ACCOUNT, 2, BACK).await.status, 0, "goes on to the backend's page");
    assert_eq!(browser.open(ACCOUNT, 2, BACK).await.status, 0);
    assert_eq!(calls(), 3, "no is believed for five seconds");
    scene.clock.set(NOW + 305);
    drop(browser.open(ACCOUNT, 2, BACK).await);
    assert_eq!(calls(), 4);
    drop(browser.open(ACCOUNT, 3, BACK).await);
    scene.clock.set(NOW + 305 + 3600);
    drop(browser.open(ACCOUNT, 3, BACK).await);
    assert_eq!(calls(), 6, "an hour at most");
    for user in [4, 5] {
        for _ in 0..2 {
            assert_eq!(browser.open(ACCOUNT, user, BACK).await.status, 0, "unknown: forwarded, not cached");
        }
    }
    assert_eq!(calls(), 10);
    let astray = browser.open(ACCOUNT, 1, "https://evil.com").await;
    assert_eq!((astray.status, astray.title()), (400, "This link leads somewhere unexpected"));
}

#[tokio::test]
async fn every_page_of_the_flow_names_account_user_and_app() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let mut pages = vec![browser.open(ACCOUNT, USER, BACK).await];
    pages.push(browser.come_back(&pages[0], &[("error", "access_denied"), ("state", &pages[0].asked("state"))]).await);
    let again = browser.get(&next_of(&pages[0])).await;
    pages.push(browser.consent(&again, &own_code()).await);
    pages.push(browser.get("/planner/authorize/connections").await);
    for page in pages {
        for named in ["<dt>App</dt><dd>planner", "<dt>Account</dt><dd>1825529", "<dt>User</dt><dd>4012689"] {
            assert!(page.body.contains(named), "{}: {named}", page.title());
        }
    }
}
