//! A server that serves: its address, its counts, and its end in order.

use crate::BoundListener;
use crate::drain::Drain;
use crate::sync::{CancellationToken, OnceLock, Ordering, TaskTracker};
use crate::traffic::RequestTotals;
use socket2::SockRef;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long cut connections get to let go of their sockets.
const LEAVING: Duration = Duration::from_millis(50);

/// What the end of a server came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Requests that were under way when the drain began, or came after, and whose answer was written completely.
    pub answered: u64,
    /// Requests whose answer was not written completely at the deadline.
    pub cut: u64,
}

/// What a server, its accept loop and its connections share.
pub(crate) struct Shared {
    pub(crate) local_addr: SocketAddr,
    pub(crate) stop_accepting: CancellationToken,
    /// See [`BoundListener`].
    port: Weak<TcpListener>,
    pub(crate) drain: Drain,
    pub(crate) cut: CancellationToken,
    /// The accept loop: while it runs, there may be a connection it has not handed out.
    pub(crate) accepting: TaskTracker,
    pub(crate) connections: TaskTracker,
    /// Connections that have a request to answer, or may get one.
    pub(crate) requesting: TaskTracker,
    pub(crate) totals: Arc<RequestTotals>,
    /// Set by whoever begins the drain first.
    answered_before_drain: OnceLock<u64>,
    /// Set when the deadline of a drain came: the requests that had come to nothing by then, which it did not cut.
    lost_before_cut: OnceLock<u64>,
}

/// A server that serves. Dropping it stops it at once: connections are cut. Never blocks.
#[must_use = "dropping a running server stops it"]
pub struct RunningServer {
    pub(crate) shared: Arc<Shared>,
}

impl RunningServer {
    /// The address it serves, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// Connections open now; upgraded ones have left.
    pub fn connections(&self) -> usize {
        self.shared.connections.len()
    }

    /// Requests whose answer has not been written to its last byte.
    pub fn requests_in_flight(&self) -> u64 {
        self.shared.totals.in_flight()
    }

    /// Closes the port: who knocks from now on is refused by the kernel. Connections that are open go on. Never blocks;
    /// again has no effect. A listener that is not one of our own closes at the next turn of the accept loop.
    pub fn close_listener(&self) {
        self.shared.close_port();
    }

    /// Makes every answer of HTTP/1 from now on the last one of its connection, which says so (`Connection: close`), so
    /// that clients and proxies leave in order before the port closes. Everybody is served as before. Never blocks;
    /// again has no effect.
    pub fn end_keep_alive(&self) {
        self.shared.totals.end_keep_alive();
    }

    /// Closes the port and lets every connection finish the request it is at, and no other. An idle connection answers
    /// what has arrived on it, then closes. Never blocks; again has no effect.
    pub fn begin_drain(&self) {
        self.close_listener();
        self.shared
            .answered_before_drain
            .get_or_init(|| self.shared.totals.answered());
        self.shared.drain.begin();
    }

    /// Waits until every request is answered and no further one will be: every connection is gone, but for those of
    /// HTTP/2 that other protocols still have streams on (RFC 8441). Those end when whoever speaks these protocols ends
    /// them. Begins the drain when nobody did. Cancel safe.
    pub async fn requests_answered(&self) {
        self.begin_drain();
        self.shared.accepting.wait().await;
        self.shared.requesting.wait().await;
    }

    /// Waits until every connection is gone, cuts what is left at the deadline, and says what it came to. Begins the
    /// drain when nobody did. Returns at most 50 ms after the deadline: a worker that is blocked is not waited for.
    /// Cancel safe; again says the same.
    pub async fn drained(&self, deadline: Instant) -> Drained {
        self.begin_drain();
        let shared = &self.shared;
        if tokio::time::timeout_at(deadline, shared.gone()).await.is_err() {
            let lost = shared.totals.lost.load(Ordering::Acquire);
            shared.lost_before_cut.get_or_init(|| lost);
            shared.cut.cancel();
            // A worker that is held up by a callback may not let go of its connections at all.
            let _ = tokio::time::timeout(LEAVING, shared.gone()).await;
        }
        let before = shared.answered_before_drain.get().copied().unwrap_or_default();
        // Looked at now: a request may have been answered between the deadline and the cut.
        let lost = shared.lost_before_cut.get();
        Drained {
            cut: lost.map_or(0, |lost| shared.totals.unanswered(*lost)),
            answered: shared.totals.answered() - before,
        }
    }
}

impl Shared {
    pub(crate) fn new(listener: &BoundListener) -> Self {
        let shared = Self {
            local_addr: listener.local_addr(),
            stop_accepting: CancellationToken::new(),
            port: listener.port.clone(),
            drain: Drain::default(),
            cut: CancellationToken::new(),
            accepting: TaskTracker::new(),
            connections: TaskTracker::new(),
            requesting: TaskTracker::new(),
            totals: Arc::default(),
            answered_before_drain: OnceLock::new(),
            lost_before_cut: OnceLock::new(),
        };
        shared.accepting.close();
        shared.connections.close();
        shared.requesting.close();
        shared
    }

    fn close_port(&self) {
        self.stop_accepting.cancel();
        if let Some(port) = self.port.upgrade() {
            // The accept loop may be on a thread that is held up. If it fails, the loop closes the port.
            let _ = SockRef::from(&*port).shutdown(Shutdown::Read);
        }
    }

    /// Nobody is accepted any more and every connection is gone.
    async fn gone(&self) {
        self.accepting.wait().await;
        self.connections.wait().await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.shared.close_port();
        // In this order: who hears of the drain looks whether it is a cut.
        self.shared.cut.cancel();
        self.shared.drain.begin();
    }
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RunningServer")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}
