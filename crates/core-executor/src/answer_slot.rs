//! Where an answer in the making stands: beside hyper, so that it outlives hyper's connection while that rests.

use crate::RequestBody;
use crate::tracked_service::{Answer, TrackedBody, TrackedFuture, TrackedService};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// The place that answers are made in; hyper has it while it serves a request.
type Place<F> = Pin<Box<Option<F>>>;

/// An HTTP/1 connection has one answer in the making at a time; this is its place, made once for all of them.
pub(crate) struct AnswerSlot<F, T> {
    // Only the connection's task comes here, so nobody ever waits for the lock.
    held: Mutex<Held<F, T>>,
    /// Hyper lets go of a request and gets it again.
    rests: AtomicBool,
}

struct Held<F, T> {
    /// Absent while hyper has it.
    place: Option<Place<F>>,
    /// What became ready while the connection rested.
    answer: Option<Box<T>>,
}

impl<F, T> AnswerSlot<F, T> {
    fn new() -> Self {
        Self {
            held: Mutex::new(Held {
                place: Some(Box::pin(None)),
                answer: None,
            }),
            rests: AtomicBool::new(false),
        }
    }

    /// Some answer is in the making, for hyper.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().place.is_none()
    }

    /// From here on the answer stays when hyper lets go of it.
    pub(crate) fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// Whether the answer that is asked for is in the making since before a rest.
    fn wake(&self) -> bool {
        self.rests.load(Ordering::Relaxed) && self.rests.swap(false, Ordering::Relaxed)
    }

    /// Hyper takes the place and what is in it.
    #[inline]
    fn lend(self: &Arc<Self>) -> SlotFuture<F, T> {
        let mut held = self.lock();
        SlotFuture {
            place: held.place.take(),
            answer: held.answer.take(),
            slot: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held<F, T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = T>, T> AnswerSlot<F, T> {
    /// Goes on with the answer while hyper does not; ready when there is one, which is kept.
    pub(crate) fn poll_resting(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        if held.answer.is_none()
            && let Some(place) = &mut held.place
            && let Some(future) = place.as_mut().as_pin_mut()
        {
            let answer = ready!(future.poll(cx));
            place.set(None);
            held.answer = Some(Box::new(answer));
        }
        Poll::Ready(())
    }
}

/// The slot of a connection with this service.
pub(crate) type SlotOf<S, B> =
    AnswerSlot<TrackedFuture<Answer<S, Request<RequestBody>>>, Result<Response<TrackedBody<B>>, Infallible>>;

/// The service as hyper calls it on HTTP/1.
pub(crate) struct SlotService<S: Service<Request<RequestBody>>, B> {
    tracked: TrackedService<S>,
    slot: Arc<SlotOf<S, B>>,
}

impl<S, B> SlotService<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    pub(crate) fn new(tracked: TrackedService<S>) -> Self {
        Self {
            tracked,
            slot: Arc::new(AnswerSlot::new()),
        }
    }

    pub(crate) fn slot(&self) -> &Arc<SlotOf<S, B>> {
        &self.slot
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for SlotService<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future =
        SlotFuture<TrackedFuture<Answer<S, Request<RequestBody>>>, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if self.slot.wake() {
            return self.slot.lend();
        }
        // Answers are large, and made on the path of every request: in this order they are moved once less.
        let answer = hyper::service::Service::call(&self.tracked, request.map(RequestBody::new));
        let mut future = self.slot.lend();
        if let Some(place) = &mut future.place {
            place.set(Some(answer));
        }
        future
    }
}

/// Hyper's hold on the answer; letting go of it (the peer left) drops the answer, unless the connection rests.
pub(crate) struct SlotFuture<F, T> {
    /// There until it is dropped.
    place: Option<Place<F>>,
    answer: Option<Box<T>>,
    slot: Arc<AnswerSlot<F, T>>,
}

impl<F: Future<Output = T>, T> Future for SlotFuture<F, T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(*answer);
        }
        let place = self.place.as_mut();
        let future = place.and_then(|place| place.as_mut().as_pin_mut());
        future.expect("nobody asks once there is an answer").poll(cx)
    }
}

impl<F, T> Drop for SlotFuture<F, T> {
    fn drop(&mut self) {
        let rests = self.slot.rests.load(Ordering::Relaxed);
        if !rests && let Some(place) = &mut self.place {
            place.set(None);
        }
        let mut held = self.slot.lock();
        held.place = self.place.take();
        held.answer = self.answer.take().filter(|_| rests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    type Made = oneshot::Receiver<u32>;
    type Given = Result<u32, oneshot::error::RecvError>;
    type Slot = AnswerSlot<Made, Given>;

    fn begun(slot: &Arc<Slot>, future: Made) -> SlotFuture<Made, Given> {
        let is_again = slot.wake();
        let mut lent = slot.lend();
        if !is_again {
            lent.place.as_mut().unwrap().set(Some(future));
        }
        lent
    }

    #[test]
    fn an_answer_outlives_a_rest_and_is_given_once() {
        let slot = Arc::new(Slot::new());
        let (answer, future) = oneshot::channel();
        let mut first = begun(&slot, future);
        assert!((&mut first).now_or_never().is_none() && slot.is_waiting());
        slot.rest();
        drop(first);
        assert!(!answer.is_closed() && !slot.is_waiting());
        answer.send(7).unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(slot.poll_resting(&mut cx).is_ready() && slot.poll_resting(&mut cx).is_ready());
        let again = begun(&slot, oneshot::channel().1);
        assert_eq!(again.now_or_never().unwrap(), Ok(7));
        assert!(!slot.is_waiting());
    }

    #[test]
    fn without_a_rest_it_is_dropped_with_its_request() {
        let slot = Arc::new(Slot::new());
        let (answer, future) = oneshot::channel();
        drop(begun(&slot, future));
        assert!(answer.is_closed() && !slot.is_waiting());
    }

    #[test]
    fn so_it_is_when_the_connection_ends_after_a_rest() {
        let slot = Arc::new(Slot::new());
        let (answer, future) = oneshot::channel();
        let first = begun(&slot, future);
        slot.rest();
        drop(first);
        drop(begun(&slot, oneshot::channel().1));
        assert!(answer.is_closed() && !slot.is_waiting());
    }
}
