//! Handshakes in memory, between rustls and the gateway's configuration, and files of every form.
#![expect(
    clippy::unwrap_in_result,
    clippy::result_large_err,
    reason = "rustls's errors are what is judged; the rest cannot fail"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, ServerConnection,
    SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::*;
use crate::tls::development::generate;
use crate::tls::roots::client_config;

/// A certificate's files in a folder of their own, and who signed it.
struct Pair {
    folder: TempDir,
    certificate: PathBuf,
    private_key: PathBuf,
}

impl Pair {
    fn new(certificate: &str, private_key: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("write");
            file
        };
        let (certificate, private_key) = (file("server.pem", certificate), file("server.key", private_key));
        Self { folder, certificate, private_key }
    }

    fn signed(algorithm: &'static SignatureAlgorithm, names: &[&str]) -> Self {
        let (certificate, key) = self_signed(algorithm, names);
        Self::new(&certificate.pem(), &key.serialize_pem())
    }

    fn paths(&self) -> CertificatePaths<'_> {
        CertificatePaths { certificate: &self.certificate, private_key: &self.private_key }
    }

    fn server(&self, versions: Versions) -> Result<Server, TlsFault> {
        server_config(&[self.paths()], versions, &Tickets::new().expect("tickets"), &Clock::system())
    }

    /// The text of the fault; loading must fail.
    fn fault(&self) -> String {
        self.server(Versions::From12).expect_err("refused").to_string()
    }
}

fn self_signed(algorithm: &'static SignatureAlgorithm, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate_for(algorithm).expect("key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    (certificate, key)
}

/// A development certificate and a client that trusts it.
fn developed(versions: Versions) -> (Server, ClientConfig, Pair) {
    let made = generate(&["gw.example.test".into()], &Clock::system()).expect("made");
    let pair = Pair::new(&made.chain_pem, std::str::from_utf8(made.key_pem.expose()).expect("PEM"));
    let ca = pair.folder.path().join("ca.pem");
    fs::write(&ca, made.ca_pem).expect("write");
    let client = client_config(Some(&ca), None).expect("client");
    (pair.server(versions).expect("server"), (*client).clone(), pair)
}

fn client_of(versions: &[&'static SupportedProtocolVersion], pair: &Pair) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for ca in files::certificates(&pair.folder.path().join("ca.pem")).expect("ca") {
        roots.add(ca).expect("root");
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Carries bytes both ways until nobody has more to say, in records as they come.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        client.write_tls(&mut wire).expect("memory");
        feed_server(server, &wire)?;
        wire.clear();
        server.write_tls(&mut wire).expect("memory");
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).expect("memory");
            client.process_new_packets()?;
        }
    }
    Ok(())
}

fn feed_server(server: &mut ServerConnection, mut unread: &[u8]) -> Result<(), Error> {
    while !unread.is_empty() {
        server.read_tls(&mut unread).expect("memory");
        server.process_new_packets()?;
    }
    Ok(())
}

fn connect(
    server: &Server,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).expect("name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("client");
    let mut server = ServerConnection::new(Arc::clone(&server.config)).expect("server");
    shake(&mut client, &mut server)?;
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

#[test]
fn the_second_handshake_of_a_client_is_resumed_in_both_versions_and_over_a_reload() {
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let (_server, _client, pair) = developed(Versions::From12);
        let tickets = Tickets::new().expect("tickets");
        let build = || server_config(&[pair.paths()], Versions::From12, &tickets, &Clock::system()).expect("server");
        let client = Arc::new(client_of(&[version], &pair));
        let (first, _) = connect(&build(), &client, "localhost").expect("first");
        assert_eq!((first.handshake_kind(), first.protocol_version()), (Some(HandshakeKind::Full), Some(name)));
        for _again in 0..3 {
            let (next, server) = connect(&build(), &client, "localhost").expect("next");
            assert_eq!(next.handshake_kind(), Some(HandshakeKind::Resumed), "{name:?}");
            assert_eq!(server.handshake_kind(), Some(HandshakeKind::Resumed), "{name:?}");
        }
        let (other, _) = connect(&build(), &client, "gw.example.test").expect("other host");
        assert_eq!(other.handshake_kind(), Some(HandshakeKind::Full), "a ticket is of one host");
    }
}

