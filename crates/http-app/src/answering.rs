//! One request on its way to an answer: panics caught, time bounded.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use axum::routing::future::RouteFuture;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use crate::metrics::Limit;
use crate::service::{Begun, body_too_large, internal_error, note_panic, timed_out};

pin_project! {
    /// The future of [`AppService`](crate::service::AppService).
    pub(crate) struct Answering {
        #[pin]
        stage: Stage,
        begun: Begun,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage {
        /// Refused before the router saw it.
        Known { response: Option<Response> },
        Awaited {
            #[pin]
            answer: RouteFuture<Infallible>,
            // Made when the answer is first waited for: most requests are answered at once.
            clock: Option<Pin<Box<Sleep>>>,
        },
        /// The handler's future is dropped as soon as there is an answer without it.
        Over,
    }
}

impl Answering {
    pub(crate) fn known(response: Response, begun: Begun) -> Self {
        Self {
            stage: Stage::Known {
                response: Some(response),
            },
            begun,
        }
    }

    pub(crate) fn awaited(answer: RouteFuture<Infallible>, begun: Begun) -> Self {
        Self {
            stage: Stage::Awaited { answer, clock: None },
            begun,
        }
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = match this.stage.as_mut().project() {
            StageProjection::Known { response } => response.take().expect("not polled after its end"),
            StageProjection::Awaited { answer, clock } => match poll_answer(answer, this.begun, cx) {
                Poll::Ready(_) if this.begun.ticket.body_is_too_large() => {
                    this.begun.metrics().limited(Limit::Body);
                    body_too_large()
                }
                Poll::Ready(response) => response,
                Poll::Pending => {
                    ready!(poll_limit(clock, this.begun, cx));
                    this.begun.metrics().limited(Limit::Timeout);
                    timed_out()
                }
            },
            StageProjection::Over => unreachable!("not polled after its end"),
        };
        this.stage.set(Stage::Over);
        Poll::Ready(Ok(this.begun.answer(response)))
    }
}

fn poll_answer(
    answer: Pin<&mut RouteFuture<Infallible>>,
    begun: &Begun,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    begun.ticket.say();
    match catch_unwind(AssertUnwindSafe(|| answer.poll(cx))) {
        Ok(polled) => polled.map(|Ok(response)| response),
        Err(panic) => {
            note_panic(begun.metrics(), &*panic);
            Poll::Ready(internal_error())
        }
    }
}

/// Ready when the request's time is up. The limit is read each time: a layer further in may just have changed it.
fn poll_limit(clock: &mut Option<Pin<Box<Sleep>>>, begun: &Begun, cx: &mut Context<'_>) -> Poll<()> {
    let Some(deadline) = begun.ticket.deadline() else {
        *clock = None;
        return Poll::Pending;
    };
    let clock = clock.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if clock.deadline() != deadline {
        clock.as_mut().reset(deadline);
    }
    clock.as_mut().poll(cx)
}
