//! Which addresses a question may go to. A host that the configuration names may be anywhere; one that a user had part in may only be a public
//! address, so that nobody makes the gateway ask inside its own network (OWASP ASVS 5.0, 1.3.6). The name is resolved once, and the address
//! that was judged is the one that is connected to. IANA's special-purpose registries of IPv4 and IPv6 addresses; RFC 6890.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use crate::limits;

/// Who chose the host of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The configuration: any address.
    Configured,
    /// A user, at least in part: public addresses only.
    PublicOnly,
}

/// Why a host is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReachFlaw {
    /// Neither https nor loopback.
    #[error("is asked over https only (plain http on loopback only)")]
    Scheme,
    /// A user name, a password or no host.
    #[error("must be a plain host name, with no user name or password before it")]
    Authority,
    /// No address.
    #[error("its name cannot be resolved")]
    Unresolved,
    /// An address within this network.
    #[error("its address {0} is not a public one, and a user had part in the host name")]
    NotPublic(IpAddr),
    /// `localhost` that is not.
    #[error("its address {0} is not loopback, and plain http is for loopback only")]
    NotLoopback(IpAddr),
}

/// Whether a URL of the configuration, or of a provider's metadata, may be asked at all.
pub(crate) fn askable(url: &Url) -> Result<(), ReachFlaw> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ReachFlaw::Authority);
    }
    let host = url.host().ok_or(ReachFlaw::Authority)?;
    match (url.scheme(), host) {
        ("http", Host::Ipv4(address)) if address.is_loopback() => Ok(()),
        ("http", Host::Ipv6(address)) if address.is_loopback() => Ok(()),
        ("https", _) | ("http", Host::Domain("localhost")) => Ok(()),
        _ => Err(ReachFlaw::Scheme),
    }
}

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub(crate) enum Names {
    /// The system's resolver.
    #[default]
    System,
    /// What a test says, one answer a time; the last one for ever.
    #[cfg(test)]
    Told(std::sync::Arc<tests::Told>),
}

impl Names {
    /// The addresses that may be connected to.
    pub(crate) async fn addresses(&self, url: &Url, reach: Reach) -> Result<Vec<SocketAddr>, ReachFlaw> {
        askable(url)?;
        let port = url.port_or_known_default().ok_or(ReachFlaw::Authority)?;
        let found = match url.host().ok_or(ReachFlaw::Authority)? {
            Host::Ipv4(address) => vec![SocketAddr::from((address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((address, port))],
            Host::Domain(name) => self.resolve(name, port).await?,
        };
        judge(url, &found, reach)?;
        Ok(found.into_iter().take(limits::WEB_ADDRESSES).collect())
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, ReachFlaw> {
        match self {
            Self::System => {
                let found = tokio::net::lookup_host((name, port)).await.map_err(|_system| ReachFlaw::Unresolved)?;
                Ok(found.collect())
            }
            #[cfg(test)]
            Self::Told(told) => Ok(told.next(port)),
        }
    }
}

/// One address that is not allowed refuses the whole name: a name with both is an attempt.
fn judge(url: &Url, found: &[SocketAddr], reach: Reach) -> Result<(), ReachFlaw> {
    if found.is_empty() {
        return Err(ReachFlaw::Unresolved);
    }
    let refused = |allowed: fn(IpAddr) -> bool| found.iter().map(SocketAddr::ip).find(|address| !allowed(*address));
    if let (Reach::PublicOnly, Some(address)) = (reach, refused(is_public)) {
        return Err(ReachFlaw::NotPublic(address));
    }
    if let ("http", Some(address)) = (url.scheme(), refused(|address| address.is_loopback())) {
        return Err(ReachFlaw::NotLoopback(address));
    }
    Ok(())
}

/// Whether an address is somewhere on the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Azure's own, inside every virtual network, though the number is a public one.
const AZURE: [u8; 4] = [168, 63, 129, 16];

#[expect(clippy::match_same_arms, reason = "a registry, with a word for each entry")]
fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] => true,  // this network, private, loopback
        [100, 64..=127, ..] => true, // shared by carriers; some clouds' metadata
        [169, 254, ..] => true,      // link-local; most clouds' metadata
        [172, 16..=31, ..] => true,  // private
        [192, 0, 0 | 2, _] => true,  // protocol assignments, documentation
        [192, 88, 99, _] => true,    // relays to IPv6
        [192, 168, ..] => true,      // private
        [198, 18 | 19, ..] => true,  // benchmarks
        [198, 51, 100, _] => true,   // documentation
        [203, 0, 113, _] => true,    // documentation
        [224..=255, ..] => true,     // multicast, reserved, broadcast
        address => address == AZURE,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match address.segments() {
        // An IPv4 address within: RFC 6052, and 6to4
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(v4_of(high, low)),
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false, // Teredo and other protocols, documentation
        [0x2000..=0x3fff, ..] => true,
        _ => false, // loopback, mapped in other ways, ULA, link-local, multicast, not assigned
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A resolver that says what a test wants.
    #[derive(Debug)]
    pub(crate) struct Told {
        pub(crate) answers: Vec<Vec<IpAddr>>,
        pub(crate) asked: AtomicUsize,
    }

    impl Told {
        pub(crate) fn next(&self, port: u16) -> Vec<SocketAddr> {
            let turn = self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = &self.answers[turn.min(self.answers.len() - 1)];
            answer.iter().map(|address| SocketAddr::from((*address, port))).collect()
        }
    }

    #[test]
    fn addresses_within_a_network_are_not_public_however_they_are_written() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn only_https_and_literal_loopback_are_asked() {
        for url in [
            "https://a.example/x",
            "https://a.example:8443",
            "http://127.0.0.1:1/x",
            "http://[::1]/",
            "http://localhost:3",
        ] {
            assert_eq!(askable(&Url::parse(url).unwrap()), Ok(()), "{url}");
        }
        for url in [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(askable(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
        assert_eq!(askable(&Url::parse("https://user@a.example/").unwrap()), Err(ReachFlaw::Authority));
        assert_eq!(askable(&Url::parse("https://:pass@a.example/").unwrap()), Err(ReachFlaw::Authority));
    }

    #[tokio::test]
    async fn one_private_address_among_public_ones_refuses_the_name() {
        let told = Told {
            answers: vec![vec!["1.1.1.1".parse().unwrap(), "10.0.0.1".parse().unwrap()]],
            asked: AtomicUsize::new(0),
        };
        let names = Names::Told(std::sync::Arc::new(told));
        let url = Url::parse("https://shop.example/").unwrap();
        let found = names.addresses(&url, Reach::PublicOnly).await;
        assert_eq!(found, Err(ReachFlaw::NotPublic("10.0.0.1".parse().unwrap())));
        assert_eq!(names.addresses(&url, Reach::Configured).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn numeric_spellings_of_a_private_address_are_refused() {
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::ffff:7f00:1]/",
            "https://127.1/",
        ] {
            let found = Names::System.addresses(&Url::parse(url).unwrap(), Reach::PublicOnly).await;
            assert!(matches!(found, Err(ReachFlaw::NotPublic(_))), "{url}: {found:?}");
        }
    }
}
