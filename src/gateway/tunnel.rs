//! An accepted WebSocket: bytes both ways, unread, until one side ends or the drain deadline cuts it. It outlives its
//! token and a reload (RFC 6455).

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};

use crate::pipeline::guard::watch::UpgradeOutcome;
use crate::pipeline::guard::wire::Wire;
use crate::pipeline::lifetimes::{Connection, Worker};
use crate::telemetry::metrics::Protocol;

/// Bytes under way in each direction.
const BUFFER: usize = 8 * 1024;

/// Copies until the end. `early` is what the client sent behind its handshake and hyper has read.
pub(crate) async fn run<S>(worker: &Rc<Worker>, connection: &Connection, mut client: Wire<S>, early: Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(tunnel) = connection.tunnel.take() else { return };
    client.watch().resolve_upgrade(UpgradeOutcome::Accepted);
    let gauge = worker.counters().connections(Protocol::WebSocket);
    gauge.raise();
    let mut backend = tunnel.stream;
    let copied = async {
        client.write_all(&tunnel.early).await?;
        client.flush().await?;
        backend.write_all(&early).await?;
        copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER).await
    };
    if let Err(fault) = copied.await {
        tracing::debug!(%fault, "a WebSocket broke off");
    }
    gauge.lower();
}
