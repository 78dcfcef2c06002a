//! Reads what proxies say of a client: `Forwarded`, strictly, and the addresses of `X-Forwarded-For`. Takes their text, returns
//! hops; who is trusted is the caller's to say. RFC 7239, section 4.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::pipeline::guard::{field, host};

/// Hops that are followed back; a longer chain is not believed.
const HOPS: usize = 32;

/// The scheme of the URL that the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Proto {
    /// As URLs write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// All fields of this name as one list, if they are visible ASCII; `None` if there is none.
pub(crate) fn joined(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut list = String::new();
    for value in fields.get_all(name) {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(value.to_str().unwrap_or("_"));
    }
    (!list.is_empty()).then_some(list)
}

/// From the right: the first address that is not trusted, or the leftmost of all, with its index from the left. A hop that
/// says no address ends the walk at the one before; nothing is found when that is the first.
pub(crate) fn walk_back(
    addresses: impl DoubleEndedIterator<Item = Option<IpAddr>> + ExactSizeIterator,
    is_trusted: &dyn Fn(&IpAddr) -> bool,
) -> Option<(IpAddr, usize)> {
    if addresses.len() > HOPS {
        return None;
    }
    let mut found = None;
    for (index, address) in addresses.enumerate().rev() {
        let Some(address) = address else { return found };
        found = Some((address, index));
        if !is_trusted(&address) {
            return found;
        }
    }
    found
}

/// One element of `Forwarded`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// `for`, unless it is `unknown` or an obfuscated name.
    pub(crate) address: Option<IpAddr>,
    /// `proto`.
    pub(crate) proto: Option<Proto>,
    /// `host`.
    pub(crate) host: Option<String>,
}

/// The elements of `Forwarded` (RFC 7239, section 4); nothing of it counts if anything is malformed.
pub(crate) fn parse(text: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut seen: SmallVec<[&str; 4]> = SmallVec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_start_matches([' ', '\t']);
        if !is_token(name) || seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return None;
        }
        seen.push(name);
        let (value, after) = parse_value(after)?;
        element.set(name, value)?;
        let after = after.trim_start_matches([' ', '\t']);
        let Some(separator) = after.chars().next() else {
            elements.push(element);
            return (elements.len() <= HOPS).then_some(elements);
        };
        if separator == ',' {
            elements.push(std::mem::take(&mut element));
            seen.clear();
        } else if separator != ';' {
            return None;
        }
        rest = after.get(1..)?;
    }
}

impl Element {
    /// One pair; `None` if its value is malformed.
    fn set(&mut self, name: &str, value: String) -> Option<()> {
        if name.eq_ignore_ascii_case("for") {
            self.address = parse_address(&value);
        } else if name.eq_ignore_ascii_case("proto") {
            self.proto = Some(parse_proto(&value)?);
        } else if name.eq_ignore_ascii_case("host") {
            host::parse(&value)?;
            self.host = Some(value);
        }
        Some(())
    }
}

/// A token or a quoted string at the start of `text`, and what is behind it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return is_token(value).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

/// A token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(field::is_token)
}

/// An address with or without a port, IPv6 with or without brackets; nothing for `unknown` and obfuscated names.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let text = std::str::from_utf8(field::trim(text.as_bytes())).ok()?;
    let address = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => IpAddr::V6(address.parse().ok()?),
        Some(_) => return None,
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => text.parse::<std::net::SocketAddrV4>().ok()?.ip().to_owned().into(),
        },
    };
    Some(address.to_canonical())
}

/// `http` or `https`.
pub(crate) fn parse_proto(text: &str) -> Option<Proto> {
    match text {
        _ if text.eq_ignore_ascii_case("https") => Some(Proto::Https),
        _ if text.eq_ignore_ascii_case("http") => Some(Proto::Http),
        _ => None,
    }
}
