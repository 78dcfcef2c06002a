//! Connections to backends: which are used again, which are not, and when a request is sent a second time.

use std::time::Duration;

use crate::support::backend::{Backend, Step, ok};
use crate::support::gateway::Gateway;
use crate::support::http2::{self, H2};
use crate::support::raw;
use crate::support::setup::Setup;
use crate::support::within;

/// One worker, so that there is one pool.
fn setup(backend: &str) -> Setup {
    Setup::standard(backend).server("workers = 1")
}

#[tokio::test]
async fn one_connection_serves_requests_that_follow_each_other() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address));
    for _ in 0..20 {
        assert_eq!(gateway.request("POST", "/planner/public/x", "", "body").await.status, 200);
    }
    let mut client = H2::connect(&gateway).await;
    for _ in 0..20 {
        assert_eq!(client.ask(http2::request("POST", "/planner/public/x", &[]), b"body").await.status, 200);
    }
    assert_eq!(backend.connections(), 1);
}

/// A backend closes after each answer without saying so; the request that meets it is sent again, and answered once.
#[tokio::test]
async fn a_request_that_meets_a_just_closed_connection_is_sent_again() {
    let backend = Backend::scripted(|seen| {
        let answer = ok(&format!("{}", seen.connection));
        if seen.sequence == 0 { vec![Step::ReadBody, Step::Send(answer), Step::Close] } else { vec![Step::Reset] }
    });
    let gateway = Gateway::start(&setup(&backend.address));
    let many = 50;
    for number in 0..many {
        let body = if number % 2 == 0 { "a body that is kept" } else { "" };
        let answer = gateway.request("POST", "/planner/public/x", "", body).await;
        assert_eq!(answer.status, 200, "request {number}: {}", answer.text());
        // A request on its way before the backend closes may have been read: that one is not sent again.
        within(Duration::from_secs(5), "the backend closes", || (backend.open() == 0).then_some(())).await;
    }
    assert_eq!(backend.count(), many, "each arrived once");
}

