//! `[server]` and `[admin]`: listeners, public URLs, certificates' paths, limits and drain, each in its range.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::read::Field;
use crate::config::resolve::within;
use crate::config::resolved::{CertificateFiles, Drain, Limits, Server, Tls};
use crate::config::sheet::{At, Sheet};
use crate::config::units::{Size, Span, duration_text, size_text};
use crate::config::written;
use crate::config::written::TlsVersion;

const SHORTEST: Duration = Duration::from_millis(10);
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
/// The HTTP/1 parser has room for so many, and answers more by itself: a bare 431 without the gateway's words.
const MOST_HEADERS: i64 = 100;

/// A duration of at least 10 ms.
pub(crate) fn timeout(field: &Field<Span>, most_seconds: u64, sheet: &mut Sheet<'_>) -> Option<Duration> {
    duration(field, SHORTEST, most_seconds, sheet)
}

/// A duration from `least` on.
pub(crate) fn duration(
    field: &Field<Span>,
    least: Duration,
    most_seconds: u64,
    sheet: &mut Sheet<'_>,
) -> Option<Duration> {
    let field = map(field, |span| span.0);
    within(&field, &(least..=Duration::from_secs(most_seconds)), |bound| duration_text(*bound), sheet)
}

/// A size from `least` to `most` bytes.
pub(crate) fn size(field: &Field<Size>, least: u64, most: u64, sheet: &mut Sheet<'_>) -> Option<u64> {
    let field = map(field, |size| size.0);
    within(&field, &(least..=most), |bound| size_text(*bound), sheet)
}

/// A number from `least` to `most`.
pub(crate) fn count(field: &Field<i64>, least: i64, most: i64, sheet: &mut Sheet<'_>) -> Option<usize> {
    within(field, &(least..=most), i64::clone, sheet).and_then(|count| usize::try_from(count).ok())
}

fn map<T: Copy, U>(field: &Field<T>, with: impl Fn(T) -> U) -> Field<U> {
    match field {
        Field::Given(at) => Field::Given(At::new(with(at.is), at.place)),
        Field::Absent => Field::Absent,
        Field::Wrong => Field::Wrong,
    }
}

/// `[server]`.
pub(crate) fn server(server: &written::Server, sheet: &mut Sheet<'_>) -> Option<Server> {
    let listen = listen(server, sheet);
    let workers = count(&server.workers, 0, 1024, sheet);
    let tls = server.tls.optional().map(|tls| tls.map(|tls| tls_files(tls, sheet)));
    let limits = server.limits.given().and_then(|table| limits(&table.is, sheet));
    let drain = server.drain.given().and_then(|table| drain(&table.is, sheet));
    let trusted_proxies = server.trusted_proxies.optional()?;
    let public_urls = &server.public_url.given()?.is.0;
    Some(Server {
        listen: listen?,
        public_urls: public_urls.iter().map(|url| url.is.clone()).collect(),
        workers: workers?,
        trusted_proxies: trusted_proxies
            .map_or_else(Vec::new, |list| list.is.0.iter().map(|proxies| proxies.is.0).collect()),
        tls: match tls? {
            Some(tls) => Some(tls?),
            None => None,
        },
        limits: limits?,
        drain: drain?,
    })
}

fn listen(server: &written::Server, sheet: &mut Sheet<'_>) -> Option<Vec<SocketAddr>> {
    let addresses = &server.listen.given()?.is.0;
    let mut listen: Vec<SocketAddr> = Vec::new();
    let is_behind_proxies = match server.trusted_proxies.optional() {
        Some(proxies) => proxies.is_some_and(|list| !list.is.0.is_empty()),
        None => true,
    };
    let is_plain = server.tls.is_absent() && !is_behind_proxies;
    for At { is: address, place } in addresses {
        if listen.contains(address) && address.port() != 0 {
            let _: Option<()> = sheet.refuse(*place, "this address is in the list twice", "remove one");
        }
        if is_plain && !address.ip().to_canonical().is_loopback() {
            let _: Option<()> = sheet.absent(
                *place,
                "without TLS, tokens would cross the network readable: plain HTTP is for loopback, or behind trusted proxies that end TLS",
                "add [server.tls], or `trusted_proxies` with the addresses of your load balancer or tunnel, or listen on 127.0.0.1",
            );
        }
        listen.push(*address);
    }
    Some(listen)
}

