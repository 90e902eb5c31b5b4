//! The server's service as one HTTP/2 connection calls it.

use super::body::{PacedBody, Stalls};
use super::patience::{Patience, Stall};
use crate::departure::Departure;
use crate::gate::Refusal;
use crate::{ClientGone, ConnectionMetrics, RequestBody};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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
    /// Whoever drives the connection.
    driver: Arc<AtomicWaker>,
}

impl Fates {
    /// We end the connection.
    pub(super) fn end_by_us(&self) {
        self.is_ended_by_us.store(true, Ordering::Relaxed);
    }

    /// Whether the peer asks in order to make us work, not to have answers ("rapid reset", CVE-2023-44487). Who asks is
    /// woken when it comes to that.
    pub(super) fn turn_suspicious(&self, driver: &Waker) -> bool {
        // Before the look: what is counted after it wakes.
        self.driver.register(driver);
        self.are_suspicious()
    }

    fn are_suspicious(&self) -> bool {
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
    /// Bytes of them, counted as RFC 9113 §6.5.2 says.
    pub(super) most_head: usize,
    /// How long a body may stop coming; 0 means off.
    pub(super) body_stall: Duration,
    pub(super) metrics: ConnectionMetrics,
}

impl<S> Http2Service<S> {
    /// Why a request is not served at all.
    fn refusal(&self, request: &Request<Incoming>) -> Option<Refusal> {
        if request.headers().len() > self.most_headers {
            Some(Refusal::too_many_fields())
        } else if field_section_size(request) > self.most_head {
            Some(Refusal::head_too_long())
        } else {
            None
        }
    }

    /// The body with its limit, and where it says that it has stopped coming.
    fn with_limit(&self, body: Incoming) -> (RequestBody, Option<Arc<Stall>>) {
        if self.body_stall.is_zero() || body.is_end_stream() {
            return (RequestBody::new(body), None);
        }
        let stall = Arc::<Stall>::default();
        let patience = Patience::new(self.body_stall, stall.clone());
        (RequestBody::with_patience(body, patience), Some(stall))
    }
}

/// The size of a request's fields, those that begin with a colon included (RFC 9113 §6.5.2).
fn field_section_size<B>(request: &Request<B>) -> usize {
    let size = |name: &str, length: usize| name.len() + length + 32;
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let pseudo = [
        Some((":method", request.method().as_str().len())),
        uri.scheme_str().map(|scheme| (":scheme", scheme.len())),
        uri.authority()
            .map(|authority| (":authority", authority.as_str().len())),
        Some((":path", path)),
    ];
    let pseudo = pseudo
        .into_iter()
        .flatten()
        .map(|(name, length)| size(name, length));
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| size(name.as_str(), value.len()));
    pseudo.chain(fields).sum()
}

impl<S, B> Service<Request<Incoming>> for Http2Service<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Response = Response<PacedBody<B>>;
    type Error = Infallible;
    type Future = Http2Future<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let departure = Arc::<Departure>::default();
        let refusal = self.refusal(&request);
        let (mut inner, mut stall) = (None, None);
        if refusal.is_none() {
            let extensions = request.extensions_mut();
            extensions.insert(ClientGone::new(departure.clone()));
            let (head, body) = request.into_parts();
            let (body, reported) = self.with_limit(body);
            (inner, stall) = (Some(self.inner.call(Request::from_parts(head, body))), reported);
        }
        Http2Future {
            inner,
            refusal,
            stall,
            metrics: self.metrics.clone(),
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
        // Without one the request is not served.
        #[pin]
        inner: Option<F>,
        refusal: Option<Refusal>,
        // Only where there is a body that may stop coming.
        stall: Option<Arc<Stall>>,
        metrics: ConnectionMetrics,
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
        let fates = &self.fates;
        if self.is_answered {
            fates.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            fates.abandoned.fetch_add(1, Ordering::Relaxed);
            if fates.are_suspicious() {
                fates.driver.wake();
            }
        }
        match fates.is_ended_by_us.load(Ordering::Relaxed) {
            _ if self.is_over => {}
            true => self.departure.cut(),
            false => self.departure.tell(),
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
        let mut this = self.project();
        let answer = this.inner.as_mut().as_pin_mut().map(|inner| inner.poll(cx));
        // Looked at after the service had its turn: it may have read its body to the limit.
        if this.stall.as_ref().is_some_and(|stall| stall.has_come(cx)) {
            *this.refusal = Some(Refusal::stalled_body());
        }
        let (stalls, refusal) = (this.stalls.clone(), this.refusal.take());
        let answered = |mut fate: Option<Fate>| {
            if let Some(fate) = &mut fate {
                fate.is_answered = true;
            }
            fate
        };
        if let Some(refusal) = refusal {
            // The peer may ask for something else on its other streams (RFC 6585 §5).
            this.metrics.count_refused(refusal.counted);
            this.inner.set(None);
            let fate = answered(this.fate.take());
            return Poll::Ready(Ok(refusal
                .answer()
                .map(|bytes| PacedBody::of_bytes(bytes, stalls, fate))));
        }
        match answer {
            Some(Poll::Ready(Ok(response))) => {
                let fate = answered(this.fate.take());
                Poll::Ready(Ok(response.map(|body| PacedBody::new(body, stalls, fate))))
            }
            Some(Poll::Ready(Err(never))) => match never {},
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Comes to its end, before its answer or behind it.
    fn end_one(fates: &Fates, is_answered: bool) {
        drop(Fate {
            fates: fates.clone(),
            departure: Arc::default(),
            is_answered,
            is_over: is_answered,
        });
    }

    /// Streams may end on other threads, when whoever drives the connection has had its turn.
    #[test]
    fn whoever_drives_the_connection_is_woken_by_the_reset_that_is_too_many() {
        let (fates, rings) = (Fates::default(), Arc::<Rings>::default());
        let driver = Waker::from(rings.clone());
        let rung = || rings.0.load(Ordering::SeqCst);
        assert!(!fates.turn_suspicious(&driver));
        end_one(&fates, true);
        for _ in 0..=ABANDONED {
            end_one(&fates, false);
        }
        assert_eq!(rung(), 0, "one was answered, so one more may come to nothing");
        end_one(&fates, false);
        assert_eq!(rung(), 1);
        assert!(fates.turn_suspicious(&driver));
    }
}
