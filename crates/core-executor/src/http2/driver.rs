//! One HTTP/2 connection from its preface to its end: limits, and the drain.

use super::body::Stalls;
use super::clock::Clock;
use super::fault::is_of_transport;
use super::service::{Fates, Http2Service};
use super::streams::Streams;
use super::wire::Wire;
use crate::outcome::Outcome;
use crate::running_server::Shared;
use crate::stream_cell::StreamCell;
use crate::sync::TaskTrackerToken;
use crate::tracked_service::TrackedService;
use crate::traffic::Traffic;
use crate::{CloseReason, ConnectionMetrics, IoStream, RefusedFor, RequestBody, Spawner};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower_service::Service;

/// Bytes of the connection's preface (RFC 9113 §3.4).
const PREFACE: u64 = 24;
/// Requests and sessions that one connection may have under way.
const MOST_STREAMS: u32 = 128;
/// Bytes a peer may send into one stream, and into all of them, before they are read.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of answers that one stream holds for a peer that does not take them.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a peer may reset before we have seen them, and that we may reset for its faults.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 128;
/// How long a peer may take to answer a ping.
const PONG: Duration = Duration::from_secs(20);
/// How long a peer that was told of the end and is owed nothing may take to agree: within a stop, and without one.
const FAREWELL_AT_STOP: Duration = Duration::from_millis(100);
const FAREWELL: Duration = Duration::from_secs(1);

/// What one HTTP/2 connection may take. For each of the times 0 means off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http2Limits {
    /// Until the first byte of the preface.
    pub(crate) first_byte: Duration,
    /// From the beginning to the end of the preface.
    pub(crate) preface: Duration,
    /// Without a stream.
    pub(crate) idle: Duration,
    /// Without the peer taking anything of what it is owed.
    pub(crate) write_stall: Duration,
    /// Without a byte of a body that is waited for.
    pub(crate) body_stall: Duration,
    /// Bytes of a request's fields, counted as RFC 9113 §6.5.2 says.
    pub(crate) head: usize,
    /// Fields of a request.
    pub(crate) headers: usize,
}

/// Serves one HTTP/2 connection.
pub(crate) struct Http2<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) traffic: &'a Arc<Traffic>,
    pub(crate) limits: Http2Limits,
    pub(crate) metrics: &'a ConnectionMetrics,
    pub(crate) spawner: Spawner,
    /// Kept while requests may come.
    pub(crate) requesting: TaskTrackerToken,
}

impl Http2<'_> {
    /// Serves until the connection is over, the drain leaves nothing to do, or the deadline cuts it. `early` was read
    /// from the stream already.
    pub(crate) async fn serve<S, B>(
        self,
        stream: IoStream,
        early: Bytes,
        service: TrackedService<S>,
    ) -> Outcome
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (metrics, traffic) = (self.metrics, self.traffic);
        let outcome = self.drive(stream, early, service).await;
        if let Outcome::Ended(reason) = outcome
            && let Some(limit) = limit_behind(reason, traffic)
        {
            metrics.count_refused(limit);
        }
        outcome
    }

    async fn drive<S, B>(self, stream: IoStream, early: Bytes, service: TrackedService<S>) -> Outcome
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (streams, stalls, fates) = (
            Streams::new(self.spawner.clone()),
            Stalls::new(),
            Fates::default(),
        );
        let stream = StreamCell::new(stream);
        let wire = Wire::new(stream.clone(), early, self.traffic.clone());
        let is_blocked = wire.blockage();
        let service = Http2Service {
            inner: service,
            stalls: stalls.clone(),
            fates: fates.clone(),
            most_headers: self.limits.headers,
            most_head: self.limits.head,
            body_stall: self.limits.body_stall,
            metrics: self.metrics.clone(),
        };
        let builder = builder(streams.clone(), &self.limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        let mut watch = Watch {
            begin: Instant::now(),
            limits: self.limits,
            traffic: self.traffic,
            stream,
            streams,
            stalls,
            fates,
            is_blocked,
            blocked: None,
            farewell: None,
            requesting: Some(self.requesting),
            clock: Clock::default(),
        };
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => return watch.stopped(),
            () = self.shared.drain.begun() => {}
            outcome = poll_fn(|cx| watch.poll(cx, connection.as_mut())) => return outcome,
        }
        connection.as_mut().graceful_shutdown();
        watch.farewell = Some(Farewell::AtStop(Instant::now()));
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => watch.stopped(),
            outcome = poll_fn(|cx| watch.poll(cx, connection.as_mut())) => outcome,
        }
    }
}

