//! What the demo plays in: a temporary folder with a certificate, secrets and a gateway.toml, which is read as `run` reads one.
//! Everything is made new each time, and removed when the scene is dropped.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::clock::Clock;
use crate::commands::demo::cases::Monday;
use crate::config::load::load_text;
use crate::config::resolved::Config;
use crate::config::{Mistakes, Secrets};
use crate::monday::kinds::{KINDS, Kind};
use crate::secret::Secret;
use crate::tls::development::{DevelopmentFault, Generated, generate};

/// The app of the demo, as monday's Developer Center would show it.
pub(super) const CLIENT_ID: &str = "5f0cdemo5f0cdemo5f0cdemo5f0cdemo";
/// Its number there.
pub(super) const APP_ID: i64 = 10_012_345;

/// A folder of one's own that goes when this goes.
#[derive(Debug)]
struct Folder(PathBuf);

/// Everything but the backend and the gateway themselves.
#[derive(Debug)]
pub(super) struct Scene {
    folder: Folder,
    /// The gateway's address.
    pub(super) origin: String,
    /// gateway.toml.
    pub(super) toml: String,
    /// What it means.
    pub(super) config: Config,
    signing: Secret,
    client: Secret,
}

/// Why there is no scene.
#[derive(Debug, thiserror::Error)]
pub(super) enum SceneFault {
    #[error("{}: {fault}", path.display())]
    File { path: PathBuf, fault: io::Error },
    #[error("no port is free on 127.0.0.1: {0}")]
    Port(io::Error),
    #[error("no random numbers")]
    Random,
    #[error(transparent)]
    Certificate(#[from] DevelopmentFault),
    #[error("the demo's own gateway.toml is wrong:\n{0}")]
    Config(#[from] Mistakes),
}

impl Scene {
    /// Makes the folder and all in it, for a gateway on this port in front of this backend.
    pub(super) fn set(port: u16, backend: SocketAddr, clock: &Clock) -> Result<Self, SceneFault> {
        let folder = Folder::new()?;
        let port = if port == 0 { free_port().map_err(SceneFault::Port)? } else { port };
        let Generated { chain_pem, key_pem, ca_pem } = generate(&[], clock)?;
        let (signing, client) = (random_hex::<16>()?, random_hex::<16>()?);
        let toml = gateway_toml(port, backend, &folder.0);
        for (name, bytes) in [
            ("server.pem", chain_pem.as_bytes()),
            ("server.key", key_pem.expose()),
            ("ca.pem", ca_pem.as_bytes()),
            ("signing_secret", signing.as_bytes()),
            ("client_secret", client.as_bytes()),
            ("gateway.toml", toml.as_bytes()),
        ] {
            folder.write(name, bytes)?;
        }
        let config = load_text("gateway.toml", &toml, &folder.0, Secrets::Read)?.config;
        let origin = format!("https://127.0.0.1:{port}");
        Ok(Self { folder, origin, toml, config, signing: Secret::new(signing), client: Secret::new(client) })
    }

    /// A file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// monday.com, which knows the app's secrets, at this time.
    pub(super) fn monday(&self, now: i64) -> Monday<'_> {
        Monday { origin: &self.origin, signing: &self.signing, client: &self.client, now }
    }
}

impl Folder {
    fn new() -> Result<Self, SceneFault> {
        let path = std::env::temp_dir().join(format!("monday-gateway-demo-{}", random_hex::<8>()?));
        // Of the owner alone, and made here: whoever can guess the name has not been there before.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(fault) => Err(SceneFault::File { path, fault }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SceneFault> {
        let path = self.0.join(name);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        written.and_then(|mut file| file.write_all(bytes)).map_err(|fault| SceneFault::File { path, fault })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(fault) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %fault, "the demo's folder stays");
        }
    }
}

/// A port that was free a moment ago; the gateway's URL must be known before it listens.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

fn random_hex<const BYTES: usize>() -> Result<String, SceneFault> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_unspecified| SceneFault::Random)?;
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    Ok(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

/// The path below which requests of this kind go.
pub(super) fn base(kind: Kind) -> String {
    match kind {
        Kind::Public => "/public".to_owned(),
        _ => format!("/planner/{}", kind.name()),
    }
}

fn gateway_toml(port: u16, backend: SocketAddr, folder: &Path) -> String {
    let nobody = folder.join("nobody.sock");
    let mut toml = format!(
        r#"# The gateway of `monday-gateway demo`.
[server]
listen     = "127.0.0.1:{port}"
public_url = "https://127.0.0.1:{port}"
workers    = 2

[server.tls]
certificate = "server.pem"
private_key = "server.key"

[log]
format = "json"
access = {{ file = "access.log" }}

[apps.planner]
client_id      = "{CLIENT_ID}"
app_id         = {APP_ID}
client_secret  = {{ file = "client_secret" }}
signing_secret = {{ file = "signing_secret" }}

[upstreams.backend]
servers = ["http://{backend}"]

# Nobody listens here: to see what becomes of a request when a backend is down.
[upstreams.down]
servers = ["unix:{nobody}"]

[[routes]]
path     = "/planner/down"
app      = "planner"
kind     = "action"
upstream = "down"

[[routes]]
path     = "/planner/admins/{{*rest}}"
app      = "planner"
kind     = "view"
upstream = "backend"
allow    = {{ admin_only = true }}
"#,
        nobody = nobody.display(),
    );
    for row in KINDS.iter().filter(|row| row.kind != Kind::Jwt) {
        let (kind, base) = (row.name, base(row.kind));
        let app = if row.kind == Kind::Public { "" } else { "app      = \"planner\"\n" };
        let more = if row.kind == Kind::Action {
            "inject.headers = { \"X-Tenant\" = \"account-{account_id}\" }\n"
        } else {
            ""
        };
        let _written = writeln!(
            toml,
            "\n[[routes]]\npath     = \"{base}/{{*rest}}\"\n{app}kind     = \"{kind}\"\nupstream = \"backend\""
        );
        toml.push_str(more);
    }
    toml
}
