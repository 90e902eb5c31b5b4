//! Connection states: what a listener is told of every connection.

use crate::{ConnectionMetrics, TlsFacts};
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Identifies a connection within this process. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number itself, from 1.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Is told of every connection: accepted, then exactly one of closed and upgraded.
///
/// One listener serves all connections, so calls for different connections may come from several threads at once;
/// calls for one connection come one after the other, [`Cause::Accepted`] first. The call is made on a thread that
/// serves connections: it should be quick and must not block. A panic in it is caught and counted. Without a listener
/// nothing of this is done at all.
///
/// Closures are listeners:
///
/// ```
/// use core_executor::{Cause, ConnectionStateListener, Notice};
/// fn accepts(_: impl ConnectionStateListener) {}
/// accepts(|notice: &Notice| {
///     if let Cause::Accepted(_) = notice.cause {
///         println!("{} -- accepted", notice.id);
///     }
/// });
/// ```
pub trait ConnectionStateListener: Send + Sync + 'static {
    /// Something became of a connection.
    fn state_changed(&self, notice: &Notice);
}

impl<F: Fn(&Notice) + Send + Sync + 'static> ConnectionStateListener for F {
    fn state_changed(&self, notice: &Notice) {
        self(notice);
    }
}

/// What a listener is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notice {
    /// Which connection.
    pub id: ConnectionId,
    /// Where it comes from.
    pub remote_addr: SocketAddr,
    /// What became of it.
    pub cause: Cause,
}

/// What became of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Cause {
    /// It was accepted. On a server with TLS this comes when the handshake has ended, whether or not it succeeded.
    Accepted(Accepted),
    /// It is over. The last word of a connection that was not upgraded.
    Closed(Closed),
    /// It speaks WebSocket from now on. The last word of such a connection: its session has callbacks of its own.
    UpgradedToWebSocket,
}

/// Facts about an accepted connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Accepted {
    /// The address it came in on.
    pub local_addr: SocketAddr,
    /// Name of the server that accepted it: `http`, `ws` or `metrics`.
    pub server: &'static str,
    /// What the TLS handshake found out; nothing on a plain connection and when the handshake did not succeed.
    pub tls: Option<Arc<TlsFacts>>,
}

/// Facts about a connection that is over.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// From its arrival, before any TLS handshake, to closed.
    pub duration: Duration,
    /// Bytes read from it; under TLS those inside it.
    pub bytes_in: u64,
    /// Bytes written to it: taken by the operating system, whether or not the peer read them; under TLS those inside.
    pub bytes_out: u64,
    /// Requests whose head was read.
    pub requests: u64,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The last answer was given and one side wanted no more.
    Finished,
    /// The peer left within a request or before it was answered, or reset the connection.
    PeerLeft,
    /// No request came: for the keep-alive limit after an answer, or for the first-byte limit from the beginning.
    Idle,
    /// There were as many connections as there may be, in all or from its address: 503.
    LimitRefused,
    /// The peer did not finish the head of a request within its limit.
    HeadTimeout,
    /// The peer stopped sending a body that was waited for.
    BodyStalled,
    /// The peer took nothing of an answer for the limit; the connection was reset.
    WriteStalled,
    /// The peer did not speak HTTP.
    BadRequest,
    /// The head of a request was larger than is allowed: 431 or 414.
    HeadTooLarge,
    /// The TLS handshake failed: the peer spoke no TLS or a kind we do not speak, had no certificate we trust, or left.
    TlsFailed,
    /// The TLS handshake was not complete within its limit.
    TlsTimeout,
    /// The service failed (it panicked, its answer broke off), or the socket did for another reason than the peer.
    Error,
    /// The server stops and had nothing under way here.
    ServerStop,
    /// The server stopped while something was under way, and the deadline came first; or the executor ended under it.
    Cut,
}

/// The one listener of a server, shared by its connections.
#[cfg_attr(bench_without_guard, expect(dead_code, reason = "nobody is told"))]
#[derive(Clone)]
pub(crate) struct SharedListener {
    pub(crate) listener: Arc<dyn ConnectionStateListener>,
    pub(crate) metrics: ConnectionMetrics,
    pub(crate) server: &'static str,
}

#[cfg_attr(bench_without_guard, expect(dead_code, reason = "nobody is told"))]
impl SharedListener {
    pub(crate) fn tell(&self, notice: &Notice) {
        if catch_unwind(AssertUnwindSafe(|| self.listener.state_changed(notice))).is_err() {
            self.metrics.count_listener_panic();
            tracing::error!(connection = %notice.id, "the connection-state listener panicked");
        }
    }
}

/// Where the guard reads the traffic of its connection when it says the last word.
#[cfg_attr(bench_without_guard, expect(dead_code, reason = "nobody asks"))]
pub(crate) trait ConnectionCounts: Send + Sync {
    /// Bytes in, bytes out, requests.
    fn counts(&self) -> (u64, u64, u64);
}