/// The head was sent and the connection ended: the backend may have acted, so nobody asks again.
#[tokio::test]
async fn a_request_whose_bytes_were_sent_is_not_sent_again() {
    let backend = Backend::scripted(|seen| {
        if seen.sequence == 0 { vec![Step::ReadBody, Step::Echo] } else { vec![Step::ReadBody, Step::Reset] }
    });
    let gateway = Gateway::start(&setup(&backend.address));
    for method in ["POST", "PATCH", "PUT"] {
        let before = backend.count();
        assert_eq!(gateway.request(method, "/planner/public/x", "", "x").await.status, 200);
        assert_eq!(gateway.request(method, "/planner/public/x", "", "x").await.status, 502, "{method}");
        assert_eq!(backend.count(), before + 2, "{method}");
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_idle_timeout() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&setup(&backend.address).upstream("idle_timeout = \"1s\""));
    gateway.request("GET", "/planner/public/x", "", "").await;
    assert_eq!(backend.open(), 1);
    within(Duration::from_secs(5), "the idle connection ends", || (backend.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_backends_shorter_keep_alive_wins() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok");
    let gateway = Gateway::start(&setup(&backend.address).upstream("idle_timeout = \"60s\""));
    gateway.request("GET", "/planner/public/x", "", "").await;
    within(Duration::from_secs(6), "the connection ends before the backend's own time", || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn max_connections_bounds_what_a_backend_sees() {
    let backend = Backend::scripted(|_| vec![Step::AwaitRelease, Step::Echo]);
    let gateway = Gateway::start(&setup(&backend.address).upstream("max_connections = 2"));
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut connection = gateway.connect().await;
        connection.send(&raw::request("GET", "/planner/public/x", "", "")).await;
        waiting.push(connection);
    }
    backend.when_seen(2).await;
    let third = gateway.request("GET", "/planner/public/x", "", "").await;
    assert_eq!(third.status, 503, "{}", third.text());
    assert_eq!(backend.connections(), 2);
    let mut answered = 0;
    for connection in &mut waiting {
        connection.patience = Duration::from_secs(5);
        backend.release();
        answered += usize::from(connection.answer().await.status == 200);
    }
    assert_eq!(answered, 2);
}

#[tokio::test]
async fn a_backend_that_does_not_accept_is_given_up_after_connect_timeout() {
    // A listener whose queue is full answers no SYN.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..4 {
        let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        filler.connect(&address.into()).ok();
        fillers.push(filler);
    }
    let gateway = Gateway::start(&setup(&format!("http://{address}")).upstream("connect_timeout = \"300ms\""));
    let began = std::time::Instant::now();
    let answer = gateway.request("GET", "/planner/public/x", "", "").await;
    assert!(matches!(answer.status, 502..=504), "{}", answer.status);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_backend_on_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::echo_unix(&folder.path().join("app.sock"));
    let gateway = Gateway::start(&setup(&backend.address));
    let answer = gateway.request("POST", "/planner/public/x", "", "body").await;
    assert_eq!(answer.json()["bodyLength"], 4);
}

#[tokio::test]
async fn the_backend_sees_the_clients_host_or_its_own() {
    let backend = Backend::echo();
    for (keys, host) in [
        ("", "gw.test".to_owned()),
        ("host = \"client\"", "gw.test".to_owned()),
        ("host = \"upstream\"", backend.socket().to_string()),
    ] {
        let gateway = Gateway::start(&setup(&backend.address).upstream(keys));
        let answer = gateway.request("GET", "/planner/public/x", "", "").await;
        assert_eq!(answer.echoed_values("host"), [host], "{keys}");
        assert_eq!(answer.echoed_values("x-forwarded-host"), ["gw.test"], "{keys}");
        let mut client = H2::connect(&gateway).await;
        let answer = client.ask(http2::request("GET", "/planner/public/x", &[]), b"").await;
        assert_eq!(answer.echoed_values("host").len(), 1, "{keys}");
    }
}

#[tokio::test]
async fn a_backend_over_tls_is_reached_only_with_the_right_name_and_authority() {
    let authority = crate::support::certificates::Authority::new();
    let other = crate::support::certificates::Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let (ca, wrong_ca) = (folder.path().join("upstream-ca.pem"), folder.path().join("wrong-ca.pem"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&wrong_ca, other.pem()).unwrap();
    for (names, keys, status) in [
        (&["localhost"][..], format!("ca = \"{}\"", ca.display()), 200),
        (&["backend.test"], format!("ca = \"{}\"\nserver_name = \"backend.test\"", ca.display()), 200),
        (&["backend.test"], format!("ca = \"{}\"", ca.display()), 502),
        (&["localhost"], format!("ca = \"{}\"", wrong_ca.display()), 502),
        (&["localhost"], String::new(), 502),
    ] {
        let backend = Backend::echo_tls(authority.leaf(names).server());
        let gateway = Gateway::start(&setup(&backend.address).upstream(&keys));
        let answer = gateway.request("POST", "/planner/public/x", "", "secret").await;
        assert_eq!(answer.status, status, "{names:?} {keys}: {}", answer.text());
        assert_eq!(backend.count(), usize::from(status == 200));
    }
}

/// The load is even over workers: the second client is another worker's, whose pool has no connection.
#[tokio::test]
async fn a_worker_gives_up_an_idle_connection_that_another_one_needs() {
    let backend = Backend::echo();
    let setup = Setup::standard(&backend.address)
        .server("workers = 2")
        .upstream("max_connections = 1\nconnect_timeout = \"2s\"");
    let gateway = Gateway::start(&setup);
    let request = raw::request("GET", "/planner/public/x", "", "");
    let (mut one, mut other) = (gateway.connect().await, gateway.connect().await);
    for round in 0..3 {
        for client in [&mut one, &mut other] {
            client.send(&request).await;
            assert_eq!(client.answer().await.status, 200, "round {round}");
        }
    }
    assert!(backend.connections() > 1, "both clients are one worker's");
}
