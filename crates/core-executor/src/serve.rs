//! Serves a tower service over hyper on a bound listener, one tracked task per connection, drained in order.

use crate::accept::accept_loop;
use crate::connection::SharedListener;
use crate::metered::{ConnectionState, MeteredStream};
use crate::tracked_service::{RequestTotals, TrackedService};
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Requests that were under way when the drain began, or came after, and were answered completely.
    pub answered: u64,
    /// Requests that were still under way at the deadline.
    pub cut: u64,
}

struct Shared {
    local_addr: SocketAddr,
    stop_accepting: CancellationToken,
    drain: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
    totals: Arc<RequestTotals>,
    answered_before_drain: AtomicU64,
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

    /// Requests whose answer is not complete.
    pub fn requests_in_flight(&self) -> u64 {
        self.shared.totals.in_flight()
    }

    /// Closes the port. Connections that are open go on. Never blocks; again has no effect.
    pub fn close_listener(&self) {
        self.shared.stop_accepting.cancel();
    }

    /// Closes the port and lets every connection finish the request it is at, and no other. Never blocks; again has
    /// no effect.
    pub fn begin_drain(&self) {
        if self.shared.drain.is_cancelled() {
            return;
        }
        self.close_listener();
        self.shared
            .answered_before_drain
            .store(self.shared.totals.answered(), Ordering::Release);
        self.shared.drain.cancel();
    }

    /// Waits until every connection is gone, cuts what is left at the deadline, and says what it came to. Begins the
    /// drain when nobody did. Cancel safe.
    pub async fn drained(&self, deadline: Instant) -> Drained {
        self.begin_drain();
        let shared = &self.shared;
        let in_time = tokio::time::timeout_at(deadline, shared.connections.wait())
            .await
            .is_ok();
        let cut = if in_time { 0 } else { shared.totals.in_flight() };
        if !in_time {
            shared.cut.cancel();
            // A worker that is held up by a callback may not let go of its connections at all.
            let _ = tokio::time::timeout(LEAVING, shared.connections.wait()).await;
        }
        let before = shared.answered_before_drain.load(Ordering::Acquire);
        Drained {
            answered: shared.totals.answered() - before,
            cut,
        }
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
        connections: TaskTracker::new(),
        totals: Arc::default(),
        answered_before_drain: AtomicU64::new(0),
    });
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
    spawner.spawn_control(accept_loop(name, listener, stop, metrics, deal))?;
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
        let state = Arc::new(ConnectionState::default());
        let (id, local_addr) = (ConnectionId::next(), self.shared.local_addr);
        let guard =
            ConnectionGuard::accepted(self.listener.as_ref(), id, remote_addr, local_addr, state.clone());
        let Ok(stream) = arrival.open() else {
            guard.closed(CloseReason::Error);
            return;
        };
        let info = ConnectionInfo {
            id,
            remote_addr,
            local_addr,
        };
        let service = TrackedService::new(service, info, state.clone(), self.shared.totals.clone());
        let io = TokioIo::new(MeteredStream::new(stream, state.clone()));
        let serving = self.http1().serve_connection(io, service).with_upgrades();
        let outcome = self.drive(pin!(serving), &state).await;
        match outcome {
            Outcome::Over(Ok(())) if state.is_upgraded() => guard.upgraded(),
            Outcome::Over(Ok(())) => guard.closed(self.finished_reason(&state)),
            Outcome::Over(Err(error)) => guard.closed(reason_of(&error)),
            Outcome::NothingOwed => guard.closed(CloseReason::ServerStop),
            Outcome::Cut => guard.closed(CloseReason::Cut),
        }
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

    fn finished_reason(&self, state: &ConnectionState) -> CloseReason {
        match (state.in_flight(), self.shared.drain.is_cancelled()) {
            (0, true) => CloseReason::ServerStop,
            (0, false) => CloseReason::Finished,
            _ => CloseReason::PeerLeft,
        }
    }

    /// Serves until the connection is over, the drain leaves nothing to do, or the deadline cuts it.
    async fn drive<S, B>(&self, mut serving: Pin<&mut Http1Connection<S>>, state: &ConnectionState) -> Outcome
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => return Outcome::Cut,
            over = serving.as_mut() => return Outcome::Over(over),
            () = self.shared.drain.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        // A connection that owes nothing may still hold half a head: it is not waited for.
        let draining = poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(over) => Poll::Ready(Outcome::Over(over)),
            Poll::Pending if state.owes_nothing() => Poll::Ready(Outcome::NothingOwed),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => Outcome::Cut,
            outcome = draining => outcome,
        }
    }
}

enum Outcome {
    Over(hyper::Result<()>),
    NothingOwed,
    Cut,
}

fn reason_of(error: &hyper::Error) -> CloseReason {
    if error.is_timeout() {
        CloseReason::Idle
    } else if error.is_parse() {
        CloseReason::BadRequest
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        CloseReason::PeerLeft
    } else {
        CloseReason::Error
    }
}
