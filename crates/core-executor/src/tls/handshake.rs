//! The server's side of a handshake: in the connection's own task, up to its limit, and never past the server's stop.

use super::metrics::Failure;
use super::stream::TlsStream;
use super::{TlsFacts, TlsIdentity};
use crate::running_server::Shared;
use crate::{CloseReason, IoStream};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a peer whose handshake failed may take to read why.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of it that are read and thrown away meanwhile.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// A connection whose handshake succeeded.
pub(crate) struct Secured {
    pub(crate) stream: IoStream,
    pub(crate) facts: Arc<TlsFacts>,
}

impl TlsIdentity {
    /// Shakes hands, up to the limit and up to the server's stop. The error is the connection's last word.
    pub(crate) async fn secure(&self, stream: IoStream, server: &Shared) -> Result<Secured, CloseReason> {
        let metrics = &self.shared.metrics;
        tokio::select! {
            biased;
            () = server.cut.cancelled() => Err(CloseReason::ServerStop),
            () = server.drain.begun() => Err(CloseReason::ServerStop),
            () = up_to(self.shared.config.handshake_timeout) => {
                metrics.count_failure(Failure::Timeout);
                Err(CloseReason::TlsTimeout)
            }
            outcome = self.shake_hands(stream) => outcome,
        }
    }

    async fn shake_hands(&self, stream: IoStream) -> Result<Secured, CloseReason> {
        let metrics = &self.shared.metrics;
        let accepting = TlsAcceptor::from(self.current()).accept(stream);
        match accepting.into_fallible().await {
            Ok(stream) => {
                metrics.count_handshake();
                let facts = Arc::new(TlsFacts::of(stream.get_ref().1));
                let stream = IoStream::Tls(Box::new(TlsStream(stream)));
                Ok(Secured { stream, facts })
            }
            Err((error, stream)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                metrics.count_failure(failure(&error));
                let _ = timeout(FAREWELL, say_farewell(stream)).await;
                Err(CloseReason::TlsFailed)
            }
        }
    }
}

async fn up_to(limit: Duration) {
    match limit.is_zero() {
        true => pending().await,
        false => tokio::time::sleep(limit).await,
    }
}

fn failure(error: &io::Error) -> Failure {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => Failure::NotTls,
        _ => Failure::Failed,
    }
}

/// The alert is written. What the peer still sends is read, because closing over unread bytes would reset the
/// connection and take the alert away from the peer.
async fn say_farewell(mut stream: IoStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(FAREWELL_BYTES);
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}
