//! `/metrics`: the families that people alert on, labels from closed sets only.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
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

/// Requests of strangers: half of them over HTTP/2.
const STRANGERS: usize = 100_000;
/// Connections that send them.
const CROWDS: usize = 8;

/// R29: whatever strangers send, the number of series stays what the file makes it, and nothing of it is printed.
#[tokio::test]
async fn r29_strangers_make_no_series() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    let before = series(&gateway.metrics().await);
    let began = Instant::now();
    let http1 = (0..CROWDS).step_by(2).map(|crowd| strangers_over_http1(&gateway, crowd));
    let http2 = (1..CROWDS).step_by(2).map(|crowd| strangers_over_http2(&gateway, crowd));
    let (over_http1, over_http2) = tokio::join!(all(http1), all(http2));
    let cases = over_http1 + over_http2;
    let took = began.elapsed();
    let mut scrape = String::new();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        scrape = gateway.metrics().await;
        fastest = fastest.min(began.elapsed());
    }
    let count = series(&scrape);
    assert!(!scrape.contains("canary") && !scrape.contains("stranger"), "a stranger's value is a label");
    assert!(count <= 500, "{count} series, {before} at the start");
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    gateway.assert_printed_none(&["canary"]);
    println!(
        "cases: {cases} requests in {took:?} (R29), {count} series, {before} at the start; scraped in {fastest:?}"
    );
    assert_eq!(cases, STRANGERS);
}

fn series(scrape: &str) -> usize {
    scrape.lines().filter(|line| !line.starts_with('#')).count()
}

/// Lets all of them go on at once, and adds up what they return.
async fn all(crowds: impl Iterator<Item = impl Future<Output = usize>>) -> usize {
    let mut crowds: Vec<_> = crowds.map(Box::pin).collect();
    let mut sum = 0;
    poll_fn(|cx| {
        crowds.retain_mut(|crowd| match crowd.as_mut().poll(cx) {
            Poll::Ready(count) => {
                sum += count;
                false
            }
            Poll::Pending => true,
        });
        if crowds.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    sum
}

fn strange_target(number: usize) -> String {
    match number % 4 {
        0 => format!("/stranger-{number}/x?canary={number}"),
        1 => format!("/planner/public/stranger-{number}"),
        2 => format!("/planner/view/stranger?sessionToken=canary.{number}.x"),
        _ => format!("/planner/action/stranger-{number}"),
    }
}

/// Ten at a time: as many as were sent before an answer that closes the connection.
async fn strangers_over_http1(gateway: &Gateway, crowd: usize) -> usize {
    let share = STRANGERS / CROWDS;
    let mut connection = gateway.connect().await;
    let mut number = 0;
    while number < share {
        let batch = (share - number).min(10);
        let mut requests = Vec::new();
        for at in number..number + batch {
            let id = crowd * share + at;
            // Only the last of a batch has a host or method that may end the connection.
            let (method, host) = if at + 1 == number + batch {
                (format!("M{id}"), format!("stranger-{id}.test"))
            } else {
                ("GET".into(), "gw.test".into())
            };
            let target = strange_target(id);
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Canary-{id}: canary\r\nAuthorization: canary{id}\r\nUser-Agent: stranger\r\n\r\n"
            );
            requests.extend(request.into_bytes());
        }
        connection.send(&requests).await;
        let mut closing = false;
        for _ in 0..batch {
            let Some(answer) = connection.maybe_answer().await else { panic!("closed without an answer") };
            assert!((200..500).contains(&answer.status) && !answer.text().contains("canary"), "{}", answer.text());
            closing = answer.field("connection") == Some("close");
        }
        number += batch;
        if closing {
            connection = gateway.connect().await;
        }
    }
    number
}

async fn strangers_over_http2(gateway: &Gateway, crowd: usize) -> usize {
    let share = STRANGERS / CROWDS;
    let mut client = H2::connect(gateway).await;
    for at in 0..share {
        let id = crowd * share + at;
        let (token, name) = (format!("canary.{id}.x"), format!("x-canary-{id}"));
        let method = if at % 3 == 0 { format!("M{id}") } else { "POST".to_owned() };
        let fields = [("authorization", token.as_str()), (name.as_str(), "canary")];
        let answer = client.ask(http2::request(&method, &strange_target(id), &fields), b"").await;
        assert!((200..500).contains(&answer.status) && !answer.text().contains("canary"), "{}", answer.text());
    }
    share
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
