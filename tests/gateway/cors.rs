//! Cross-origin rules: the gateway owns every `Access-Control-*` field of a route that has `cors`.

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::mint::kind;
use crate::support::setup::Setup;

const RULES: &str = "cors = { origins = [\"https://app.example.com\", \"https://*.apps.example.org\"], headers = [\"content-type\", \"authorization\"], max_age = \"10m\" }";

fn setup(backend: &str) -> Setup {
    Setup::bare(backend).kind_route("view", &format!("methods = [\"GET\", \"PUT\"]\n{RULES}")).kind_route("public", "")
}

fn access_control(answer: &Answer) -> Vec<&(String, String)> {
    answer.fields.iter().filter(|(name, _)| name.to_lowercase().starts_with("access-control-")).collect()
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_never_reaches_the_backend() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let lines = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type, authorization\r\n";
    let answer = gateway.request("OPTIONS", "/planner/view/x", lines, "").await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.field("access-control-allow-methods").unwrap().contains("PUT"));
    let headers = answer.field("access-control-allow-headers").unwrap().to_lowercase();
    assert!(headers.contains("content-type") && headers.contains("authorization"));
    assert_eq!(answer.field("access-control-max-age"), Some("600"));
    assert!(answer.field("access-control-allow-credentials").is_none());
    assert!(answer.all("vary").join(",").to_lowercase().contains("origin"));
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn origins_are_exact_or_one_label_and_never_null() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    let token = format!("Authorization: {}\r\n", kind("view").token());
    let cases = [
        ("https://app.example.com", true),
        ("https://x.apps.example.org", true),
        ("null", false),
        ("https://evil.com", false),
        ("http://app.example.com", false),
        ("https://app.example.com:444", false),
        ("https://app.example.com.evil", false),
        ("https://evilapp.example.com", false),
        ("https://APP.example.com", false),
        ("https://apps.example.org", false),
        ("https://evilapps.example.org", false),
        ("https://x.apps.example.org.evil", false),
        ("https://x@apps.example.org", false),
        ("https://a.apps.example.org:8443", false),
        ("*", false),
        ("", false),
        ("https://app.example.com/", false),
        ("https://app.example.com, https://evil.com", false),
        ("http://x.apps.example.org", false),
        ("https://.apps.example.org", false),
        ("https://x/.apps.example.org", false),
    ];
    for (origin, allowed) in cases {
        for method in ["OPTIONS", "GET"] {
            let lines = format!(
                "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n{}",
                if method == "GET" { &token } else { "" }
            );
            let answer = gateway.request(method, "/planner/view/x", &lines, "").await;
            let expected = allowed.then_some(origin);
            assert_eq!(answer.field("access-control-allow-origin"), expected, "{method} {origin}: {answer:?}");
            assert!(answer.all("vary").join(",").to_lowercase().contains("origin"), "{method} {origin}");
        }
    }
    println!("cases: {}", cases.len() * 2);
}

#[tokio::test]
async fn the_backends_own_fields_are_replaced_and_refusals_have_the_gateways() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::start(&setup(&backend.address));
    let token = format!("Authorization: {}\r\n", kind("view").token());
    let origin = "Origin: https://app.example.com\r\n";
    let answer = gateway.request("GET", "/planner/view/x", &format!("{token}{origin}"), "").await;
    assert_eq!(answer.all("access-control-allow-origin"), ["https://app.example.com"]);
    assert!(answer.field("access-control-allow-credentials").is_none());
    let vary = answer.all("vary").join(",").to_lowercase();
    assert!(vary.contains("origin") && vary.contains("accept"), "{vary}");
    let without = gateway.request("GET", "/planner/view/x", &token, "").await;
    assert!(access_control(&without).is_empty(), "{without:?}");
    for (method, lines, status) in [("GET", origin.to_owned(), 401), ("DELETE", format!("{token}{origin}"), 405)] {
        let refused = gateway.request(method, "/planner/view/x", &lines, "").await;
        assert_eq!(refused.status, status);
        if status == 401 {
            assert_eq!(refused.all("access-control-allow-origin"), ["https://app.example.com"], "{refused:?}");
        }
    }
    let other = gateway.request("GET", "/planner/public/x", origin, "").await;
    assert_eq!(other.all("access-control-allow-origin"), ["*"], "a route without cors passes the backend's on");
}

#[tokio::test]
async fn options_that_is_no_preflight_needs_a_token_like_any_other() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for lines in ["", "Origin: https://app.example.com\r\n", "Access-Control-Request-Method: GET\r\n"] {
        let answer = gateway.request("OPTIONS", "/planner/view/x", lines, "").await;
        assert!(matches!(answer.status, 401 | 405), "{lines}: {}", answer.status);
    }
    let unknown = gateway
        .request(
            "OPTIONS",
            "/planner/view/x",
            "Origin: https://app.example.com\r\nAccess-Control-Request-Method: DELETE\r\n",
            "",
        )
        .await;
    assert!(unknown.field("access-control-allow-methods").is_none_or(|methods| !methods.contains("DELETE")));
    assert_eq!(backend.count(), 0);
}
