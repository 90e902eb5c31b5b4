//! Connection states: what a listener is told of every connection, and the guard that tells it.

use crate::{ConnectionMetrics, TlsFacts};
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
#[derive(Clone)]
pub(crate) struct SharedListener {
    pub(crate) listener: Arc<dyn ConnectionStateListener>,
    pub(crate) metrics: ConnectionMetrics,
    pub(crate) server: &'static str,
}

impl SharedListener {
    fn tell(&self, notice: &Notice) {
        if catch_unwind(AssertUnwindSafe(|| self.listener.state_changed(notice))).is_err() {
            self.metrics.count_listener_panic();
            tracing::error!(connection = %notice.id, "the connection-state listener panicked");
        }
    }
}

/// Says `Accepted` once and exactly one last word after it, at the latest when dropped.
#[must_use = "dropping the guard says that the connection was cut"]
pub struct ConnectionGuard {
    /// Absent without a listener, and once the last word is said.
    live: Option<Box<Live>>,
}

struct Live {
    shared: SharedListener,
    id: ConnectionId,
    remote_addr: SocketAddr,
    local_addr: SocketAddr,
    arrived: Instant,
    /// `Accepted` was said.
    is_accepted: bool,
    counts: Arc<dyn ConnectionCounts>,
}

/// Where the guard reads the traffic of its connection when it says the last word.
pub(crate) trait ConnectionCounts: Send + Sync {
    /// Bytes in, bytes out, requests.
    fn counts(&self) -> (u64, u64, u64);
}

impl ConnectionGuard {
    /// For a connection of which nothing is said yet.
    pub(crate) fn arrived(
        shared: Option<&SharedListener>,
        id: ConnectionId,
        remote_addr: SocketAddr,
        local_addr: SocketAddr,
        counts: Arc<dyn ConnectionCounts>,
    ) -> Self {
        let Some(shared) = shared.cloned() else {
            return Self { live: None };
        };
        let live = Box::new(Live {
            shared,
            id,
            remote_addr,
            local_addr,
            arrived: Instant::now(),
            is_accepted: false,
            counts,
        });
        Self { live: Some(live) }
    }

    /// The first word, with what a TLS handshake found out.
    pub(crate) fn accepted(&mut self, tls: Option<&Arc<TlsFacts>>) {
        if let Some(live) = &mut self.live {
            live.tell_accepted(tls);
        }
    }

    /// The last word: the connection is over.
    pub(crate) fn closed(mut self, reason: CloseReason) {
        self.say_closed(reason);
    }

    /// The last word: the connection speaks WebSocket now.
    pub(crate) fn upgraded(mut self) {
        if let Some(live) = self.live.take() {
            live.tell(Cause::UpgradedToWebSocket);
        }
    }

    fn say_closed(&mut self, reason: CloseReason) {
        let Some(mut live) = self.live.take() else { return };
        live.tell_accepted(None);
        let (bytes_in, bytes_out, requests) = live.counts.counts();
        let duration = live.arrived.elapsed();
        live.tell(Cause::Closed(Closed {
            reason,
            duration,
            bytes_in,
            bytes_out,
            requests,
        }));
    }
}

impl Live {
    fn tell_accepted(&mut self, tls: Option<&Arc<TlsFacts>>) {
        if !std::mem::replace(&mut self.is_accepted, true) {
            self.tell(Cause::Accepted(Accepted {
                local_addr: self.local_addr,
                server: self.shared.server,
                tls: tls.cloned(),
            }));
        }
    }

    fn tell(&self, cause: Cause) {
        self.shared.tell(&Notice {
            id: self.id,
            remote_addr: self.remote_addr,
            cause,
        });
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let reason = match std::thread::panicking() {
            true => CloseReason::Error,
            false => CloseReason::Cut,
        };
        self.say_closed(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct NoTraffic;

    impl ConnectionCounts for NoTraffic {
        fn counts(&self) -> (u64, u64, u64) {
            (1, 2, 3)
        }
    }

    fn listened() -> (SharedListener, Arc<Mutex<Vec<Notice>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = heard.clone();
        let listener = move |notice: &Notice| sink.lock().unwrap().push(notice.clone());
        let metrics = ConnectionMetrics::new("test");
        (
            SharedListener {
                listener: Arc::new(listener),
                metrics,
                server: "test",
            },
            heard,
        )
    }

    fn guard(shared: Option<&SharedListener>) -> ConnectionGuard {
        let addr = SocketAddr::from(([127, 0, 0, 1], 80));
        let mut guard =
            ConnectionGuard::arrived(shared, ConnectionId::next(), addr, addr, Arc::new(NoTraffic));
        guard.accepted(None);
        guard
    }

    fn words(heard: &Mutex<Vec<Notice>>) -> Vec<String> {
        let word = |notice: &Notice| match &notice.cause {
            Cause::Accepted(_) => "accepted".to_owned(),
            Cause::Closed(closed) => format!("closed {:?} {}", closed.reason, closed.requests),
            Cause::UpgradedToWebSocket => "upgraded".to_owned(),
        };
        heard.lock().unwrap().iter().map(word).collect()
    }

    #[test]
    fn exactly_one_last_word_however_it_ends() {
        let (shared, heard) = listened();
        guard(Some(&shared)).closed(CloseReason::Finished);
        guard(Some(&shared)).upgraded();
        drop(guard(Some(&shared)));
        assert_eq!(
            words(&heard),
            [
                "accepted",
                "closed Finished 3",
                "accepted",
                "upgraded",
                "accepted",
                "closed Cut 3"
            ]
        );
    }

    #[test]
    fn without_a_listener_the_guard_is_a_null_pointer() {
        let guard = guard(None);
        assert!(guard.live.is_none());
        assert_eq!(size_of::<ConnectionGuard>(), size_of::<usize>());
    }

    #[test]
    fn a_listener_that_panics_is_counted_and_hears_the_rest() {
        let (mut shared, heard) = listened();
        let sink = heard.clone();
        shared.listener = Arc::new(move |notice: &Notice| {
            sink.lock().unwrap().push(notice.clone());
            assert!(!matches!(notice.cause, Cause::Accepted(_)), "on purpose");
        });
        guard(Some(&shared)).closed(CloseReason::PeerLeft);
        assert_eq!(words(&heard), ["accepted", "closed PeerLeft 3"]);
        assert_eq!(shared.metrics.listener_panics(), 1);
    }
}
