//! Addresses as gateway.toml writes them: listeners, public URLs, trusted peers and upstream servers. Each is read whole or
//! refused with what would be right; a URL with a user in it is never shown. RFC 3986, sections 3.2 and 3.3.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::read::{Node, Read};
use crate::config::resolved::PublicUrl;
use crate::config::sheet::Sheet;
use crate::config::units::text;

/// `internal.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InternalAddress {
    /// Address and port.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// `10.0.0.0/8` or `10.1.2.3`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxies(pub(crate) IpNet);

/// One of `servers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerUrl {
    /// `http://` or `https://`.
    Tcp {
        /// Whether it is https.
        tls: bool,
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

const INTERNAL_RIGHT: &str = "\"127.0.0.1:9465\" or \"unix:/run/gateway.sock\"";
const LISTEN_RIGHT: &str = "an address and a port, as in \"0.0.0.0:8443\" or \"[::]:8443\"";
const PUBLIC_URL_RIGHT: &str = "the URL that monday uses, as in \"https://gw.example.com\"";
const SERVER_RIGHT: &str = "\"http://host:port\", \"https://host:port\" or \"unix:/path/to.sock\"";

impl Read for SocketAddr {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let written = text(node, LISTEN_RIGHT, sheet)?;
        match written.parse() {
            Ok(address) => Some(address),
            Err(_) => sheet.refuse(node.span().into(), "this is no address with a port", LISTEN_RIGHT),
        }
    }
}

impl Read for InternalAddress {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let written = text(node, INTERNAL_RIGHT, sheet)?;
        if let Some(path) = written.strip_prefix("unix:") {
            if path.starts_with('/') && path.len() > 1 && !path.contains('\0') {
                return Some(Self::Unix(path.into()));
            }
            return sheet.refuse(node.span().into(), "a Unix socket is named by an absolute path", INTERNAL_RIGHT);
        }
        match written.parse() {
            Ok(address) => Some(Self::Tcp(address)),
            Err(_) => sheet.refuse(node.span().into(), "this is no address with a port", INTERNAL_RIGHT),
        }
    }
}

impl Read for Proxies {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let right = "an address or a block of them, as in \"10.1.2.3\" or \"10.0.0.0/8\"";
        let written = text(node, right, sheet)?;
        let block = written.parse::<IpNet>().ok().or_else(|| written.parse::<IpAddr>().ok().map(IpNet::from));
        match block {
            Some(block) if block.prefix_len() == 0 => sheet.refuse(
                node.span().into(),
                "this trusts everybody: any caller could then forge where it comes from",
                "name the addresses of your load balancer or tunnel only",
            ),
            Some(block) if block.trunc() != block => sheet.refuse(
                node.span().into(),
                "this block has bits set after its prefix",
                format!("did you mean `{}` or `{}`?", block.trunc(), block.addr()),
            ),
            Some(block) => Some(Self(block)),
            None => sheet.refuse(node.span().into(), "this is no address and no block of addresses", right),
        }
    }
}

impl Read for PublicUrl {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = node.span().into();
        if node.get_ref().as_str().is_some_and(|written| written.contains('@')) {
            return sheet.refuse(place, "a public URL has no user in it", PUBLIC_URL_RIGHT);
        }
        let written = text(node, PUBLIC_URL_RIGHT, sheet)?;
        match public_url(written) {
            Ok(url) => Some(url),
            Err(why) => sheet.refuse(place, why, PUBLIC_URL_RIGHT),
        }
    }
}

fn public_url(written: &str) -> Result<PublicUrl, &'static str> {
    let (scheme, rest) = written.split_once("://").ok_or("a URL begins with https:// or http://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Err("a URL begins with https:// or http://"),
    };
    if rest.contains(['?', '#']) {
        return Err("a public URL has no query and no fragment");
    }
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (host, port) = authority_parts(authority).ok_or("the host or the port of this URL is not one")?;
    let path = path.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    if !path.bytes().all(is_plain)
        || path.split('/').any(|segment| matches!(segment, "." | ".."))
        || path.contains("//")
    {
        return Err("the path of this URL has segments or characters that no request keeps");
    }
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    Ok(PublicUrl { scheme, host: bracketed(&host), port: port.unwrap_or(default_port), path })
}

