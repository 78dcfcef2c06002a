//! `vault.store`: which store, and where. A URL with a password in it is a secret as a whole; what may be shown of one is `shown`.

use std::net::IpAddr;
use std::path::Path;

use url::Url;

use crate::config::secret_source::{SecretSource, fetch_of};
use crate::config::sheet::{At, Place, Secrets, Sheet};
use crate::secret::Secret;
use crate::vault::StoreAddress;

const RIGHT: &str = "\"sqlite:data/vault.db\", \"postgres://...\", \"redis://...\" or \"rediss://...\"";

/// The store that a text or a secret names.
pub(crate) fn store(written: &At<SecretSource>, sheet: &mut Sheet<'_>) -> Option<StoreAddress> {
    let place = written.place;
    let secret = match &written.is {
        SecretSource::Literal(secret) => secret.clone(),
        // Which store it is, only the machine with the secret knows.
        _ if sheet.around().secrets == Secrets::Assume => {
            return Some(StoreAddress::Postgres(Secret::new("postgres://localhost/")));
        }
        source => fetch_of(source, place, 1, RIGHT, sheet)?,
    };
    let Ok(text) = std::str::from_utf8(secret.expose()) else {
        return sheet.refuse(place, "this is no URL", RIGHT);
    };
    let parsed = parse(text, &sheet.around().base_dir.clone());
    let is_literal = matches!(written.is, SecretSource::Literal(_));
    if is_literal && !has_password(text) {
        sheet.show(place);
    }
    match parsed {
        Ok(store) => {
            if is_literal && has_password(text) {
                sheet.warn(
                    place,
                    "this URL has a password, and it stands in the file itself, where backups and version control will keep it",
                    "write { env = \"NAME\" } or { file = \"PATH\" } with the whole URL in it",
                );
            }
            warn_readable(&store, place, sheet);
            Some(store)
        }
        Err(why) => sheet.refuse(place, why, RIGHT),
    }
}

fn parse(text: &str, base_dir: &Path) -> Result<StoreAddress, &'static str> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        return match path {
            "" => Err("this names no file"),
            ":memory:" => Err("grants must outlive the process, and memory does not"),
            path if path.contains('\0') || path.contains('?') => Err("this names no file"),
            path => Ok(StoreAddress::Sqlite(base_dir.join(path.strip_prefix("//").unwrap_or(path)))),
        };
    }
    let url = Url::parse(text).map_err(|_unread| "this is no store that is known here")?;
    let secret = Secret::new(text);
    match url.scheme() {
        "postgres" | "postgresql" => Ok(StoreAddress::Postgres(secret)),
        "redis" | "rediss" if url.host_str().is_none_or(str::is_empty) => Err("this URL has no host"),
        "redis" | "rediss" => Ok(StoreAddress::Redis(secret)),
        _ => Err("this is no store that is known here"),
    }
}

fn has_password(text: &str) -> bool {
    text.contains('@')
        || text.to_ascii_lowercase().contains("password")
        || Url::parse(text).is_err() && !text.starts_with("sqlite:")
}

/// Beyond this machine, sealed grants still say who has some, and the password crosses the network.
fn warn_readable(store: &StoreAddress, place: Place, sheet: &mut Sheet<'_>) {
    let right = match store {
        StoreAddress::Sqlite(_) => return,
        StoreAddress::Postgres(_) => {
            "remove sslmode=disable: beyond this machine TLS is used, and the server's name verified"
        }
        StoreAddress::Redis(_) => "rediss:// instead of redis://",
    };
    if is_readable(store) {
        sheet.warn(
            place,
            "the store is beyond this machine and without TLS: its password and who has grants cross the network readable",
            right,
        );
    }
}