/// Which limit ended a connection; nothing when none did.
fn limit_behind(reason: CloseReason, traffic: &Traffic) -> Option<RefusedFor> {
    match reason {
        CloseReason::Idle if traffic.bytes_in() == 0 => Some(RefusedFor::FirstByteTimeout),
        CloseReason::Idle => Some(RefusedFor::Idle),
        CloseReason::HeadTimeout => Some(RefusedFor::HeadTimeout),
        CloseReason::WriteStalled => Some(RefusedFor::WriteStall),
        CloseReason::BadRequest => Some(RefusedFor::Malformed),
        _ => None,
    }
}

fn builder(streams: Streams, limits: &Http2Limits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(most_decoded(limits.head))
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval((!limits.idle.is_zero()).then_some(limits.idle))
        .keep_alive_timeout(PONG)
        .enable_connect_protocol();
    builder
}

/// Bytes of fields that are decoded at all. Past that the answer is 431 as well, and nobody hears of it; so it is more
/// than a request may have, which is a lower limit than the announced one (RFC 9113 §6.5.2).
fn most_decoded(head: usize) -> u32 {
    u32::try_from(head.saturating_mul(2)).unwrap_or(u32::MAX)
}

/// A connection that hyper drives.
trait Driven: Future<Output = hyper::Result<()>> {
    /// Takes no further stream, and ends after the last one (GOAWAY, RFC 9113 §6.8).
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S, B> Driven for http2::Connection<I, S, Streams>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Streams: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}

/// Why the connection takes no further stream.
#[derive(Clone, Copy)]
enum Farewell {
    /// The server stops, since then.
    AtStop(Instant),
    /// It was idle, until then.
    Idle(Instant),
}

/// Watches over one connection while hyper drives it.
struct Watch<'a> {
    begin: Instant,
    limits: Http2Limits,
    traffic: &'a Traffic,
    stream: StreamCell,
    streams: Streams,
    stalls: Stalls,
    fates: Fates,
    is_blocked: Arc<AtomicBool>,
    /// Since when the socket takes nothing, and how much it had taken then.
    blocked: Option<(Instant, u64)>,
    farewell: Option<Farewell>,
    /// Given back when a stop leaves only streams of other protocols.
    requesting: Option<TaskTrackerToken>,
    clock: Clock,
}

/// What is to be done at a moment.
#[derive(Clone, Copy)]
enum Due {
    /// Look again.
    Look,
    /// Take no further stream.
    SayFarewell,
    /// End, with this last word.
    End(CloseReason),
    /// End with a reset: the peer takes nothing.
    Reset,
}

