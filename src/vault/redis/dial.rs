//! Connections to Redis: the URL, TLS, and whether the server can keep what it acknowledges. A server is judged on each new connection, since
//! it may have been started again with other settings.

use std::path::PathBuf;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, FromRedisValue, ProtocolVersion, RedisConnectionInfo, RedisError};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::secret::Secret;
use crate::vault::VaultFault;
use crate::vault::redis::scripts::SCHEMA;
use crate::vault::redis::{fault_of, unexpected};
use crate::vault::wire::{self, Wire};

/// The newest schema that this gateway knows.
const KNOWN: u32 = 1;

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Dial {
    /// Host and port.
    host: String,
    port: u16,
    /// For rediss.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// User, password, database.
    login: RedisConnectionInfo,
}

/// How a write becomes durable before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// The server synchronises before it answers (`appendfsync always`).
    Always,
    /// The gateway waits with WAITAOF (Redis 7.2 and later).
    Wait,
}

impl Dial {
    /// Reads the URL. What it quotes of it is nothing.
    pub(crate) fn new(address: &Secret) -> Result<Self, VaultFault> {
        let flawed = |what: &str| VaultFault::Refused(format!("the URL of the store: {what}"));
        let text = std::str::from_utf8(address.expose()).map_err(|_bytes| flawed("not UTF-8"))?;
        let url = Url::parse(text).map_err(|_quotes| flawed("not a URL"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| flawed("it names no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned(); // IPv6
        if url.fragment().is_some() {
            return Err(flawed("a fragment means nothing: certificates are always verified"));
        }
        let mut ca: Option<PathBuf> = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "ca" => ca = Some(PathBuf::from(value.into_owned())),
                _ => return Err(flawed("`ca` is the only thing that can be said after `?`")),
            }
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        if !url.username().is_empty() {
            login = login.set_username(decoded(url.username()));
        }
        if let Some(password) = url.password() {
            login = login.set_password(decoded(password));
        }
        let database = url.path().trim_matches('/');
        if !database.is_empty() {
            login = login.set_db(database.parse().map_err(|_quotes| flawed("its path is the number of a database"))?);
        }
        let tls = match url.scheme() {
            "rediss" => {
                let name = ServerName::try_from(host.clone()).map_err(|_quotes| flawed("a host that TLS can name"))?;
                Some((TlsConnector::from(wire::tls(ca.as_deref())?), name))
            }
            _ if ca.is_some() => return Err(flawed("`ca` is for rediss")),
            _ => None,
        };
        Ok(Self { host, port: url.port().unwrap_or(6379), tls, login })
    }

    /// A new connection to a server that was found fit.
    pub(crate) async fn connect(&self) -> Result<(MultiplexedConnection, Durable), VaultFault> {
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let mut connection = self.open(&self.login, config).await?;
        let durable = judge(&mut connection).await?;
        agree(&mut connection).await?;
        Ok((connection, durable))
    }

    /// A new connection that hears what is told: it gives it to `hear`.
    pub(crate) async fn listen(
        &self,
        hear: impl Fn(::redis::PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, VaultFault> {
        let login = self.login.clone().set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        self.open(&login, config.set_push_sender(hear)).await
    }

    async fn open(
        &self,
        login: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, VaultFault> {
        let away = |fault: std::io::Error| VaultFault::Unreachable(wire::told(&fault.to_string()));
        let wire = Wire::tcp(&self.host, self.port).await.map_err(away)?;
        let wire = match &self.tls {
            None => wire,
            Some((tls, name)) => Wire::over(tls.connect(name.clone(), wire).await.map_err(away)?),
        };
        let (connection, driver) =
            MultiplexedConnection::new_with_config(login, wire, config).await.map_err(|fault| fault_of(&fault))?;
        tokio::spawn(driver); // ends with the last clone of the connection, or with its socket
        Ok(connection)
    }
}

/// Asks something simple.
pub(crate) async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> Result<T, RedisError> {
    let mut command = ::redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query_async(connection).await
}

/// Whether it keeps what it acknowledges, and how.
async fn judge(connection: &mut MultiplexedConnection) -> Result<Durable, VaultFault> {
    let facts: String = ask(connection, &["INFO"]).await.map_err(|fault| fault_of(&fault))?;
    let fact = |name: &str| {
        facts
            .lines()
            .find_map(|line| line.split_once(':').filter(|(found, _)| *found == name).map(|(_, said)| said.trim()))
    };
    let refused = |why: &str| Err(VaultFault::Refused(why.to_owned()));
    if fact("loading") == Some("1") {
        return Err(VaultFault::Unreachable("Redis is still reading its files".to_owned()));
    }
    if fact("role") != Some("master") {
        return refused("it is a replica: name the primary");
    }
    if fact("cluster_enabled") == Some("1") {
        return refused("it is a cluster: the vault needs a single server");
    }
    if fact("aof_enabled") != Some("1") {
        return refused("it has no append-only file (`appendonly no`): a crash would lose what was acknowledged");
    }
    match fact("maxmemory_policy") {
        Some("noeviction") => {}
        Some(_) => return refused("its `maxmemory-policy` evicts: grants would disappear; set `noeviction`"),
        None => return refused("it does not say its `maxmemory_policy`"),
    }
    let settings: Result<Vec<String>, RedisError> = ask(connection, &["CONFIG", "GET", "appendfsync"]).await;
    let is_always = settings.is_ok_and(|settings| settings.get(1).is_some_and(|setting| setting == "always"));
    match (is_always, fact("redis_version").is_some_and(has_waitaof)) {
        (true, _) => Ok(Durable::Always),
        (false, true) => Ok(Durable::Wait),
        (false, false) => refused("before Redis 7.2 it must synchronise every write: set `appendfsync always`"),
    }
}

/// 7.2 and later.
fn has_waitaof(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (7, 2)
}

/// Agrees on the schema.
async fn agree(connection: &mut MultiplexedConnection) -> Result<(), VaultFault> {
    let fault = |fault| fault_of(&fault);
    let mut found: Option<String> = ask(connection, &["GET", SCHEMA]).await.map_err(fault)?;
    if found.is_none() {
        let _first: Option<String> =
            ask(connection, &["SET", SCHEMA, &KNOWN.to_string(), "NX"]).await.map_err(fault)?;
        found = ask(connection, &["GET", SCHEMA]).await.map_err(fault)?;
    }
    match found.as_deref().unwrap_or_default().parse() {
        Ok(KNOWN) => Ok(()),
        Ok(found) if found > KNOWN => Err(VaultFault::Newer { found, known: KNOWN }),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waitaof_is_there_since_7_2() {
        for (version, has) in
            [("7.2.0", true), ("7.0.15", false), ("6.2.14", false), ("8.0.1", true), ("10.1", true), ("x", false)]
        {
            assert_eq!(has_waitaof(version), has, "{version}");
        }
    }

    #[test]
    fn a_url_that_means_less_than_it_says_is_refused_and_not_quoted() {
        for url in [
            "rediss://:CANARY@cache/0#insecure",
            "redis://:CANARY@cache/zero",
            "redis://:CANARY@cache/0?protocol=resp3",
            "redis://:CANARY@cache/0?ca=/x",
            "redis:///0",
        ] {
            let fault = Dial::new(&Secret::new(url)).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(!fault.contains("CANARY"), "{fault}");
        }
        let dial = Dial::new(&Secret::new("redis://us%40er:p%2Fw@[::1]:7000/3")).unwrap();
        assert_eq!((dial.host.as_str(), dial.port, dial.login.db()), ("::1", 7000, 3));
        assert_eq!((dial.login.username(), dial.login.password()), (Some("us@er"), Some("p/w")));
    }
}
