//! The guard that tells a listener of a connection: accepted, then exactly one last word.

use crate::connection::{ConnectionCounts, SharedListener};
use crate::{Accepted, Cause, CloseReason, Closed, ConnectionId, Notice, TlsFacts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

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

impl ConnectionGuard {
    /// For a connection of which nothing is said yet; `counts` is asked for, and the addresses are copied, only where
    /// there is a listener.
    #[inline]
    pub(crate) fn arrived(
        shared: Option<&SharedListener>,
        id: ConnectionId,
        remote_addr: &SocketAddr,
        local_addr: &SocketAddr,
        counts: impl FnOnce() -> Arc<dyn ConnectionCounts>,
    ) -> Self {
        let live = shared.map(|shared| Live::begin(shared, id, remote_addr, local_addr, counts));
        Self { live }
    }

    /// The first word, with what a TLS handshake found out.
    #[inline]
    pub(crate) fn accepted(&mut self, tls: Option<&Arc<TlsFacts>>) {
        if let Some(live) = &mut self.live {
            live.tell_accepted(tls);
        }
    }

    /// Whether anybody hears the last word.
    pub(crate) fn is_heard(&self) -> bool {
        self.live.is_some()
    }

    /// The last word: the connection is over.
    #[cold]
    #[inline(never)]
    pub(crate) fn closed(mut self, reason: CloseReason) {
        self.say_closed(reason);
    }

    /// The last word: the connection speaks WebSocket now.
    pub(crate) fn upgraded(mut self) {
        if let Some(live) = self.live.take() {
            live.tell(Cause::UpgradedToWebSocket);
        }
    }

    #[cold]
    #[inline(never)]
    fn say_dropped(&mut self) {
        let reason = match std::thread::panicking() {
            true => CloseReason::Error,
            false => CloseReason::Cut,
        };
        self.say_closed(reason);
    }

    #[cold]
    #[inline(never)]
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

/// All of it apart from the code of a connection nobody hears of, which pays for a few looks at a null pointer alone.
impl Live {
    #[cold]
    #[inline(never)]
    fn begin(
        shared: &SharedListener,
        id: ConnectionId,
        remote_addr: &SocketAddr,
        local_addr: &SocketAddr,
        counts: impl FnOnce() -> Arc<dyn ConnectionCounts>,
    ) -> Box<Self> {
        Box::new(Self {
            shared: shared.clone(),
            id,
            remote_addr: *remote_addr,
            local_addr: *local_addr,
            arrived: Instant::now(),
            is_accepted: false,
            counts: counts(),
        })
    }

    #[cold]
    #[inline(never)]
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
    #[inline]
    fn drop(&mut self) {
        if self.live.is_some() {
            self.say_dropped();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectionMetrics;
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
            ConnectionGuard::arrived(shared, ConnectionId::next(), &addr, &addr, || Arc::new(NoTraffic));
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
