//! An answer in the making that outlives hyper's connection while that rests.

use crate::RequestBody;
use crate::tracked_service::{Answer, TrackedBody, TrackedFuture, TrackedService};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::any::Any;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

thread_local! {
    /// An answer that hyper lets go of on this thread is kept, not dropped.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
    /// What was kept so.
    static LEFT: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
}

/// An answer, or one in the making, that hyper has or will ask for again.
pub(crate) enum KeptAnswer<F, T> {
    Unfinished(Pin<Box<F>>),
    /// Became ready while the connection rested.
    Ready(Box<T>),
}

impl<F: Future<Output = T>, T> KeptAnswer<F, T> {
    /// Goes on with the answer while hyper does not; ready when there is one, which is kept.
    pub(crate) fn poll_resting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Unfinished(future) = self {
            let answer = ready!(future.as_mut().poll(cx));
            *self = Self::Ready(Box::new(answer));
        }
        Poll::Ready(())
    }
}

/// Lets hyper go of a connection, and keeps the answer that it is waiting for.
pub(crate) fn keeping<F: 'static, T: 'static, R>(
    let_go: impl FnOnce() -> R,
) -> (R, Option<KeptAnswer<F, T>>) {
    struct Keeps;
    impl Drop for Keeps {
        fn drop(&mut self) {
            KEEPS.set(false);
            // There only behind a panic; the next connection on this thread must not get it.
            drop(LEFT.take());
        }
    }
    KEEPS.set(true);
    let _keeps = Keeps;
    let what_is_left = let_go();
    let kept = LEFT.take().and_then(|left| left.downcast().ok());
    (what_is_left, kept.map(|kept| *kept))
}

type FutureOf<S> = TrackedFuture<Answer<S, Request<RequestBody>>>;
type AnswerOf<B> = Result<Response<TrackedBody<B>>, Infallible>;

/// What is kept of a connection with this service.
pub(crate) type KeptAnswerOf<S, B> = KeptAnswer<FutureOf<S>, AnswerOf<B>>;

/// The service as hyper calls it on HTTP/1, where one answer is in the making at a time.
pub(crate) struct KeepingService<S: Service<Request<RequestBody>>, B> {
    tracked: TrackedService<S>,
    /// For the request that hyper is given in place of the one that it was let go of.
    kept: Cell<Option<KeptAnswerOf<S, B>>>,
}

impl<S: Service<Request<RequestBody>>, B> KeepingService<S, B> {
    pub(crate) fn new(tracked: TrackedService<S>) -> Self {
        Self {
            tracked,
            kept: Cell::new(None),
        }
    }

    /// The next request gets this answer.
    pub(crate) fn keep(&self, kept: Option<KeptAnswerOf<S, B>>) {
        self.kept.set(kept);
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for KeepingService<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = AnswerFuture<FutureOf<S>, AnswerOf<B>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let held = self.kept.take().unwrap_or_else(|| {
            let request = request.map(RequestBody::new);
            // Made anew for each request: with many connections the memory of the request before, of whatever
            // connection, is in a cache, and a place of the connection's own is not.
            KeptAnswer::Unfinished(Box::pin(hyper::service::Service::call(&self.tracked, request)))
        });
        AnswerFuture { held: Some(held) }
    }
}

/// Hyper's hold on the answer; letting go of it (the peer left) drops the answer, unless the connection rests.
pub(crate) struct AnswerFuture<F: 'static, T: 'static> {
    /// Gone once hyper has the answer.
    held: Option<KeptAnswer<F, T>>,
}

/// What it holds is boxed, or never pinned.
impl<F, T> Unpin for AnswerFuture<F, T> {}

impl<F: Future<Output = T>, T> Future for AnswerFuture<F, T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(KeptAnswer::Unfinished(future)) = &mut self.held {
            let answer = ready!(future.as_mut().poll(cx));
            self.held = None;
            return Poll::Ready(answer);
        }
        match self.held.take() {
            Some(KeptAnswer::Ready(answer)) => Poll::Ready(*answer),
            _ => unreachable!("nobody asks once there is an answer"),
        }
    }
}

impl<F: 'static, T: 'static> Drop for AnswerFuture<F, T> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take()
            && KEEPS.get()
        {
            LEFT.set(Some(Box::new(held)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tokio::sync::oneshot;

    type Made = oneshot::Receiver<u32>;
    type Given = Result<u32, oneshot::error::RecvError>;
    type Future = AnswerFuture<Made, Given>;

    fn begun(future: Made) -> Future {
        AnswerFuture {
            held: Some(KeptAnswer::Unfinished(Box::pin(future))),
        }
    }

    #[test]
    fn an_answer_outlives_a_rest_and_is_given_once() {
        let (answer, future) = oneshot::channel();
        let mut first = begun(future);
        assert!((&mut first).now_or_never().is_none());
        let ((), kept) = keeping::<Made, Given, _>(|| drop(first));
        let mut kept = kept.expect("it is not ready");
        assert!(!answer.is_closed());
        answer.send(7).unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(kept.poll_resting(&mut cx).is_ready() && kept.poll_resting(&mut cx).is_ready());
        let again = Future { held: Some(kept) };
        assert_eq!(again.now_or_never().unwrap(), Ok(7));
    }

    #[test]
    fn without_a_rest_it_is_dropped_with_its_request() {
        let (answer, future) = oneshot::channel();
        drop(begun(future));
        assert!(answer.is_closed());
        let ((), kept) = keeping::<Made, Given, _>(|| ());
        assert!(kept.is_none(), "nothing is left of the one before");
    }

    #[test]
    fn nothing_is_kept_behind_a_rest_or_a_panic() {
        let (answer, future) = oneshot::channel();
        let first = begun(future);
        let panics = || {
            keeping::<Made, Given, ()>(|| {
                drop(first);
                panic!("on purpose")
            })
        };
        let panicked = catch_unwind(AssertUnwindSafe(panics));
        assert!(panicked.is_err() && answer.is_closed());
        let (answer, future) = oneshot::channel();
        drop(begun(future));
        assert!(answer.is_closed());
    }

    #[test]
    fn so_it_is_when_the_connection_ends_after_a_rest() {
        let (answer, future) = oneshot::channel();
        let ((), kept) = keeping::<Made, Given, _>(|| drop(begun(future)));
        drop(kept);
        assert!(answer.is_closed());
    }
}