fn tls_files(tls: &At<written::Tls>, sheet: &mut Sheet<'_>) -> Option<Tls> {
    let mut certificates = Vec::new();
    match (tls.is.certificate.optional()?, tls.is.private_key.optional()?) {
        (Some(certificate), Some(private_key)) => certificates.push(pair(certificate, private_key, sheet)),
        (Some(alone), None) => {
            certificates.push(sheet.absent(
                alone.place,
                "this certificate has no `private_key` beside it",
                "add private_key = \"...\"",
            ));
        }
        (None, Some(alone)) => {
            certificates.push(sheet.absent(
                alone.place,
                "this private key has no `certificate` beside it",
                "add certificate = \"...\"",
            ));
        }
        (None, None) => {}
    }
    for more in tls.is.certificates.optional()?.map_or(&[][..], |list| list.is.0.as_slice()) {
        certificates.push(files(&more.is, sheet));
    }
    if certificates.is_empty() {
        return sheet.absent(
            tls.place,
            "TLS needs a certificate",
            "add certificate = \"...\" and private_key = \"...\"",
        );
    }
    let only_1_3 = tls.is.min_version.given()?.is == TlsVersion::V13;
    Some(Tls { certificates: certificates.into_iter().collect::<Option<_>>()?, only_1_3 })
}

/// A certificate and its key, as paths.
pub(crate) fn files(written: &written::Certificate, sheet: &mut Sheet<'_>) -> Option<CertificateFiles> {
    pair(written.certificate.given()?, written.private_key.given()?, sheet)
}

/// A certificate and its key, as paths.
pub(crate) fn pair(
    certificate: &At<String>,
    private_key: &At<String>,
    sheet: &mut Sheet<'_>,
) -> Option<CertificateFiles> {
    let (certificate, private_key) = (path(certificate, sheet), path(private_key, sheet));
    Some(CertificateFiles { certificate: certificate?, private_key: private_key? })
}

/// A path, from the configuration file's folder on.
pub(crate) fn path(written: &At<String>, sheet: &mut Sheet<'_>) -> Option<PathBuf> {
    if written.is.is_empty() || written.is.contains('\0') {
        return sheet.refuse(
            written.place,
            "this names no file",
            "the path of a PEM file; relative ones start at gateway.toml's folder",
        );
    }
    Some(sheet.around().base_dir.join(&written.is))
}

fn limits(limits: &written::Limits, sheet: &mut Sheet<'_>) -> Option<Limits> {
    // The head fits into the buffer that hyper reads it into (limits::CONNECTION_BUFFER).
    let head = size(&limits.head, 1 << 10, 64 << 10, sheet);
    let headers = count(&limits.headers, 1, MOST_HEADERS, sheet);
    let body = size(&limits.body, 1, 1 << 40, sheet);
    let connections = count(&limits.connections, 1, 1_000_000, sheet);
    let streams = count(&limits.streams, 1, 10_000, sheet);
    let handshake_timeout = timeout(&limits.handshake_timeout, 5 * MINUTE, sheet);
    let head_timeout = timeout(&limits.head_timeout, 5 * MINUTE, sheet);
    let idle_timeout = timeout(&limits.idle_timeout, HOUR, sheet);
    let body_idle_timeout = timeout(&limits.body_idle_timeout, HOUR, sheet);
    Some(Limits {
        head: usize::try_from(head?).ok()?,
        headers: headers?,
        body: body?,
        connections: connections?,
        streams: u32::try_from(streams?).ok()?,
        handshake_timeout: handshake_timeout?,
        head_timeout: head_timeout?,
        idle_timeout: idle_timeout?,
        body_idle_timeout: body_idle_timeout?,
    })
}

fn drain(drain: &written::Drain, sheet: &mut Sheet<'_>) -> Option<Drain> {
    let delay = duration(&drain.delay, Duration::ZERO, 10 * MINUTE, sheet);
    let deadline = duration(&drain.deadline, Duration::ZERO, HOUR, sheet);
    Some(Drain { delay: delay?, deadline: deadline? })
}

/// `[admin]`: `Some(None)` if there is none. It must not be where the gateway listens.
#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
pub(crate) fn admin(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Option<SocketAddr>> {
    let Some(admin) = file.admin.optional()? else {
        return Some(None);
    };
    let At { is: address, place } = admin.is.listen.given()?;
    let server = file.server.given().and_then(|server| server.is.listen.given());
    for other in server.map_or(&[][..], |listen| listen.is.0.as_slice()) {
        if clash(*address, other.is) {
            sheet.refuse_pair(
                [*place, other.place],
                "the gateway itself listens here",
                format!("port {} is taken twice: metrics are never on the public listener", address.port()),
                "give [admin] another port",
            );
        }
    }
    Some(Some(*address))
}

/// Whether two listeners would be in the same place.
pub(crate) fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && is_same_ip
}
