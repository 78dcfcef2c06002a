//! Connections to PostgreSQL: the URL, TLS, the settings of a session. `sslmode` is never less than it says: without it, only loopback and
//! sockets are plain; anything but `disable` verifies the server's certificate and name. `sslrootcert` (or `ca`) names a file of authorities.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::limits::VAULT_PATIENCE;
use crate::secret::Secret;
use crate::vault::VaultFault;
use crate::vault::wire::{self, Wire};

/// What drives a connection.
pub(crate) type Driver = Connection<Wire, <MakeRustlsConnect as MakeTlsConnect<Wire>>::Stream>;

/// What every session begins with: durable commits, plain isolation, and no statement that goes on when nobody waits for it any more.
const SESSION: &str = "
    SET statement_timeout = '900ms';
    SET lock_timeout = '800ms';
    SET idle_in_transaction_session_timeout = '10s';
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Dial {
    config: Config,
    /// The hosts: the last, and those that are tried before it.
    places: ((Host, u16), Vec<(Host, u16)>),
    tls: MakeRustlsConnect,
}

impl Dial {
    /// Reads the URL. What it quotes of it is nothing.
    pub(crate) fn new(address: &Secret) -> Result<Self, VaultFault> {
        let flawed = |what: &str| VaultFault::Refused(format!("the URL of the store: {what}"));
        let text = std::str::from_utf8(address.expose()).map_err(|_bytes| flawed("not UTF-8"))?;
        let mut url = Url::parse(text).map_err(|_quotes| flawed("not a URL"))?;
        let (mut mode, mut ca, mut others) = (None, None, Vec::new());
        for (name, value) in url.query_pairs() {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" | "ca" => ca = Some(PathBuf::from(value.into_owned())),
                _ => others.push((name.into_owned(), value.into_owned())),
            }
        }
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        let mut config: Config =
            url.as_str().parse().map_err(|_quotes| flawed("has a part that PostgreSQL does not know"))?;
        let is_plain = match mode.as_deref() {
            None => config.get_hosts().iter().all(is_here),
            Some("disable") => true,
            Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => false,
            Some(_) => return Err(flawed("sslmode is one of disable, require, verify-full")),
        };
        config.ssl_mode(if is_plain { SslMode::Disable } else { SslMode::Require });
        if config.get_application_name().is_none() {
            config.application_name("monday-gateway");
        }
        let ports = config.get_ports();
        let port = |index: usize| ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
        let mut places: Vec<(Host, u16)> =
            config.get_hosts().iter().enumerate().map(|(index, host)| (host.clone(), port(index))).collect();
        let last = places.pop().ok_or_else(|| flawed("it names no host"))?;
        let tls = MakeRustlsConnect::new(rustls::ClientConfig::clone(&*wire::tls(ca.as_deref())?));
        Ok(Self { config, places: (last, places), tls })
    }

    /// Its configuration, for the pool.
    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// A new session, at the first host that answers and is no standby; else at the last, whatever it is. `drive` starts the task that
    /// carries it.
    pub(crate) async fn connect(
        &self,
        drive: &(dyn Fn(Driver) -> JoinHandle<()> + Sync),
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let (last, firsts) = &self.places;
        for place in firsts {
            let Ok(session) = self.session(place, drive).await else { continue };
            if is_standby(&session.0).await.is_ok_and(|standby| !standby) {
                return Ok(session);
            }
            session.1.abort();
        }
        self.session(last, drive).await
    }

    async fn session(
        &self,
        (host, port): &(Host, u16),
        drive: &(dyn Fn(Driver) -> JoinHandle<()> + Sync),
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let opening = async {
            match host {
                Host::Tcp(name) => Wire::tcp(name, *port).await,
                Host::Unix(folder) => Wire::unix(&folder.join(format!(".s.PGSQL.{port}"))).await,
            }
        };
        // With a second host, no more than a part of the patience, so that it is tried too.
        let patience = VAULT_PATIENCE / u32::try_from(self.places.1.len() + 1).unwrap_or(u32::MAX);
        let late = |_late| Err(io::Error::from(io::ErrorKind::TimedOut));
        let wire = tokio::time::timeout(patience, opening).await.unwrap_or_else(late);
        let wire = wire.unwrap_or_else(|fault| Wire::broken(&fault)); // the library then makes an error of its own of it
        let name = match host {
            Host::Tcp(name) => name,
            Host::Unix(_) => "localhost",
        };
        let Ok(tls) = MakeTlsConnect::<Wire>::make_tls_connect(&mut self.tls.clone(), name);
        let (client, driver) = self.config.connect_raw(wire, tls).await?;
        let task = drive(driver);
        if let Err(fault) = client.batch_execute(SESSION).await {
            task.abort();
            return Err(fault);
        }
        Ok((client, task))
    }
}

/// Whether it only repeats what another server does: what it says may be old.
pub(crate) async fn is_standby(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)
}

/// This machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// What the pool asks for a connection.
impl Connect for Dial {
    fn connect(&self, _config: &Config) -> Connecting<'_> {
        Box::pin(Self::connect(self, &drive))
    }
}

/// Carries a connection that only answers.
pub(crate) fn drive(driver: Driver) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(fault) = driver.await {
            tracing::debug!(fault = wire::told(&fault.to_string()), "a connection to PostgreSQL ended");
        }
    })
}

/// As the pool wants it.
type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_plain_unless_it_is_asked_for_and_tls_is_always_verified() {
        for (url, mode) in [
            ("postgres://db/gw", SslMode::Require),
            ("postgres://db/gw?sslmode=prefer", SslMode::Require),
            ("postgres://db/gw?sslmode=verify-full&connect_timeout=3", SslMode::Require),
            ("postgres://db/gw?sslmode=disable", SslMode::Disable),
            ("postgres://127.0.0.1/gw", SslMode::Disable),
            ("postgres://[::1]/gw", SslMode::Disable),
            ("postgres://localhost,db/gw", SslMode::Require),
            ("postgres://localhost/gw?sslmode=require", SslMode::Require),
            ("postgres:///gw?host=/run/postgresql", SslMode::Disable),
        ] {
            let dial = Dial::new(&Secret::new(url)).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            assert_eq!(dial.config.get_ssl_mode(), mode, "{url}");
        }
        for url in ["postgres://u:CANARY@db/gw?sslmode=maybe", "postgres://u:CANARY@db/gw?nonsense=1", "postgres:///gw"]
        {
            let fault = Dial::new(&Secret::new(url)).err().unwrap().to_string();
            assert!(!fault.contains("CANARY"), "{fault}");
        }
    }
}
