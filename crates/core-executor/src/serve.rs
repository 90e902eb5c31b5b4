//! Serves a tower service over hyper on a bound listener, one tracked task per connection, drained in order.

use crate::accept::accept_loop;
use crate::connection::SharedListener;
use crate::metered::MeteredStream;
use crate::outcome::Outcome;
use crate::tracked_service::TrackedService;
use crate::traffic::{RequestTotals, Traffic};
use crate::{Arrival, BoundListener, CloseReason, ConnectionGuard, ConnectionId, ConnectionInfo};
use crate::{ConnectionMetrics, ConnectionStateListener, ExecutorError, Spawner};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

/// Bytes of a request's head that are read at most; beyond it hyper answers 431.
const MAX_HEAD: usize = 64 * 1024;
/// How long cut connections get to let go of their sockets.
const LEAVING: Duration = Duration::from_millis(50);

/// How connections are served.
#[derive(Clone)]
#[must_use]
pub struct ServeOptions {
    /// Name of the server in notices and log lines.
    name: &'static str,
    keep_alive: Duration,
    state_listener: Option<Arc<dyn ConnectionStateListener>>,
    metrics: ConnectionMetrics,
}

impl ServeOptions {
    /// Options of a server with this name: keep-alive limit 20 s, no listener.
    ///
    /// # Panics
    /// When the name is no valid beginning of a metric's name (letters, digits, underscores).
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            keep_alive: Duration::from_secs(20),
            state_listener: None,
            metrics: ConnectionMetrics::new(name),
        }
    }

    /// How long a connection may be idle, or take for the head of a request. 0 = for ever. Default 20 s.
    pub fn keep_alive(mut self, limit: Duration) -> Self {
        self.keep_alive = limit;
        self
    }

    /// Who is told of every connection. Default nobody, at no cost.
    pub fn state_listener(mut self, listener: Option<Arc<dyn ConnectionStateListener>>) -> Self {
        self.state_listener = listener;
        self
    }

    /// The counters to use instead of new ones.
    pub fn metrics(mut self, metrics: ConnectionMetrics) -> Self {
        self.metrics = metrics;
        self
    }
}

/// What the end of a server came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Requests that were under way when the drain began, or came after, and whose answer was written completely.
    pub answered: u64,
    /// Requests whose answer was not written completely at the deadline.
    pub cut: u64,
}

struct Shared {
    local_addr: SocketAddr,
    stop_accepting: CancellationToken,
    drain: CancellationToken,
    cut: CancellationToken,
    /// The accept loop: while it runs, there may be a connection it has not handed out.
    accepting: TaskTracker,
    connections: TaskTracker,
    totals: Arc<RequestTotals>,
    /// Set by whoever begins the drain first.
    answered_before_drain: OnceLock<u64>,
    /// Set when the deadline of a drain came.
    cut_requests: OnceLock<u64>,
}

/// A server that serves. Dropping it stops it at once: connections are cut. Never blocks.
pub struct RunningServer {
    shared: Arc<Shared>,
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

    /// Asks the accept loop to close the port, which it does at once. Connections that are open go on. Never blocks;
    /// again has no effect.
    pub fn close_listener(&self) {
        self.shared.stop_accepting.cancel();
    }

    /// Closes the port and lets every connection finish the request it is at, and no other. An idle connection answers
    /// what has arrived on it, then closes. Never blocks; again has no effect.
    pub fn begin_drain(&self) {
        self.close_listener();
        self.shared
            .answered_before_drain
            .get_or_init(|| self.shared.totals.answered());
        self.shared.drain.cancel();
    }

    /// Waits until every connection is gone, cuts what is left at the deadline, and says what it came to. Begins the
    /// drain when nobody did. Returns at most 50 ms after the deadline: a worker that is blocked is not waited for.
    /// Cancel safe; again says the same.
    pub async fn drained(&self, deadline: Instant) -> Drained {
        self.begin_drain();
        let shared = &self.shared;
        if tokio::time::timeout_at(deadline, shared.gone()).await.is_err() {
            shared.cut_requests.get_or_init(|| shared.totals.in_flight());
            shared.cut.cancel();
            // A worker that is held up by a callback may not let go of its connections at all.
            let _ = tokio::time::timeout(LEAVING, shared.gone()).await;
        }
        let before = shared.answered_before_drain.get().copied().unwrap_or_default();
        Drained {
            answered: shared.totals.answered() - before,
            cut: shared.cut_requests.get().copied().unwrap_or_default(),
        }
    }
}

