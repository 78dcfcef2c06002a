//! What the demo plays in: a temporary folder with a certificate, secrets and a gateway.toml, which is read as `run` reads one.
//! Everything is made new each time, and removed when the scene is dropped.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Clock;
use crate::commands::demo::cases::Monday;
use crate::commands::demo::fakes::Registered;
use crate::commands::demo::gateway_toml::{
    PROVIDER, PROVIDER_CLIENT_ID, Players, TRACKER_APP_ID, TRACKER_CLIENT_ID, gateway_toml,
};
use crate::config::load::load_text;
use crate::config::resolved::Config;
use crate::config::{Mistakes, Secrets};
use crate::monday::kinds::Kind;
use crate::monday::mint::Mint;
use crate::secret::Secret;
use crate::tls::development::{DevelopmentFault, Generated, generate};

/// The app of the demo, as monday's Developer Center would show it.
pub(super) const CLIENT_ID: &str = "5f0cdemo5f0cdemo5f0cdemo5f0cdemo";
/// Its number there.
pub(super) const APP_ID: i64 = 10_012_345;

/// Where users of the app that needs grants go in the end, on the gateway.
pub(super) const BACK_TO: &str = "/board/back";

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
    back_to: String,
    signing: Secret,
    client: Secret,
    tracker_signing: Secret,
    tracker_client: Secret,
    provider_client: Secret,
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
    /// Makes the folder and all in it, for a gateway on this port among these.
    pub(super) fn set(port: u16, players: Players, clock: &Clock) -> Result<Self, SceneFault> {
        let folder = Folder::new()?;
        let port = if port == 0 { free_port().map_err(SceneFault::Port)? } else { port };
        let Generated { chain_pem, key_pem, ca_pem } = generate(&[], clock)?;
        let toml = gateway_toml(port, players, &folder.0);
        for (name, bytes) in [
            ("server.pem", chain_pem.as_bytes()),
            ("server.key", key_pem.expose()),
            ("ca.pem", ca_pem.as_bytes()),
            ("vault_key", STANDARD.encode(random::<32>()?).as_bytes()),
            ("gateway.toml", toml.as_bytes()),
        ] {
            folder.write(name, bytes)?;
        }
        let (signing, client) = (folder.secret("signing_secret")?, folder.secret("client_secret")?);
        let tracker_signing = folder.secret("tracker_signing_secret")?;
        let tracker_client = folder.secret("tracker_client_secret")?;
        let provider_client = folder.secret("provider_client_secret")?;
        let config = load_text("gateway.toml", &toml, &folder.0, Secrets::Read)?.config;
        let origin = format!("https://127.0.0.1:{port}");
        let back_to = format!("{origin}{BACK_TO}");
        Ok(Self {
            folder,
            origin,
            toml,
            config,
            back_to,
            signing,
            client,
            tracker_signing,
            tracker_client,
            provider_client,
        })
    }

    /// A file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// monday.com, which knows the app's secrets, at this time.
    pub(super) fn monday(&self, now: i64) -> Monday<'_> {
        Monday {
            origin: &self.origin,
            app_id: APP_ID,
            client_id: CLIENT_ID,
            back_to_url: Mint::default().back_to_url,
            signing: &self.signing,
            client: &self.client,
            now,
        }
    }

    /// monday.com, which knows the secrets of the app that needs grants.
    pub(super) fn tracker(&self, now: i64) -> Monday<'_> {
        Monday {
            app_id: TRACKER_APP_ID,
            client_id: TRACKER_CLIENT_ID,
            back_to_url: &self.back_to,
            signing: &self.tracker_signing,
            client: &self.tracker_client,
            ..self.monday(now)
        }
    }

    /// As what that app is registered with monday.com.
    pub(super) fn at_monday(&self) -> Registered {
        self.registered("monday", TRACKER_CLIENT_ID, &self.tracker_client)
    }

    /// As what it is registered with the provider.
    pub(super) fn at_provider(&self) -> Registered {
        self.registered(PROVIDER, PROVIDER_CLIENT_ID, &self.provider_client)
    }

    fn registered(&self, provider: &str, id: &'static str, secret: &Secret) -> Registered {
        let redirect_uri = format!("{}/tracker/authorize/callback/{provider}", self.origin);
        Registered { app: "Demo Tracker", id, secret: secret.clone(), redirect_uri }
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

    /// Makes a secret, and a file of it.
    fn secret(&self, name: &str) -> Result<Secret, SceneFault> {
        let text = random_hex::<16>()?;
        self.write(name, text.as_bytes())?;
        Ok(Secret::new(text))
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

fn random<const BYTES: usize>() -> Result<[u8; BYTES], SceneFault> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_unspecified| SceneFault::Random)?;
    Ok(bytes)
}

fn random_hex<const BYTES: usize>() -> Result<String, SceneFault> {
    let bytes = random::<BYTES>()?;
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
