//! A server's own task, which may panic without taking its worker with it.

use crate::ExecutorMetrics;
use pin_project_lite::pin_project;
use prometheus::IntCounter;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A task of which a panic is counted and logged, and ends it. One future by hand and not three: it stands around
    /// every wake-up of every session.
    pub(crate) struct Guarded<F> {
        panics: IntCounter,
        #[pin]
        task: F,
    }
}

impl<F> Guarded<F> {
    pub(crate) fn new(metrics: &ExecutorMetrics, task: F) -> Self {
        Self {
            panics: metrics.panics(),
            task,
        }
    }
}

impl<F: Future<Output = ()>> Future for Guarded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| this.task.poll(context)));
        polled.unwrap_or_else(|_| {
            this.panics.inc();
            tracing::error!(task = "service", "a task panicked");
            Poll::Ready(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_panic_ends_the_task_and_is_counted() {
        let metrics = ExecutorMetrics::new();
        let before = metrics.panicked();
        let task = Guarded::new(&metrics, async { panic!("on purpose") });
        assert_eq!(task.now_or_never(), Some(()));
        assert_eq!(metrics.panicked(), before + 1);
        let waits = Guarded::new(&metrics, std::future::pending());
        assert_eq!(waits.now_or_never(), None);
        assert_eq!(Guarded::new(&metrics, async {}).now_or_never(), Some(()));
        assert_eq!(metrics.panicked(), before + 1);
    }
}