impl Shared {
    /// Nobody is accepted any more and every connection is gone.
    async fn gone(&self) {
        self.accepting.wait().await;
        self.connections.wait().await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.shared.stop_accepting.cancel();
        self.shared.cut.cancel();
    }
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RunningServer")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// Serves `service` on `listener` until the returned server is drained or dropped.
///
/// HTTP/1.0 and HTTP/1.1 with keep-alive, pipelining and upgrades. Every request carries a [`ConnectionInfo`] in its
/// extensions.
///
/// # Errors
/// [`ExecutorError::Stopping`] when the executor takes no new task.
pub fn serve<S, B>(
    listener: BoundListener,
    service: S,
    options: ServeOptions,
    spawner: &Spawner,
) -> Result<RunningServer, ExecutorError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let shared = Arc::new(Shared {
        local_addr: listener.local_addr(),
        stop_accepting: CancellationToken::new(),
        drain: CancellationToken::new(),
        cut: CancellationToken::new(),
        accepting: TaskTracker::new(),
        connections: TaskTracker::new(),
        totals: Arc::default(),
        answered_before_drain: OnceLock::new(),
        cut_requests: OnceLock::new(),
    });
    shared.accepting.close();
    shared.connections.close();
    let ServeOptions {
        name,
        keep_alive,
        state_listener,
        metrics,
    } = options;
    let listener_of_states = state_listener.map(|listener| SharedListener {
        listener,
        metrics: metrics.clone(),
        server: name,
    });
    let server = Server {
        shared: shared.clone(),
        listener: listener_of_states,
        keep_alive,
        metrics,
    };
    let (stop, metrics, dealer) = (
        shared.stop_accepting.clone(),
        server.metrics.clone(),
        spawner.clone(),
    );
    let deal = move |arrival, from| {
        let connection = server.clone().connection(arrival, from, service.clone());
        let tracked = server.shared.connections.track_future(connection);
        // Refused only while the executor ends; the connection is closed by being dropped.
        let _ = dealer.deal(tracked);
    };
    let accepting = accept_loop(name, listener, stop, metrics, deal);
    spawner.spawn_control(shared.accepting.track_future(accepting))?;
    Ok(RunningServer { shared })
}

type Http1Connection<S> = http1::UpgradeableConnection<TokioIo<MeteredStream>, TrackedService<S>>;

#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    listener: Option<SharedListener>,
    keep_alive: Duration,
    metrics: ConnectionMetrics,
}

impl Server {
    async fn connection<S, B>(self, arrival: Arrival, remote_addr: SocketAddr, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _open = self.metrics.open_one();
        let traffic = Arc::new(Traffic::new(self.shared.totals.clone()));
        let (id, local_addr) = (ConnectionId::next(), arrival.local_addr(self.shared.local_addr));
        let guard = ConnectionGuard::accepted(
            self.listener.as_ref(),
            id,
            remote_addr,
            local_addr,
            traffic.clone(),
        );
        let Ok(stream) = arrival.open() else {
            guard.closed(CloseReason::Error);
            return;
        };
        let info = ConnectionInfo {
            id,
            remote_addr,
            local_addr,
        };
        let service = TrackedService::new(service, info, traffic.clone());
        let io = TokioIo::new(MeteredStream::new(stream, traffic.clone()));
        let serving = self.http1().serve_connection(io, service).with_upgrades();
        let outcome = self.drive(pin!(serving), &traffic).await;
        outcome.tell(guard, &traffic, self.shared.drain.is_cancelled());
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        let limit = (!self.keep_alive.is_zero()).then_some(self.keep_alive);
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            .max_buf_size(MAX_HEAD);
        builder
    }

    /// Serves until the connection is over, the drain leaves nothing to do, or the deadline cuts it.
    async fn drive<S, B>(&self, mut serving: Pin<&mut Http1Connection<S>>, traffic: &Traffic) -> Outcome
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => return Outcome::stopped(traffic),
            () = self.shared.drain.cancelled() => {}
            over = serving.as_mut() => return Outcome::Over(over),
        }
        if traffic.owes_nothing() {
            // One turn of the reactor, so that a request that has arrived is read and answered.
            tokio::select! {
                biased;
                over = serving.as_mut() => return Outcome::Over(over),
                () = tokio::task::yield_now() => {}
            }
        }
        // From here on the answer under way tells the peer that it is the last one.
        serving.as_mut().graceful_shutdown();
        // A connection that owes nothing may still hold half a head: it is not waited for.
        let draining = poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(over) => Poll::Ready(Outcome::Over(over)),
            Poll::Pending if traffic.owes_nothing() => Poll::Ready(Outcome::NothingOwed),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => Outcome::stopped(traffic),
            outcome = draining => outcome,
        }
    }
}
