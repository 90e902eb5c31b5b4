//! How long a stream's body may stop coming: told by the body, heard by whoever answers.

use super::clock::Clock;
use futures_util::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The body's side: a clock that runs while the body is waited for.
pub(crate) struct Patience {
    limit: Duration,
    clock: Clock,
    waiting: Option<Instant>,
    stall: Arc<Stall>,
}

/// Whether the body of a request has stopped coming.
#[derive(Default)]
pub(super) struct Stall {
    has_come: AtomicBool,
    /// Who answers the request, when the body is read elsewhere.
    answering: AtomicWaker,
}

impl Patience {
    pub(super) fn new(limit: Duration, stall: Arc<Stall>) -> Self {
        Self {
            limit,
            clock: Clock::default(),
            waiting: None,
            stall,
        }
    }

    /// Something came.
    pub(crate) fn renew(&mut self) {
        self.waiting = None;
    }

    /// Nothing is there: ready when that has gone on for the limit.
    pub(crate) fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        ready!(self.clock.poll(cx, since + self.limit));
        self.stall.has_come.store(true, Ordering::Release);
        self.stall.answering.wake();
        Poll::Ready(())
    }
}

impl Stall {
    /// Whether it has come; if not, the task hears of it.
    pub(super) fn has_come(&self, cx: &Context<'_>) -> bool {
        // Registered before the look: what comes between the two wakes the task.
        self.answering.register(cx.waker());
        self.has_come.load(Ordering::Acquire)
    }
}
