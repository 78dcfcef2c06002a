//! `/metrics`: the families that people alert on, labels from closed sets only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::gateway::{Gateway, sum_of};
use crate::support::http2::{self, H2};
use crate::support::mint::{self, CLIENT, SIGNING, STRANGER, kind};
use crate::support::setup::Setup;

#[tokio::test]
async fn every_documented_family_is_there() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    gateway
        .request("POST", "/planner/action/run", &format!("Authorization: {}\r\n", kind("action").token()), "{}")
        .await;
    let scrape = gateway.metrics().await;
    let families: BTreeSet<&str> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    for family in [
        "gateway_http_requests_total",
        "gateway_http_request_duration_seconds",
        "gateway_upstream_request_duration_seconds",
        "gateway_token_verifications_total",
        "gateway_tls_handshakes_total",
        "gateway_connections",
        "gateway_upstream_connections",
        "gateway_headers_omitted_total",
        "gateway_config_last_reload_success_timestamp_seconds",
        "gateway_build_info",
    ] {
        assert!(families.contains(family), "{family} is missing: {families:?}");
    }
    assert!(
        families.iter().all(|family| ["gateway_", "process_"].iter().any(|prefix| family.starts_with(prefix))),
        "{families:?}"
    );
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
    }
    let bucket = scrape
        .lines()
        .find(|line| line.starts_with("gateway_http_request_duration_seconds_bucket") && line.contains("le=\"60\""))
        .is_some();
    assert!(bucket, "buckets to 60 s");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_code() {
    let backend = Backend::echo();
    let setup =
        Setup::standard(&backend.address).route("path = \"/named/{*rest}\"\nkind = \"public\"\nname = \"my-route\"");
    let gateway = Gateway::start(&setup);
    let mut client = H2::connect(&gateway).await;
    for _ in 0..3 {
        gateway.request("GET", "/named/x", "", "").await;
        client.ask(http2::request("GET", "/named/x", &[]), b"").await;
        gateway.request("GET", "/planner/action/x", "", "").await;
        gateway.request("GET", "/nowhere", "", "").await;
    }
    let scrape = gateway.metrics().await;
    let count = |labels: &[&str]| sum_of(&scrape, "gateway_http_requests_total", labels);
    for (labels, wanted) in [
        (&["route=\"my-route\"", "code=\"200\""][..], 6.0),
        (&["route=\"/planner/action/{*rest}\"", "code=\"401\""], 3.0),
        (&["code=\"404\""], 3.0),
        (&[], 12.0),
    ] {
        assert!((count(labels) - wanted).abs() < 0.1, "{labels:?}: {}", count(labels));
    }
    assert!(
        (sum_of(&scrape, "gateway_http_request_duration_seconds_count", &["route=\"my-route\""]) - 6.0).abs() < 0.1
    );
    assert!(
        (sum_of(&scrape, "gateway_upstream_request_duration_seconds_count", &["upstream=\"backend\""]) - 6.0).abs()
            < 0.1
    );
}

#[tokio::test]
async fn verifications_are_counted_by_what_became_of_them() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let action = kind("action");
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = action.claims();
        claims[name] = value;
        mint::sign(&claims, SIGNING)
    };
    let now = mint::now();
    let hs512 = mint::sign_parts(br#"{"alg":"HS512"}"#, action.claims().to_string().as_bytes(), SIGNING.as_bytes());
    let cases = [
        ("ok", action.token()),
        ("malformed", "x.y".into()),
        ("algorithm", hs512),
        ("signature", mint::sign(&action.claims(), STRANGER)),
        ("other_secret", mint::sign(&action.claims(), CLIENT)),
        ("expired", changed("exp", (now - 100).into())),
        ("not_yet_valid", changed("nbf", (now + 1000).into())),
        ("audience", changed("aud", "https://evil.test/".into())),
        ("wrong_app", changed("platformAppId", 1.into())),
        ("wrong_kind", changed("backToUrl", mint::BACK_TO.into())),
    ];
    for (result, token) in &cases {
        let status =
            gateway.request("POST", "/planner/action/run", &format!("Authorization: {token}\r\n"), "{}").await.status;
        assert_eq!(status, if *result == "ok" { 200 } else { 401 }, "{result}");
    }
    gateway.request("POST", "/planner/action/run", "", "{}").await;
    gateway
        .request(
            "POST",
            "/planner/action/run",
            &format!("Authorization: {0}\r\nAuthorization: {0}\r\n", cases[0].1),
            "{}",
        )
        .await;
    let scrape = gateway.metrics().await;
    for result in cases.iter().map(|(result, _)| *result).chain(["missing", "multiple"]) {
        let label = format!("result=\"{result}\"");
        let count =
            sum_of(&scrape, "gateway_token_verifications_total", &["app=\"planner\"", "kind=\"action\"", &label]);
        assert!((count - 1.0).abs() < 0.1, "{result}: {count}");
    }
}

/// R29: whatever strangers send, the number of series stays what the file makes it.
#[tokio::test]
async fn r29_strangers_make_no_series() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut client = H2::connect(&gateway).await;
    let mut connection = gateway.connect().await;
    let cases = 4000;
    for number in 0..cases {
        let target =
            if number % 2 == 0 { format!("/canary-{number}/x") } else { format!("/planner/public/canary-{number}") };
        if number % 4 < 2 {
            let fields = [("authorization", format!("canary.{number}.x"))];
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.ask(http2::request("GET", &target, &fields), b"").await;
        } else {
            let request = format!(
                "M{number} {target} HTTP/1.1\r\nHost: canary-{number}.test\r\nX-Canary-{number}: 1\r\nAuthorization: canary{number}\r\n\r\n"
            );
            connection.send(request.as_bytes()).await;
            let answer = connection.maybe_answer().await;
            if answer.is_none_or(|answer| answer.field("connection") == Some("close")) {
                connection = gateway.connect().await;
            }
        }
    }
    let began = Instant::now();
    let scrape = gateway.metrics().await;
    let took = began.elapsed();
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    let without_buckets = scrape.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{")).count();
    assert!(!scrape.contains("canary"), "a stranger's value is a label");
    assert!(without_buckets <= 500, "{without_buckets}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    println!("cases: {cases} (R29), {series} series, {without_buckets} without buckets, scraped in {took:?}");
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let mut client = H2::connect(&gateway).await;
    client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await;
    let mut connection = gateway.connect().await;
    connection.send(&crate::support::raw::request("GET", "/planner/public/x", "", "")).await;
    connection.answer().await;
    assert!((gateway.metric("gateway_connections", &["protocol=\"h2\""]).await - 1.0).abs() < 0.1);
    assert!((gateway.metric("gateway_connections", &["protocol=\"http/1.1\""]).await - 1.0).abs() < 0.1);
    drop(connection);
    let deadline = Instant::now() + crate::support::SOON;
    while gateway.metric("gateway_connections", &["protocol=\"http/1.1\""]).await > 0.5 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