#[test]
fn a_ticket_of_another_process_makes_a_full_handshake_and_no_failure() {
    let (server, client, pair) = developed(Versions::From12);
    let client = Arc::new(client);
    connect(&server, &client, "localhost").expect("first");
    let other = pair.server(Versions::From12).expect("another process");
    let (second, _) = connect(&other, &client, "localhost").expect("second");
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn the_post_quantum_hybrid_is_negotiated_and_the_others_are_offered() {
    let (server, client, _pair) = developed(Versions::From12);
    let (connection, _) = connect(&server, &Arc::new(client), "localhost").expect("connected");
    let group = connection.negotiated_key_exchange_group().expect("group").name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let offered: Vec<_> = server.config.crypto_provider().kx_groups.iter().map(|group| group.name()).collect();
    assert_eq!(offered, [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1]);
}

#[test]
fn early_data_is_never_accepted_nor_kept_by_sessions_of_the_server() {
    let (server, _client, _pair) = developed(Versions::From12);
    assert_eq!(server.config.max_early_data_size, 0);
    assert!(!server.config.session_storage.can_cache());
    assert!(server.config.ticketer.enabled() && server.config.ticketer.lifetime() <= 24 * 3600);
}

#[test]
fn modern_refuses_tls_1_2_and_speaks_1_3() {
    let (server, _client, pair) = developed(Versions::Only13);
    assert!(connect(&server, &Arc::new(client_of(&[&TLS12], &pair)), "localhost").is_err());
    assert!(connect(&server, &Arc::new(client_of(&[&TLS13], &pair)), "localhost").is_ok());
}

#[test]
fn alpn_picks_h2_first_and_refuses_a_client_without_a_common_protocol() {
    let (server, client, _pair) = developed(Versions::From12);
    let with = |protocols: &[&[u8]]| {
        let mut client = client.clone();
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        connect(&server, &Arc::new(client), "localhost").map(|(client, _)| client.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(with(&[b"http/1.1", b"h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(with(&[b"http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(with(&[]), Ok(None));
    assert_eq!(with(&[b"spdy/3"]), Err(Error::NoApplicationProtocol));
}

#[test]
fn a_client_hello_in_records_of_few_bytes_is_read() {
    let (server, client, _pair) = developed(Versions::From12);
    let name = ServerName::try_from("localhost").expect("name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("client");
    let mut server = ServerConnection::new(Arc::clone(&server.config)).expect("server");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    let (head, message) = hello.split_at(5);
    assert_eq!(message.len(), usize::from(u16::from_be_bytes([head[3], head[4]])), "one record");
    for piece in message.chunks(7) {
        let mut record = head[..3].to_vec();
        record.extend(u16::try_from(piece.len()).expect("length").to_be_bytes());
        record.extend(piece);
        for byte in record {
            feed_server(&mut server, &[byte]).expect("fragment");
        }
    }
    shake(&mut client, &mut server).expect("handshake");
    assert!(!client.is_handshaking() && !server.is_handshaking());
}

#[test]
fn a_malformed_client_hello_is_an_error_and_no_panic() {
    let (server, client, _pair) = developed(Versions::From12);
    let name = ServerName::try_from("localhost").expect("name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    for at in 0..hello.len() {
        let mut broken = hello.clone();
        broken[at] ^= 0xff;
        let mut server = ServerConnection::new(Arc::clone(&server.config)).expect("server");
        let _judged = feed_server(&mut server, &broken);
    }
}

#[test]
fn the_certificate_is_chosen_by_exact_name_then_wildcard_then_the_first() {
    let ecdsa = &rcgen::PKCS_ECDSA_P256_SHA256;
    let first = Pair::signed(ecdsa, &["gw.example.test", "192.0.2.7"]);
    let wild = Pair::signed(ecdsa, &["*.apps.example.test"]);
    let exact = Pair::signed(ecdsa, &["A.apps.example.test"]);
    let paths = [first.paths(), wild.paths(), exact.paths()];
    let server =
        server_config(&paths, Versions::From12, &Tickets::new().expect("tickets"), &Clock::system()).expect("server");
    let certificates = &server.certificates;
    let asked = [
        (Some("gw.example.test"), 0),
        (Some("GW.Example.Test"), 0),
        (Some("b.apps.example.test"), 1),
        (Some("a.apps.example.test"), 2),
        (Some("b.b.apps.example.test"), 0),
        (Some("apps.example.test"), 0),
        (Some("elsewhere.test"), 0),
        (None, 0),
    ];
    for (sni, index) in asked {
        assert_eq!(certificates.presented(sni), index, "{sni:?}");
    }
    assert_eq!(certificates.index_for("elsewhere.test"), None);
    assert_eq!(certificates.index_for("192.0.2.7"), Some(0));
    assert_eq!(certificates.index_for("b.apps.example.test."), Some(1));
    assert!(certificates.covers(1, "a.apps.example.test"), "also what another is shown for");
    assert!(certificates.misdirected(0, "b.apps.example.test"));
    assert!(!certificates.misdirected(1, "a.apps.example.test"));
    assert!(!certificates.misdirected(0, "elsewhere.test"));
    shows_what_it_says(&server, &paths);
}

fn shows_what_it_says(server: &Server, paths: &[CertificatePaths<'_>]) {
    for (name, index) in [("gw.example.test", 0), ("b.apps.example.test", 1), ("a.apps.example.test", 2)] {
        let ca = paths[index].certificate;
        let trusts_only_that = client_config(Some(ca), None).expect("client");
        let (client, connection) = connect(server, &trusts_only_that, name).expect(name);
        assert_eq!(client.peer_certificates(), Some(files::certificates(ca).expect("chain").as_slice()));
        assert_eq!(server.certificates.presented(connection.server_name()), index);
    }
}

#[test]
fn a_backend_with_another_name_or_of_an_unknown_authority_is_refused() {
    let (server, client, _pair) = developed(Versions::From12);
    assert!(matches!(connect(&server, &Arc::new(client), "evil.test"), Err(Error::InvalidCertificate(_))));
    let (_other, stranger, _pair) = developed(Versions::From12);
    assert!(matches!(connect(&server, &Arc::new(stranger), "localhost"), Err(Error::InvalidCertificate(_))));
}

#[test]
fn a_client_certificate_is_read_and_a_mismatched_one_is_refused() {
    let ours = Pair::signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["client.test"]);
    let theirs = Pair::signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["client.test"]);
    let ca = Some(ours.certificate.as_path());
    assert!(client_config(ca, Some(ours.paths())).is_ok_and(|config| config.client_auth_cert_resolver.has_certs()));
    let crossed = CertificatePaths { private_key: &theirs.private_key, ..ours.paths() };
    let fault = client_config(ca, Some(crossed)).expect_err("refused").to_string();
    assert!(fault.contains("does not belong to the key"), "{fault}");
    assert!(client_config(Some(&ours.private_key), None).is_err());
}

/// Runs openssl on a file; returns what it printed.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("PEM")
}

#[test]
fn every_form_of_key_is_read() {
    let algorithms =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256];
    for algorithm in algorithms {
        let (certificate, key) = self_signed(algorithm, &["localhost"]);
        let pair = Pair::new(&certificate.pem(), &key.serialize_pem());
        let server = pair.server(Versions::From12).expect("PKCS#8");
        let client = client_config(Some(&pair.certificate), None).expect("client");
        connect(&server, &client, "localhost").expect("handshake");
        if algorithm != &rcgen::PKCS_ED25519 {
            let file = pair.private_key.to_str().expect("path");
            let traditional = openssl(&["pkey", "-in", file, "-traditional"]);
            assert!(traditional.contains("EC PRIVATE KEY") || traditional.contains("RSA PRIVATE KEY"));
            Pair::new(&certificate.pem(), &traditional).server(Versions::From12).expect("PKCS#1 or SEC1");
        }
    }
    let (certificate, key) = self_signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["localhost"]);
    let both = format!("notes before\n{}{}", certificate.pem(), key.serialize_pem()).replace('\n', "\r\n");
    Pair::new(&both, &both).server(Versions::From12).expect("one file for both, with CRLF");
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_refused_by_its_name_and_with_advice() {
    let (certificate, key) = self_signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["localhost"]);
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let (other, other_key) = self_signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["localhost"]);
    let cases = [
        (String::new(), key.clone(), "server.pem", "has no certificate"),
        (key.clone(), key.clone(), "server.pem", "has no certificate"),
        (certificate.replace("-----END", "-----ENT"), key.clone(), "server.pem", "no valid PEM"),
        (certificate.clone(), certificate.clone(), "server.key", "has no private key"),
        (certificate.clone(), format!("{key}{key}"), "server.key", "has 2 private keys"),
        (certificate.clone(), other_key.serialize_pem(), "server.pem", "does not belong to the key in"),
        (format!("{}{certificate}", other.pem()), key.clone(), "server.pem", "must be first"),
        (
            certificate.clone(),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
            "server.key",
            "cannot be used",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            key.clone(),
            "server.pem",
            "cannot be parsed",
        ),
    ];
    for (certificate, key, file, reason) in cases {
        let pair = Pair::new(&certificate, &key);
        let fault = pair.fault();
        assert!(fault.contains(reason), "{reason}: {fault}");
        assert!(fault.starts_with(pair.folder.path().join(file).to_str().expect("path")), "{fault}");
        assert!(!fault.contains("BEGIN CERT") && !fault.contains("MIG"), "{fault}");
    }
    let pair = Pair::new(&certificate, &key);
    fs::remove_file(&pair.private_key).expect("removed");
    assert!(pair.fault().contains("server.key: cannot be read"), "{}", pair.fault());
    assert!(matches!(
        server_config(&[], Versions::From12, &Tickets::new().expect("tickets"), &Clock::system()),
        Err(TlsFault::NoCertificates)
    ));
}

#[test]
fn an_encrypted_key_is_refused_in_both_forms() {
    let pair = Pair::signed(&rcgen::PKCS_ECDSA_P256_SHA256, &["localhost"]);
    let file = pair.private_key.to_str().expect("path").to_owned();
    let certificate = fs::read_to_string(&pair.certificate).expect("PEM");
    for form in [["pkey", "-in"].as_slice(), &["pkey", "-traditional", "-in"]] {
        let arguments = [form, &[&file, "-aes128", "-passout", "pass:hunter2"]].concat();
        let fault = Pair::new(&certificate, &openssl(&arguments)).fault();
        assert!(fault.contains("server.key: is encrypted"), "{fault}");
    }
}

#[test]
fn a_short_rsa_key_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("path").to_owned();
    let (key, certificate) = (file("k"), file("c"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ]);
    let read = |file: &str| fs::read_to_string(file).expect("PEM");
    let fault = Pair::new(&read(&certificate), &read(&key)).fault();
    assert!(fault.contains("server.pem: has an RSA key of 1024 bits"), "{fault}");
}

#[test]
fn a_certificate_is_refused_before_its_first_and_after_its_last_second() {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 2, 1);
    let pair = Pair::new(&params.self_signed(&key).expect("signed").pem(), &key.serialize_pem());
    let at = |unix| {
        let clock = Clock::standing_at(unix);
        server_config(&[pair.paths()], Versions::From12, &Tickets::new().expect("tickets"), &clock)
            .map(drop)
            .map_err(|fault| fault.to_string())
    };
    let (first, last) = (1_767_225_600, 1_769_904_000);
    assert_eq!((at(first), at(last)), (Ok(()), Ok(())));
    assert!(
        at(first - 1).is_err_and(|fault| fault.contains("server.pem: is not valid before") && fault.contains("clock"))
    );
    assert!(at(last + 1).is_err_and(|fault| fault.contains("server.pem: has expired") && fault.contains("renew")));
}

#[test]
fn installing_the_default_provider_twice_is_fine() {
    install_default_provider();
    install_default_provider();
    assert!(CryptoProvider::get_default().is_some());
}
