//! The listener's TLS: versions, names, keys, resumption; and plain HTTP where that is allowed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::gateway::{Gateway, NAMES, binary};
use crate::support::raw::{self, Raw};
use crate::support::setup::Setup;
use crate::support::{SOON, within};

async fn handshake(
    gateway: &Gateway,
    name: &str,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(gateway.address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

fn standard() -> (Backend, Gateway) {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address));
    (backend, gateway)
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_the_hybrid_group_is_preferred() {
    let (_backend, gateway) = standard();
    let modern =
        handshake(&gateway, "gw.test", gateway.authority.client_versions(&[&rustls::version::TLS13])).await.unwrap();
    assert_eq!(modern.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(modern.get_ref().1.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    let older =
        handshake(&gateway, "gw.test", gateway.authority.client_versions(&[&rustls::version::TLS12])).await.unwrap();
    assert_eq!(older.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    // With 1.3 the client is done before the gateway is.
    let deadline = std::time::Instant::now() + SOON;
    while gateway.metric("gateway_tls_handshakes_total", &["result=\"ok\""]).await < 2.0 {
        assert!(std::time::Instant::now() < deadline, "both handshakes are counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn min_version_1_3_refuses_1_2() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address).tls("min_version = \"1.3\""));
    assert!(
        handshake(&gateway, "gw.test", gateway.authority.client_versions(&[&rustls::version::TLS12])).await.is_err()
    );
    assert!(
        handshake(&gateway, "gw.test", gateway.authority.client_versions(&[&rustls::version::TLS13])).await.is_ok()
    );
}

#[tokio::test]
async fn old_versions_and_weak_ciphers_are_refused() {
    let (_backend, gateway) = standard();
    for arguments in [
        &["-tls1_1"][..],
        &["-tls1"],
        &["-tls1_2", "-cipher", "AES128-SHA"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
    ] {
        let output = openssl(&gateway, arguments).await;
        assert!(
            !output.contains("Verify return code: 0") || output.contains("Cipher is (NONE)"),
            "{arguments:?}: {output}"
        );
    }
}

/// `openssl s_client` with a request on its input; what it printed.
async fn openssl(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &gateway.address.to_string(), "-servername", "gw.test", "-CAfile"])
        .arg(gateway.ca_file());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n").ok();
        input.flush().ok();
        let output = child.wait_with_output().unwrap();
        drop(input);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    tokio::time::timeout(SOON * 2, run).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_session_really_resumes_over_both_versions() {
    let (_backend, gateway) = standard();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = gateway.authority.client_versions(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut tls = handshake(&gateway, "gw.test", config.clone()).await.unwrap();
            tls.write_all(&raw::request("GET", "/planner/public/x", "Connection: close\r\n", "")).await.unwrap();
            let mut all = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut tls, &mut all).await.ok();
            assert!(all.starts_with(b"HTTP/1.1 200"));
            kinds.push(tls.get_ref().1.handshake_kind().unwrap());
        }
        assert_ne!(kinds[0], HandshakeKind::Resumed);
        assert_eq!(&kinds[1..], [HandshakeKind::Resumed, HandshakeKind::Resumed], "{version:?}");
    }
}

#[tokio::test]
async fn openssl_resumes_too_and_no_early_data_is_offered() {
    let (_backend, gateway) = standard();
    let session = gateway.folder.path().join("session.pem");
    let file = session.to_str().unwrap().to_owned();
    for version in ["-tls1_2", "-tls1_3"] {
        let first = openssl(&gateway, &[version, "-ign_eof", "-sess_out", &file]).await;
        assert!(first.contains("HTTP/1.1 200"), "{first}");
        assert!(first.contains("New, "), "{first}");
        assert!(!first.contains("Max Early Data: 4294967295") && !first.contains("Max Early Data: 16384"), "{first}");
        let second = openssl(&gateway, &[version, "-ign_eof", "-sess_in", &file]).await;
        assert!(second.contains("Reused, "), "{version}: {second}");
        assert!(second.contains("HTTP/1.1 200"), "{second}");
    }
}

#[tokio::test]
async fn alpn_chooses_the_protocol_and_an_unknown_one_is_refused() {
    let (_backend, gateway) = standard();
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let config = Arc::unwrap_or_clone(gateway.authority.client(offered));
        let tls = handshake(&gateway, "gw.test", config).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol().map(String::from_utf8_lossy).as_deref(), chosen, "{offered:?}");
    }
    let config = Arc::unwrap_or_clone(gateway.authority.client(&["spdy/3"]));
    assert!(handshake(&gateway, "gw.test", config).await.is_err());
}

