//! URLs that the gateway calls or sends browsers to, issuers, and paths that the gateway serves itself. Each is read whole or refused
//! with what would be right; a URL with a user in it is never shown. Such URLs are https, or http to loopback: tokens and keys go there.

use url::{Host, Url};

use crate::config::address::text_schema;
use crate::config::read::{Node, Read};
use crate::config::resolve::route_path::pattern;
use crate::config::sheet::Sheet;
use crate::config::units::text;

/// `https://host/path`, or http to loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) Url);

/// What `iss` is compared with: an `Endpoint` to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerText(pub(crate) String);

/// A path without `{name}`, that the gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedPath(pub(crate) String);

const ENDPOINT_RIGHT: &str = "as in \"https://login.example.com/oauth/token\"";
const ISSUER_RIGHT: &str = "as the issuer writes itself, as in \"https://login.example.com\"";
const PATH_RIGHT: &str = "as in \"/planner/authorize\"";

impl Read for Endpoint {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        if node.get_ref().as_str().is_some_and(|written| written.contains('@')) {
            return sheet.refuse(
                node.span().into(),
                "this URL has a user in it, and no key belongs there",
                ENDPOINT_RIGHT,
            );
        }
        let written = text(node, ENDPOINT_RIGHT, sheet)?;
        match endpoint(written) {
            Ok(url) => Some(Self(url)),
            Err(why) => sheet.refuse(node.span().into(), why, ENDPOINT_RIGHT),
        }
    }
}

impl Read for IssuerText {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let url = Endpoint::read(node, sheet)?.0;
        if url.query().is_some() {
            return sheet.refuse(node.span().into(), "an issuer has no query", ISSUER_RIGHT);
        }
        node.get_ref().as_str().map(|written| Self(written.to_owned()))
    }
}

impl Read for ServedPath {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = node.span().into();
        let written = text(node, PATH_RIGHT, sheet)?;
        if written.contains(['{', '}']) {
            return sheet.refuse(place, "this path is the gateway's own, and stands for itself only", PATH_RIGHT);
        }
        match pattern(written) {
            Ok(_) if written == "/" => sheet.refuse(place, "everything is below this path", PATH_RIGHT),
            Ok(_) if written.ends_with('/') => sheet.refuse(
                place,
                "this path ends with a slash, and the pages below it would begin with two",
                format!("did you mean `{}`?", written.trim_end_matches('/')),
            ),
            Ok(_) => Some(Self(written.to_owned())),
            Err((what, right)) => sheet.refuse(place, what, right),
        }
    }
}

/// Parses what can be called with a token in hand.
pub(crate) fn endpoint(written: &str) -> Result<Url, &'static str> {
    let is_plain = written.bytes().all(|byte| byte.is_ascii_graphic());
    let url = Url::parse(written).ok().filter(|_| is_plain).ok_or("this is no URL")?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("this URL is http: keys and tokens would cross the network readable"),
        _ => return Err("a URL begins with https://, or with http:// on loopback"),
    }
    if url.fragment().is_some() {
        return Err("a fragment never leaves the browser");
    }
    if url.port() == Some(0) || url.host_str().is_none_or(str::is_empty) {
        return Err("the host or the port of this URL is not one");
    }
    Ok(url)
}

/// Whether a URL leads to this machine only.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

text_schema! {
    Endpoint, "Endpoint", "An https URL, or http to loopback.", "https://login.example.com/oauth/token";
    IssuerText, "IssuerUrl", "An https URL, as the issuer writes itself.", "https://login.example.com";
    ServedPath, "ServedPath", "A path that the gateway answers itself.", "/planner/authorize";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_or_this_machine() {
        for right in ["https://a.example/x?y=1", "http://127.0.0.1:1/x", "http://localhost:8/x", "http://[::1]/"] {
            assert!(endpoint(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "a.example",
            "http://a.example/x",
            "http://10.0.0.1/x",
            "http://127.0.0.1.example/x",
            "ftp://a.example",
            "https://a.example/#x",
            "https://a.example/ x",
            "https://",
            "https://a.example:0/",
            "https:a.example é",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
