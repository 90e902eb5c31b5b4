//! The server's service as one HTTP/2 connection calls it.

use super::body::{PacedBody, Stalls};
use crate::departure::Departure;
use crate::{ClientGone, ConnectionMetrics, RefusedFor};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// Requests that may come to nothing before the peer has to let one be answered for each that does not.
const ABANDONED: u64 = 200;

/// How the requests of a connection ended, seen from the service.
#[derive(Clone, Default)]
pub(super) struct Fates {
    /// The peer reset the stream before its answer.
    abandoned: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    /// We end the connection ourselves, so nobody leaves.
    is_ended_by_us: Arc<AtomicBool>,
}

impl Fates {
    /// We end the connection.
    pub(super) fn end_by_us(&self) {
        self.is_ended_by_us.store(true, Ordering::Relaxed);
    }

    /// Whether the peer asks in order to make us work, not to have answers ("rapid reset", CVE-2023-44487).
    pub(super) fn are_suspicious(&self) -> bool {
        let abandoned = self.abandoned.load(Ordering::Relaxed);
        abandoned > ABANDONED + self.answered.load(Ordering::Relaxed)
    }
}

/// The server's service as one HTTP/2 connection calls it.
pub(super) struct Http2Service<S> {
    pub(super) inner: S,
    pub(super) stalls: Stalls,
    pub(super) fates: Fates,
    /// Fields that a request may have.
    pub(super) most_headers: usize,
    pub(super) metrics: ConnectionMetrics,
}

impl<S, B> Service<Request<Incoming>> for Http2Service<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Response = Response<PacedBody<B>>;
    type Error = Infallible;
    type Future = Http2Future<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let departure = Arc::<Departure>::default();
        let inner = if request.headers().len() > self.most_headers {
            self.metrics.count_refused(RefusedFor::HeaderCount);
            None
        } else {
            let extensions = request.extensions_mut();
            extensions.insert(ClientGone::new(departure.clone()));
            Some(self.inner.call(request))
        };
        Http2Future {
            inner,
            stalls: self.stalls.clone(),
            fate: Some(Fate {
                fates: self.fates.clone(),
                departure,
                is_answered: false,
                is_over: false,
            }),
        }
    }
}

pin_project! {
    /// One answer in the making.
    pub(super) struct Http2Future<F> {
        // First, because it is dropped first: a handler must know that its client left when it is let go of.
        fate: Option<Fate>,
        // Without one the request has too many fields.
        #[pin]
        inner: Option<F>,
        stalls: Stalls,
    }
}

/// What becomes of one request: counted, and told to its handler when the client lets go of it.
pub(super) struct Fate {
    fates: Fates,
    departure: Arc<Departure>,
    /// The head of the answer is there.
    is_answered: bool,
    /// The whole answer is.
    is_over: bool,
}

impl Fate {
    /// The answer is complete: the client has what it wanted.
    pub(super) fn is_over(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        let fate = match self.is_answered {
            true => &self.fates.answered,
            false => &self.fates.abandoned,
        };
        fate.fetch_add(1, Ordering::Relaxed);
        if !self.is_over && !self.fates.is_ended_by_us.load(Ordering::Relaxed) {
            self.departure.tell();
        }
    }
}

impl<F, B> Future for Http2Future<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<PacedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.inner.as_pin_mut() {
            None => too_many_fields(),
            Some(inner) => match ready!(inner.poll(cx)) {
                Ok(response) => response.map(Some),
                Err(never) => match never {},
            },
        };
        let mut fate = this.fate.take();
        if let Some(fate) = &mut fate {
            fate.is_answered = true;
        }
        let stalls = this.stalls.clone();
        Poll::Ready(Ok(response.map(|body| PacedBody::new(body, stalls, fate))))
    }
}

/// The peer may ask for something else on its other streams (RFC 6585 §5).
fn too_many_fields<B>() -> Response<Option<B>> {
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