#[tokio::test]
async fn each_name_gets_its_own_certificate() {
    let backend = Backend::echo();
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.leaf(&["a.test"]).write(folder.path(), "a");
    authority.leaf(&["*.b.test"]).write(folder.path(), "b");
    let more = "[[server.tls.certificates]]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\n[[server.tls.certificates]]\ncertificate = \"b.pem\"\nprivate_key = \"b.key\"";
    let gateway = Gateway::start_in(folder, authority, &Setup::standard(&backend.address).tls(more));
    for name in ["gw.test", "localhost", "a.test", "x.b.test"] {
        assert!(
            handshake(&gateway, name, gateway.authority.client_versions(rustls::DEFAULT_VERSIONS)).await.is_ok(),
            "{name}"
        );
    }
    for name in ["c.test", "b.test", "x.y.b.test"] {
        assert!(
            handshake(&gateway, name, gateway.authority.client_versions(rustls::DEFAULT_VERSIONS)).await.is_err(),
            "{name}"
        );
    }
    let mut connection = gateway.connect_tls("a.test", &["http/1.1"]).await;
    connection.send(b"GET /planner/public/x HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 200);
    let mut connection = gateway.connect_tls("a.test", &["http/1.1"]).await;
    connection.send(b"GET /planner/public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 421, "the host of another certificate");
}

#[tokio::test]
async fn keys_of_every_pem_form_are_read() {
    let backend = Backend::echo();
    for (name, commands) in [
        ("EC, SEC1", vec!["ecparam -name prime256v1 -genkey -noout -out k.key"]),
        ("EC, PKCS#8", vec!["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out k.key"]),
        ("RSA, PKCS#8", vec!["genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out k.key"]),
        ("RSA, PKCS#1", vec!["genrsa -traditional -out k.key 2048"]),
    ] {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        std::fs::write(folder.path().join("signer.pem"), authority.pem()).unwrap();
        let own = "req -x509 -key k.key -subj /CN=gw.test -addext subjectAltName=DNS:gw.test -days 2 -out k.pem";
        for line in commands.iter().copied().chain([own]) {
            let run = Command::new("openssl").args(line.split(' ')).current_dir(folder.path()).output().unwrap();
            assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        }
        let setup = Setup::standard(&backend.address).only_tls("certificate = \"k.pem\"\nprivate_key = \"k.key\"");
        let gateway = Gateway::start_in(folder, authority, &setup);
        let output = peers_curl(&gateway, &gateway.folder.path().join("k.pem")).await;
        assert!(output.contains("\"target\""), "{name}: {output}");
    }
}

async fn peers_curl(gateway: &Gateway, ca: &std::path::Path) -> String {
    let mut command = crate::support::peers::curl(gateway);
    command.arg("--cacert").arg(ca).arg(format!("https://gw.test:{}/planner/public/x", gateway.address.port()));
    String::from_utf8(crate::support::peers::output(command).await.stdout).unwrap()
}

#[tokio::test]
async fn pairs_that_do_not_fit_are_refused_with_the_files_name() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    authority.leaf(&NAMES).write(folder.path(), "good");
    authority.leaf(&NAMES).write(folder.path(), "other");
    let expired = authority.leaf_with(&NAMES, &KeyPair::generate().unwrap(), |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    expired.write(folder.path(), "expired");
    std::fs::write(folder.path().join("garbage.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (certificate, key, named) in [
        ("good.pem", "other.key", "other.key"),
        ("expired.pem", "expired.key", "expired.pem"),
        ("missing.pem", "good.key", "missing.pem"),
        ("good.pem", "missing.key", "missing.key"),
        ("garbage.pem", "good.key", "garbage.pem"),
        ("empty.pem", "good.key", "empty.pem"),
        ("good.pem", "good.pem", "good.pem"),
        ("good.key", "good.key", "good.key"),
    ] {
        let setup = Setup::standard("http://127.0.0.1:9")
            .only_tls(&format!("certificate = \"{certificate}\"\nprivate_key = \"{key}\""));
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, setup.toml()).unwrap();
        let output = binary().arg("run").arg("--config").arg(&file).current_dir(folder.path()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{certificate} {key}");
        assert!(words.contains(named), "{certificate} {key}: {words}");
        assert!(!words.contains("panicked"), "{words}");
    }
}

#[tokio::test]
async fn a_client_hello_in_pieces_is_understood() {
    let (_backend, gateway) = standard();
    let mut client = rustls::ClientConnection::new(
        gateway.authority.client(&["http/1.1"]),
        ServerName::try_from("gw.test").unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    // The same handshake message in many records.
    let mut raw = Raw::plain(gateway.address).await;
    let body = &hello[5..];
    for piece in body.chunks(40) {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        let mut record = vec![0x16, 3, 1, length[0], length[1]];
        record.extend_from_slice(piece);
        raw.send(&record).await;
    }
    assert!(raw.read_more().await, "an answer to the ClientHello");
    assert!(raw.buffer.starts_with(&[0x16, 3, 3]), "{:?}", raw.buffer.get(..5));
    assert_eq!(gateway.request("GET", "/planner/public/x", "", "").await.status, 200);
}

#[tokio::test]
async fn what_is_no_tls_is_counted_and_ends() {
    let (backend, gateway) = standard();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff",
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut connection = Raw::plain(gateway.address).await;
        connection.send(bytes).await;
        connection.finish_sending().await;
        let rest = connection.rest(SOON).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2") && !rest.starts_with(b"HTTP/1.1 3"), "{rest:?}");
    }
    let deadline = std::time::Instant::now() + SOON;
    while sum_failed(&gateway).await < 1.0 {
        assert!(std::time::Instant::now() < deadline, "no failed handshake is counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(backend.count(), 0);
}

async fn sum_failed(gateway: &Gateway) -> f64 {
    let all = gateway.metric("gateway_tls_handshakes_total", &[]).await;
    all - gateway.metric("gateway_tls_handshakes_total", &["result=\"ok\""]).await
}

#[tokio::test]
async fn plain_http_is_served_on_loopback_and_elsewhere_only_with_trusted_proxies() {
    let backend = Backend::echo();
    let gateway = Gateway::start(&Setup::standard(&backend.address).plain());
    let answer = gateway.request("GET", "/planner/public/x", "", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.echoed_values("x-forwarded-proto"), ["http"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    for (more, fine) in [
        ("", false),
        ("trusted_proxies = [\"10.0.0.0/8\"]", true),
        ("trusted_proxies = [\"0.0.0.0/0\"]", false),
        ("trusted_proxies = [\"::/0\"]", false),
    ] {
        let text = Setup::standard(&backend.address).plain().server(more).toml().replacen(
            "listen = \"127.0.0.1:0\"",
            "listen = \"0.0.0.0:0\"",
            1,
        );
        std::fs::write(&file, text).unwrap();
        let output = binary().arg("check").arg("--config").arg(&file).output().unwrap();
        assert_eq!(
            output.status.success(),
            fine,
            "{more}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    within(SOON, "still there", || Some(())).await;
}

/// More of them than handshakes are carried on at once: a handshake takes its turn when its first byte has come.
#[tokio::test]
async fn silent_connections_do_not_delay_a_handshake() {
    let (_backend, gateway) = standard();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let config = gateway.authority.client_versions(&[&rustls::version::TLS13]);
    // Well before the silent ones' own time is over.
    let shaken = tokio::time::timeout(Duration::from_secs(4), handshake(&gateway, "gw.test", config)).await;
    shaken.expect("the handshake waits for the silent ones").unwrap();
    drop(silent);
}
