//! TLS towards real servers: it is spoken, and certificates and names are verified.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::clock::Clock;
use crate::secret::Secret;
use crate::tls::development::{Generated, generate};
use crate::vault::trials::servers::PASSWORD;
use crate::vault::trials::{Kind, Place, block_on, keys, put, text};
use crate::vault::{StoreAddress, Table, Vault};

/// A server with a certificate for localhost and 127.0.0.1, which also listens at 127.0.0.2.
fn encrypted(kind: Kind) -> (Place, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Generated { chain_pem, key_pem, ca_pem } = generate(&[], &Clock::system()).unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("server.pem"), chain_pem).unwrap();
    fs::write(at("server.key"), key_pem.expose()).unwrap();
    fs::write(at("ca.pem"), ca_pem).unwrap();
    fs::set_permissions(at("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let settings = match kind {
        Kind::Postgres => {
            // Its key must be its own user's; where the tests run as that user, it is.
            drop(Command::new("chown").arg("postgres:").arg(at("server.key")).status());
            vec![
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", at("server.pem")),
                format!("ssl_key_file={}", at("server.key")),
                "listen_addresses=127.0.0.1,127.0.0.2".to_owned(),
            ]
        }
        _ => vec![format!(
            "--tls-port {} --bind 127.0.0.1 127.0.0.2 --tls-auth-clients no --tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {}",
            tls_port(),
            at("server.pem"),
            at("server.key"),
            at("ca.pem")
        )],
    };
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    (Place::with(kind, &settings), folder)
}

fn tls_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn verified(address: impl Fn(&str, &str) -> StoreAddress, ca: &str) {
    let vault = Vault::open(&address("127.0.0.1", ca), keys(&[1])).await.unwrap();
    put(&vault, "k", "x").await;
    assert_eq!(text(&vault, Table::Grants, "k").await.as_deref(), Some("x"));
    for (host, ca, why) in [("127.0.0.2", ca, "another name"), ("127.0.0.1", "", "another authority")] {
        let fault = Vault::open(&address(host, ca), keys(&[1])).await.unwrap_err().to_string();
        assert!(fault.contains("certificate") && !fault.contains("CANARY"), "{why}: {fault}");
    }
}

#[test]
fn postgresql_is_met_over_tls_and_verified() {
    let (place, folder) = encrypted(Kind::Postgres);
    let ca = folder.path().join("ca.pem").to_string_lossy().into_owned();
    let port = place.port;
    block_on(async move {
        let address = |host: &str, ca: &str| {
            let ca = if ca.is_empty() { String::new() } else { format!("&sslrootcert={ca}") };
            let url = format!("postgres://postgres:{PASSWORD}@{host}:{port}/postgres?sslmode=verify-full{ca}");
            StoreAddress::Postgres(Secret::new(url))
        };
        verified(address, &ca).await;
    });
    // A server without TLS is not spoken to in the clear.
    block_on(async {
        let plain = Place::new(Kind::Postgres);
        let fault = Vault::open(&plain.address_with(PASSWORD, "?sslmode=require"), keys(&[1])).await.unwrap_err();
        assert!(fault.to_string().to_lowercase().contains("tls"), "{fault}");
    });
}

#[test]
fn redis_is_met_over_tls_and_verified() {
    let (place, folder) = encrypted(Kind::Redis);
    let ca = folder.path().join("ca.pem").to_string_lossy().into_owned();
    let port: u16 = place.settings[0].split(' ').nth(1).unwrap().parse().unwrap();
    block_on(async move {
        let address = |host: &str, ca: &str| {
            let ca = if ca.is_empty() { String::new() } else { format!("?ca={ca}") };
            StoreAddress::Redis(Secret::new(format!("rediss://:{PASSWORD}@{host}:{port}/0{ca}")))
        };
        verified(address, &ca).await;
    });
    drop(place);
}