/// Host without brackets and lower-case, and the port if there is one.
fn authority_parts(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        (host, if is_host_name(host) { port } else { return None })
    };
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// As a `Host` field has it: IPv6 addresses in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Whether it can be the name of a host or an IPv4 address (RFC 1123, section 2.1; `_` is seen in container networks).
pub(crate) fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_numeric = host.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    host.len() <= 253 && host.split('.').all(is_label) && (!last_is_numeric || host.parse::<IpAddr>().is_ok())
}

impl Read for ServerUrl {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = node.span().into();
        if node.get_ref().as_str().is_some_and(|written| written.contains('@')) {
            return sheet.refuse(place, "a server has no user in its URL", SERVER_RIGHT);
        }
        let written = text(node, SERVER_RIGHT, sheet)?;
        match server_url(written) {
            Ok(url) => Some(url),
            Err(why) => sheet.refuse(place, why, SERVER_RIGHT),
        }
    }
}

fn server_url(written: &str) -> Result<ServerUrl, &'static str> {
    if let Some(path) = written.strip_prefix("unix:") {
        let is_absolute = path.starts_with('/') && path.len() > 1 && !path.contains('\0');
        return if is_absolute {
            Ok(ServerUrl::Unix(path.into()))
        } else {
            Err("a Unix socket is named by an absolute path")
        };
    }
    let (scheme, authority) = written.split_once("://").ok_or("a server is named by a URL")?;
    let (tls, default_port) = match scheme {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err("a server speaks http, https or http over a Unix socket"),
    };
    if authority.contains(['/', '?', '#']) {
        return Err("a server has no path and no query: requests keep theirs (`strip_prefix` takes a part off)");
    }
    let (host, port) = authority_parts(authority).ok_or("the host or the port of this URL is not one")?;
    Ok(ServerUrl::Tcp { tls, host, port: port.unwrap_or(default_port) })
}

/// What the schema says of kinds of text.
macro_rules! text_schema {
    ($($kind:ty, $name:literal, $about:literal, $example:literal;)+) => {$(
        impl schemars::JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let said = serde_json::json!({ "type": "string", "description": $about, "examples": [$example] });
                $crate::config::read::schema(said)
            }
        }
    )+};
}

pub(super) use text_schema;

text_schema! {
    InternalAddress, "InternalAddress", "Address and port, or unix:/path.", "127.0.0.1:9465";
    Proxies, "Proxies", "An address or a block of addresses.", "10.0.0.0/8";
    PublicUrl, "PublicUrl", "An http or https origin, perhaps with a path.", "https://gw.example.com";
    ServerUrl, "ServerUrl", "http://host:port, https://host:port or unix:/path.", "http://127.0.0.1:3000";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin_with_perhaps_a_path() {
        let url = public_url("HTTPS://GW.Example.com:8443/base/").unwrap();
        assert_eq!((url.origin().as_str(), url.path.as_str()), ("https://gw.example.com:8443", "/base"));
        assert_eq!(public_url("http://[::1]/").unwrap().origin(), "http://[::1]");
        for wrong in [
            "gw.example.com",
            "ftp://x",
            "https://",
            "https://a b",
            "https://x:0",
            "https://x:99999",
            "https://x/?a",
            "https://x/../y",
        ] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port_or_a_socket() {
        let tcp = |tls, host: &str, port| ServerUrl::Tcp { tls, host: host.to_owned(), port };
        assert_eq!(server_url("http://127.0.0.1:3000"), Ok(tcp(false, "127.0.0.1", 3000)));
        assert_eq!(server_url("https://[::1]"), Ok(tcp(true, "::1", 443)));
        assert_eq!(server_url("unix:/run/app.sock"), Ok(ServerUrl::Unix("/run/app.sock".into())));
        for wrong in [
            "127.0.0.1:3000",
            "http://x/",
            "http://x?y",
            "unix:app.sock",
            "unix:",
            "http://",
            "http://1.2.3.999",
            "ws://x",
            "http://-x",
        ] {
            assert!(server_url(wrong).is_err(), "{wrong}");
        }
    }
}