impl Watch<'_> {
    fn poll<C: Driven>(&mut self, cx: &mut Context<'_>, mut connection: Pin<&mut C>) -> Poll<Outcome> {
        loop {
            if let Poll::Ready(over) = connection.as_mut().poll(cx) {
                return Poll::Ready(self.over(over));
            }
            self.note_writing();
            if matches!(self.farewell, Some(Farewell::AtStop(_))) && self.traffic.owes_nothing() {
                self.requesting = None;
            }
            if self.fates.turn_suspicious(cx.waker()) {
                return Poll::Ready(Outcome::Ended(CloseReason::BadRequest));
            }
            let Some((moment, due)) = self.next() else {
                return Poll::Pending;
            };
            std::task::ready!(self.clock.poll(cx, moment));
            match due {
                Due::Look => {}
                Due::SayFarewell => {
                    connection.as_mut().graceful_shutdown();
                    self.farewell = Some(Farewell::Idle(Instant::now()));
                }
                Due::End(reason) => return Poll::Ready(Outcome::Ended(reason)),
                Due::Reset => {
                    self.stream.with(|stream| stream.close_with_reset());
                    return Poll::Ready(Outcome::Ended(CloseReason::WriteStalled));
                }
            }
        }
    }

    fn over(&self, over: hyper::Result<()>) -> Outcome {
        if over.as_ref().is_err_and(is_of_transport) && self.traffic.failure().is_none() {
            // A socket that fails is noted at once; so this is the end of the bytes within a frame.
            self.traffic.left();
        }
        if over.is_ok() {
            // It has written its last byte in this turn.
            self.traffic.flushed();
        }
        match (self.farewell, over) {
            (Some(Farewell::Idle(_)), Ok(())) => Outcome::Ended(CloseReason::Idle),
            (farewell, over) => {
                Outcome::Over(over).settled(self.traffic, matches!(farewell, Some(Farewell::AtStop(_))))
            }
        }
    }

    /// The server stops now.
    fn stopped(&self) -> Outcome {
        self.fates.end_by_us();
        match self.streams.idle_since() {
            Some(_) => Outcome::stopped(self.traffic),
            None => Outcome::Cut,
        }
    }

    /// Hyper has had its turn: it has written all it had, unless the socket would not take it.
    fn note_writing(&mut self) {
        if !self.is_blocked.load(Ordering::Relaxed) {
            self.blocked = None;
            self.traffic.flushed();
            return;
        }
        let written = self.traffic.bytes_out();
        match self.blocked {
            Some((_, before)) if before == written => {}
            _ => self.blocked = Some((Instant::now(), written)),
        }
    }

    /// How often a connection with streams is looked at, for an answer that stalls or the last stream that is gone.
    fn pause(&self) -> Duration {
        let limits = [self.limits.idle, self.limits.write_stall];
        let shortest = limits.into_iter().filter(|limit| !limit.is_zero()).min();
        shortest.unwrap_or_default() / 4
    }

    /// What comes next, and when.
    fn next(&self) -> Option<(Instant, Due)> {
        let Http2Limits {
            first_byte,
            preface,
            idle,
            write_stall,
            body_stall: _,
            head: _,
            headers: _,
        } = self.limits;
        let after = |since: Instant, limit: Duration, due| (!limit.is_zero()).then(|| (since + limit, due));
        let stalled = self.blocked.map(|(since, _)| since);
        let stalled = [stalled, self.stalls.oldest()].into_iter().flatten().min();
        let stalled = stalled.and_then(|since| after(since, write_stall, Due::Reset));
        let begun = self.traffic.bytes_in();
        let waiting = match (self.streams.idle_since(), self.farewell) {
            (None, _) => after(Instant::now(), self.pause(), Due::Look),
            (Some(since), Some(Farewell::AtStop(begin))) if self.traffic.owes_nothing() => {
                let end = Due::End(CloseReason::ServerStop);
                after(since.max(begin), FAREWELL_AT_STOP, end)
            }
            (Some(_), Some(Farewell::AtStop(_))) => None,
            (Some(_), Some(Farewell::Idle(since))) => after(since, FAREWELL, Due::End(CloseReason::Idle)),
            _ if begun == 0 => after(self.begin, first_byte, Due::End(CloseReason::Idle)),
            _ if begun < PREFACE => after(self.begin, preface, Due::End(CloseReason::HeadTimeout)),
            (Some(since), None) => after(since, idle, Due::SayFarewell),
        };
        [stalled, waiting]
            .into_iter()
            .flatten()
            .min_by_key(|(moment, _)| *moment)
    }
}
