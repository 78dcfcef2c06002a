//! Opens one connection to a backend: TCP without Nagle's delay, TLS with the name verified, or a Unix socket.
//! Bounded by the upstream's `connect_timeout`. Names are resolved by the system at each connect.

use std::io;
use std::pin::pin;

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::deadline::Deadlines;
use crate::upstream::stream::Stream;
use crate::upstream::{Target, Upstream};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFault {
    /// Refused, unreachable, or TLS failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not within `connect_timeout`.
    #[error("no connection within connect_timeout")]
    Timeout,
}

/// Opens a connection.
pub(crate) async fn connect(upstream: &Upstream, deadlines: &Deadlines) -> Result<Stream, ConnectFault> {
    deadlines
        .after(upstream.connect_timeout)
        .bound(pin!(open(&upstream.target)))
        .await
        .ok_or(ConnectFault::Timeout)?
        .map_err(ConnectFault::from)
}

async fn open(target: &Target) -> io::Result<Stream> {
    Ok(match target {
        Target::Tcp { host, port } => tcp(host, *port).await?.into(),
        Target::Unix { path } => UnixStream::connect(path).await?.into(),
        Target::Tls { host, port, name, config } => {
            let stream = tcp(host, *port).await?;
            let connector = TlsConnector::from(std::sync::Arc::clone(config));
            connector.connect(name.clone(), stream).await?.into()
        }
    })
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
