//! Sockets to a store's server. What a server sends without being asked anything more is bounded, so that one that lies about its answer's
//! length, or never ends it, cannot fill the memory. TLS verifies the server's name. Knows neither protocol.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::limits::VAULT_ANSWER_BYTES;
use crate::tls::roots;
use crate::vault::VaultFault;

/// When the system asks a silent server whether it is there, and how often.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// A connection, whatever is beneath it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection whose other side may send so much until it is asked again.
pub(crate) enum Wire {
    /// One that was made.
    Open {
        /// What is beneath.
        socket: Box<dyn Socket>,
        /// Bytes that may still come.
        left: u64,
    },
    /// None was made: the first use says why. For libraries that take a connection and make an error of theirs.
    Broken(io::ErrorKind, String),
}

impl Wire {
    /// Over another one that is bounded itself: TLS over TCP.
    pub(crate) fn over(socket: impl Socket + 'static) -> Self {
        Self::new(socket)
    }

    fn new(socket: impl Socket + 'static) -> Self {
        Self::Open { socket: Box::new(socket), left: VAULT_ANSWER_BYTES }
    }

    /// To a host.
    pub(crate) async fn tcp(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE.0).with_interval(KEEPALIVE.1).with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self::new(stream))
    }

    /// To a socket of this machine.
    pub(crate) async fn unix(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).await.map(Self::new)
    }

    /// One that says on its first use why there is none.
    pub(crate) fn broken(fault: &io::Error) -> Self {
        Self::Broken(fault.kind(), fault.to_string())
    }
}

/// TLS towards a store: the machine's authorities, or those of a file.
pub(crate) fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>, VaultFault> {
    let shared = roots::client_config(ca, None).map_err(|fault| VaultFault::Refused(fault.to_string()))?;
    let mut config = ClientConfig::clone(&shared);
    config.alpn_protocols.clear(); // it is not HTTP
    Ok(Arc::new(config))
}

/// Words of a server, for the log: one short line, whatever it sent.
pub(crate) fn told(words: &str) -> String {
    words.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Open { socket, left } => {
                let before = buf.filled().len();
                std::task::ready!(Pin::new(socket).poll_read(cx, buf))?;
                let read = (buf.filled().len() - before) as u64;
                Poll::Ready(match left.checked_sub(read) {
                    Some(rest) => {
                        *left = rest;
                        Ok(())
                    }
                    None => Err(io::Error::new(io::ErrorKind::InvalidData, "it sends more than it was asked for")),
                })
            }
            Self::Broken(kind, why) => Poll::Ready(Err(io::Error::new(*kind, why.clone()))),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Open { socket, left } => {
                *left = VAULT_ANSWER_BYTES;
                Pin::new(socket).poll_write(cx, bytes)
            }
            Self::Broken(kind, why) => Poll::Ready(Err(io::Error::new(*kind, why.clone()))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Open { socket, .. } => Pin::new(socket).poll_flush(cx),
            Self::Broken(..) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Open { socket, .. } => Pin::new(socket).poll_shutdown(cx),
            Self::Broken(..) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_server_that_never_ends_its_answer_is_cut_off() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(ours);
        let server = tokio::spawn(async move {
            let piece = vec![0; 1 << 20];
            while theirs.write_all(&piece).await.is_ok() {}
        });
        let mut room = vec![0; 1 << 20];
        let mut read = 0;
        let fault = loop {
            match wire.read(&mut room).await {
                Ok(count) => read += count as u64,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
        assert!(read <= VAULT_ANSWER_BYTES);
        drop(wire);
        server.await.unwrap();
    }
}
