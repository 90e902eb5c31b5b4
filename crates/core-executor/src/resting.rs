//! An HTTP/1 connection that lets go of hyper, and of its buffers, while nothing is to be done on it.

use crate::RequestBody;
use crate::gate::{Gate, Rules};
use crate::kept_answer::{KeepingService, KeptAnswerOf, keeping};
use crate::tracked_service::TrackedService;
use crate::traffic::Traffic;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

type Hyper<S, B> = http1::UpgradeableConnection<TokioIo<Gate>, KeepingService<S, B>>;

/// Serves a connection with hyper while there are bytes to read or an answer to write. Before the first byte, after a
/// while without requests, and for as long as an answer takes whose handler said so ([`LongWait`](crate::LongWait)),
/// the gate alone is left: it hears of bytes and keeps the limits.
///
/// Hyper's connection is never taken away with anything in it that is not kept. What it has to know of a request that
/// another one of it began stands in a head that it is given ahead of everything else, and that the gate does not
/// count.
pub(crate) struct Resting<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
{
    state: State<S, B>,
    traffic: Arc<Traffic>,
    rules: Arc<Rules>,
    can_rest: bool,
    /// No further request is taken.
    is_last: bool,
}

enum State<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
{
    Served(Box<Hyper<S, B>>),
    Rests(Box<Rest<S, B>>),
    /// It was upgraded, or is within a change from one to the other.
    Gone,
}

/// What is left of a connection that rests.
struct Rest<S: Service<Request<RequestBody>>, B> {
    gate: Gate,
    service: KeepingService<S, B>,
    /// Stands for the request whose answer is in the making.
    head: Option<Box<[u8]>>,
    /// That answer.
    kept: Option<KeptAnswerOf<S, B>>,
}

/// Nothing of it is pinned in place.
impl<S, B> Unpin for Resting<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
{
}

impl<S, B> Resting<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) fn new(
        gate: Gate,
        service: TrackedService<S>,
        traffic: Arc<Traffic>,
        rules: Arc<Rules>,
    ) -> Self {
        let (can_rest, may_have_bytes) = (gate.can_rest(), gate.may_have_bytes());
        let rest = Rest {
            gate,
            service: KeepingService::new(service),
            head: None,
            kept: None,
        };
        let mut resting = Self {
            state: State::Rests(Box::new(rest)),
            traffic,
            rules,
            can_rest,
            is_last: false,
        };
        if !can_rest || may_have_bytes {
            resting.wake();
        }
        resting
    }

    /// The answer under way tells the peer that it is the last one; without one the connection ends.
    pub(crate) fn graceful_shutdown(&mut self) {
        self.is_last = true;
        if let State::Rests(rest) = &mut self.state
            && let Some(head) = &mut rest.head
        {
            // As if the peer had asked for it: hyper closes a connection that is told to end before it has read.
            *head = last(head);
            return;
        }
        self.wake();
        if let State::Served(hyper) = &mut self.state {
            Pin::new(&mut **hyper).graceful_shutdown();
        }
    }

    /// What the connection can rest with, if it can: hyper has nothing to write and waits for bytes, either of the next
    /// request, and has for a while, or behind one whose answer takes long.
    fn occasion(&self) -> Option<Option<Box<[u8]>>> {
        let traffic = &*self.traffic;
        if !self.can_rest || !traffic.is_read() {
            return None;
        }
        if traffic.owes_nothing() {
            return traffic.is_idle_for_long().then_some(None);
        }
        if !traffic.has_long_wait() || traffic.in_flight() != 1 || !traffic.is_making() {
            return None;
        }
        traffic.take_long_wait().map(Some)
    }

    fn rest(&mut self, head: Option<Box<[u8]>>) {
        let State::Served(hyper) = mem::replace(&mut self.state, State::Gone) else {
            return;
        };
        let (parts, kept) = keeping(|| hyper.into_parts().expect("an upgraded connection is over"));
        let mut gate = parts.io.into_inner();
        // None, or hyper would not wait for bytes.
        gate.replay(&parts.read_buf);
        let service = parts.service;
        let head = head.map(|head| if self.is_last { last(&head) } else { head });
        self.state = State::Rests(Box::new(Rest {
            gate,
            service,
            head,
            kept,
        }));
    }

    fn wake(&mut self) {
        let state = match mem::replace(&mut self.state, State::Gone) {
            State::Rests(rest) => {
                let Rest {
                    mut gate,
                    service,
                    head,
                    kept,
                } = *rest;
                gate.wake(head.as_deref());
                service.keep(kept);
                let hyper = http1_of(&self.rules).serve_connection(TokioIo::new(gate), service);
                State::Served(Box::new(hyper.with_upgrades()))
            }
            state => state,
        };
        self.state = state;
    }
}

impl<S, B> Future for Resting<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        loop {
            let this = &mut *self;
            match &mut this.state {
                State::Served(hyper) => {
                    if let Poll::Ready(over) = Pin::new(&mut **hyper).poll(cx) {
                        return Poll::Ready(over);
                    }
                    match self.occasion() {
                        Some(head) => self.rest(head),
                        None => return Poll::Pending,
                    }
                }
                State::Rests(rest) => {
                    let kept = rest.kept.as_mut();
                    if !kept.is_some_and(|kept| kept.poll_resting(cx).is_ready()) {
                        ready!(rest.gate.poll_wake(cx));
                    }
                    self.wake();
                }
                State::Gone => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The head of a request that is the last one on its connection.
fn last(head: &[u8]) -> Box<[u8]> {
    let lines = head.strip_suffix(b"\r\n").unwrap_or(head);
    [lines, b"connection: close\r\n\r\n"].concat().into()
}

fn http1_of(rules: &Rules) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The gate keeps the limits; hyper's own are only kept from being narrower.
    builder
        // A client that leaves within a request is heard of by the gate.
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(rules.buffer_size());
    if let Some(headers) = rules.many_headers() {
        builder.max_headers(headers);
    }
    builder
}
