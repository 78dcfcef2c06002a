//! `[upstreams.*]`: one server each, and TLS keys only where there is TLS.

use std::path::PathBuf;

use crate::config::address::{ServerUrl, is_host_name};
use crate::config::resolve::check_name;
use crate::config::resolve::server::{count, files, path, timeout};
use crate::config::resolved::{CertificateFiles, Upstream, UpstreamServer};
use crate::config::secret_source::fetch;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::written;
use crate::limits::SECRET_BYTES_MIN;

/// All upstreams, in the file's order.
pub(crate) fn upstreams(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Vec<Upstream>> {
    let named = file.upstreams.optional()?.map_or(&[][..], |upstreams| upstreams.is.0.as_slice());
    let upstreams: Vec<Option<Upstream>> = named
        .iter()
        .map(|(name, field)| {
            let name = check_name(name, "an upstream", sheet);
            let upstream = field.given().and_then(|written| upstream(&written.is, sheet));
            Some(Upstream { name: name?, ..upstream? })
        })
        .collect();
    upstreams.into_iter().collect()
}

fn upstream(upstream: &written::Upstream, sheet: &mut Sheet<'_>) -> Option<Upstream> {
    let connect_timeout = timeout(&upstream.connect_timeout, 60, sheet);
    let idle_timeout = timeout(&upstream.idle_timeout, 3600, sheet);
    let max_connections = count(&upstream.max_connections, 1, 1_000_000, sheet);
    let signing_secret = upstream.signing_secret.optional().and_then(|secret| match secret {
        Some(At { is, place }) => fetch(is, *place, SECRET_BYTES_MIN, sheet).map(Some),
        None => Some(None),
    });
    let server = server(upstream, sheet);
    Some(Upstream {
        name: String::new(),
        server: server?,
        connect_timeout: connect_timeout?,
        idle_timeout: idle_timeout?,
        max_connections: max_connections?,
        host: upstream.host.given()?.is,
        signing_secret: signing_secret?,
    })
}

/// What only https has.
struct TlsKeys {
    ca: Option<PathBuf>,
    server_name: Option<String>,
    client_certificate: Option<CertificateFiles>,
}

fn server(upstream: &written::Upstream, sheet: &mut Sheet<'_>) -> Option<UpstreamServer> {
    let keys = tls_keys(upstream, sheet);
    let servers = &upstream.servers.given()?.is.0;
    if let Some(second) = servers.get(1) {
        return sheet.refuse(
            second.place,
            "a second server is not supported by this version: it does not balance requests yet",
            "name one server; a load balancer can stand behind it",
        );
    }
    match servers.first()?.is.clone() {
        ServerUrl::Tcp { tls: true, host, port } => {
            let TlsKeys { ca, server_name, client_certificate } = keys?;
            let server_name = server_name.unwrap_or_else(|| host.clone());
            Some(UpstreamServer::Https { host, port, server_name, ca, client_certificate })
        }
        ServerUrl::Tcp { tls: false, host, port } => {
            refuse_tls_keys(upstream, sheet);
            Some(UpstreamServer::Http { host, port })
        }
        ServerUrl::Unix(path) => {
            refuse_tls_keys(upstream, sheet);
            Some(UpstreamServer::Unix { path })
        }
    }
}

fn tls_keys(upstream: &written::Upstream, sheet: &mut Sheet<'_>) -> Option<TlsKeys> {
    let ca = upstream.ca.optional().and_then(|ca| match ca {
        Some(ca) => path(ca, sheet).map(Some),
        None => Some(None),
    });
    let server_name = upstream.server_name.optional().and_then(|name| match name {
        Some(At { is, .. }) if is_host_name(is) || is.parse::<std::net::IpAddr>().is_ok() => {
            Some(Some(is.to_ascii_lowercase()))
        }
        Some(At { place, .. }) => {
            sheet.refuse(*place, "this is no name of a host", "the name in the backend's certificate")
        }
        None => Some(None),
    });
    let client_certificate = upstream.client_certificate.optional().and_then(|pair| match pair {
        Some(pair) => files(&pair.is, sheet).map(Some),
        None => Some(None),
    });
    Some(TlsKeys { ca: ca?, server_name: server_name?, client_certificate: client_certificate? })
}

fn refuse_tls_keys(upstream: &written::Upstream, sheet: &mut Sheet<'_>) {
    let places: [(&str, Option<Place>); 3] = [
        ("ca", upstream.ca.given().map(|at| at.place)),
        ("server_name", upstream.server_name.given().map(|at| at.place)),
        ("client_certificate", upstream.client_certificate.given().map(|at| at.place)),
    ];
    for (key, place) in places {
        let Some(place) = place else { continue };
        let _: Option<()> = sheet.refuse(
            place,
            format!("`{key}` is for https, and the server's URL is not"),
            "write https:// in `servers`, or remove this",
        );
    }
}
