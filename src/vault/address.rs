//! `vault.store`, read: which of the three stores, and where. What is shown of it has no password.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::secret::Secret;

/// What comes before a file's name.
const FILE: &str = "sqlite:";

/// `vault.store`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    /// A file.
    Sqlite(PathBuf),
    /// A URL, perhaps with its password in it.
    Postgres(Secret),
    /// redis or rediss.
    Redis(Secret),
}

/// Why an address is none. Quotes nothing of it: it may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressFlaw {
    /// None of the three.
    #[error("a store is \"sqlite:FILE\", \"postgres://...\", \"redis://...\" or \"rediss://...\"")]
    Kind,
    /// Nothing after `sqlite:`.
    #[error("`sqlite:` without a file")]
    File,
    /// No URL.
    #[error("not a URL: percent-encode what is special in user name and password")]
    Url,
    /// A URL of no server.
    #[error("the URL names no host")]
    Host,
}

impl StoreAddress {
    /// Reads an address. A file's name begins at `base`.
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Self, AddressFlaw> {
        if let Some(file) = text.strip_prefix(FILE) {
            return if file.is_empty() { Err(AddressFlaw::File) } else { Ok(Self::Sqlite(base.join(file))) };
        }
        let scheme = text.split_once("://").map(|(scheme, _rest)| scheme).ok_or(AddressFlaw::Kind)?;
        let of = match scheme {
            "postgres" | "postgresql" => Self::Postgres,
            "redis" | "rediss" => Self::Redis,
            _ => return Err(AddressFlaw::Kind),
        };
        let url = Url::parse(text).map_err(|_quotes| AddressFlaw::Url)?;
        let names_host = url.host_str().is_some_and(|host| !host.is_empty());
        if names_host || url.query_pairs().any(|(name, _)| name == "host") {
            Ok(of(Secret::new(text.to_owned())))
        } else {
            Err(AddressFlaw::Host)
        }
    }

    /// `sqlite`, `postgres` or `redis`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }
}

/// Without a password, and without what a query may hold.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = match self {
            Self::Sqlite(path) => return write!(f, "{FILE}{}", path.display()),
            Self::Postgres(secret) | Self::Redis(secret) => secret,
        };
        let url = std::str::from_utf8(secret.expose()).ok().and_then(|text| Url::parse(text).ok());
        let Some(url) = url else { return write!(f, "{}://", self.kind()) };
        write!(f, "{}://", url.scheme())?;
        if !url.username().is_empty() {
            write!(f, "{}@", url.username())?;
        }
        write!(f, "{}", url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", url.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_has_its_form_and_nothing_else_is_one() {
        let parsed = |text: &str| StoreAddress::parse(text, Path::new("/etc/gw"));
        assert_eq!(parsed("sqlite:data/vault.db"), Ok(StoreAddress::Sqlite("/etc/gw/data/vault.db".into())));
        assert_eq!(parsed("sqlite:/var/vault.db"), Ok(StoreAddress::Sqlite("/var/vault.db".into())));
        for text in
            ["postgres://u:p@db/gw", "postgresql://db/gw?sslmode=require", "postgres:///gw?host=/run/postgresql"]
        {
            assert_eq!(parsed(text).map(|address| address.kind()), Ok("postgres"), "{text}");
        }
        for text in ["redis://127.0.0.1:6379/0", "rediss://:p@cache.example.com"] {
            assert_eq!(parsed(text).map(|address| address.kind()), Ok("redis"), "{text}");
        }
        for (text, flaw) in [
            ("vault.db", AddressFlaw::Kind),
            ("sqlite:", AddressFlaw::File),
            ("mysql://db/gw", AddressFlaw::Kind),
            ("postgres://u:p@:70000/gw", AddressFlaw::Url),
            ("redis:///0", AddressFlaw::Host),
        ] {
            assert_eq!(parsed(text), Err(flaw), "{text}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        for (text, shown) in [
            ("postgres://gw:CANARY@db:5433/vault?password=CANARY", "postgres://gw@db:5433/vault"),
            ("rediss://:CANARY@cache.example.com/1", "rediss://cache.example.com/1"),
        ] {
            let address = StoreAddress::parse(text, Path::new("")).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("CANARY"));
        }
    }
}