/// Whether what crosses a network is not encrypted. PostgreSQL's is, as the vault connects, unless its URL says otherwise.
fn is_readable(store: &StoreAddress) -> bool {
    let (StoreAddress::Postgres(url) | StoreAddress::Redis(url)) = store else { return false };
    let Some(url) = std::str::from_utf8(url.expose()).ok().and_then(|text| Url::parse(text).ok()) else { return false };
    let is_plain = match url.scheme() {
        "rediss" => false,
        "redis" => true,
        _ => url.query_pairs().filter(|(key, _)| key == "sslmode").last().is_some_and(|(_, mode)| mode == "disable"),
    };
    is_plain && !is_near(&url)
}

/// Loopback or a Unix socket: the host, and each that a query names.
fn is_near(url: &Url) -> bool {
    let socket = |host: &str| host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    let near = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || socket(host) || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    let named = url.query_pairs().filter(|(key, _)| key == "host").map(|(_, value)| value.into_owned());
    let own = url.host_str().filter(|host| !host.is_empty()).map(str::to_owned);
    own.into_iter().chain(named).all(|hosts| hosts.split(',').all(near))
}

/// As `check --print` shows it: without the password.
pub(crate) fn shown(store: &StoreAddress, mask: &str) -> String {
    let secret = match store {
        StoreAddress::Sqlite(path) => return format!("sqlite:{}", path.display()),
        StoreAddress::Postgres(secret) | StoreAddress::Redis(secret) => secret,
    };
    let parsed = std::str::from_utf8(secret.expose()).ok().and_then(|text| Url::parse(text).ok());
    let Some(mut url) = parsed else { return mask.to_owned() };
    let cleared = url.password().is_none() || url.set_password(Some(mask)).is_ok();
    if cleared && !url.query().is_some_and(|query| query.to_ascii_lowercase().contains("password")) {
        return url.to_string();
    }
    url.set_query(None);
    if cleared { format!("{url}?{mask}") } else { mask.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_a_url() {
        let base = Path::new("/etc/gateway");
        assert_eq!(parse("sqlite:data/vault.db", base), Ok(StoreAddress::Sqlite("/etc/gateway/data/vault.db".into())));
        assert_eq!(parse("sqlite:/var/vault.db", base), Ok(StoreAddress::Sqlite("/var/vault.db".into())));
        assert_eq!(parse("sqlite:///var/vault.db", base), Ok(StoreAddress::Sqlite("/var/vault.db".into())));
        for right in ["postgres://u:p@h/d", "postgresql:///d?host=/run/postgresql", "redis://h", "rediss://h:6380/1"] {
            assert!(parse(right, base).is_ok(), "{right}");
        }
        for wrong in ["", "vault.db", "sqlite:", "sqlite::memory:", "sqlite:a?b", "mysql://h/d", "redis://", "postgres"]
        {
            assert!(parse(wrong, base).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_store_is_readable_on_the_way_only_where_its_url_says_so() {
        let base = Path::new("/etc/gateway");
        let is_readable = |text: &str| is_readable(&parse(text, base).unwrap());
        for safe in [
            "sqlite:vault.db",
            "postgres://db/gw",
            "postgres://db/gw?sslmode=prefer",
            "postgres://db/gw?sslmode=verify-full",
            "postgres://127.0.0.1/gw?sslmode=disable",
            "postgres:///gw?host=/run/postgresql&sslmode=disable",
            "rediss://cache",
            "redis://localhost:7000",
            "redis://[::1]",
        ] {
            assert!(!is_readable(safe), "{safe}");
        }
        for open in [
            "postgres://db/gw?sslmode=disable",
            "postgres://db/gw?sslmode=require&sslmode=disable",
            "postgres://localhost/gw?host=db&sslmode=disable",
            "postgres:///gw?host=/run/postgresql,db&sslmode=disable",
            "redis://cache",
            "redis://10.0.0.7",
        ] {
            assert!(is_readable(open), "{open}");
        }
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        let of = |text: &str| shown(&StoreAddress::Postgres(Secret::new(text)), "***");
        assert_eq!(of("postgres://user:CANARY@h/d?sslmode=require"), "postgres://user:***@h/d?sslmode=require");
        assert_eq!(of("postgres://h/d?user=a&password=CANARY"), "postgres://h/d?***");
        assert_eq!(of("CANARY"), "***");
    }
}
