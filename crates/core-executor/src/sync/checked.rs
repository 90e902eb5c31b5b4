//! The parts under a model checker. Locks and atomics are the checker's. What comes from tokio is tokio's own, each of
//! its operations one step that the checker orders against all others: tokio checks the inside of them itself.

#[cfg(loom)]
use loom::sync as checker;
#[cfg(shuttle)]
use shuttle::sync as checker;

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) use checker::atomic::{AtomicBool, AtomicU8, AtomicUsize};
pub(crate) use checker::{Mutex, MutexGuard};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

/// Where the checker may let another thread go first, once for each operation on the part that has it.
#[derive(Debug, Clone)]
struct Step(Arc<AtomicUsize>);

impl Step {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn take(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn look(&self) {
        self.0.load(Ordering::Acquire);
    }
}

#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    step: Step,
    inner: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::new(),
            inner: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.step.take();
        self.inner.set(value)
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.step.take();
        // Made outside: another thread may run meanwhile, and this one must not be waited for.
        let made = make();
        self.inner.get_or_init(|| made)
    }
}

pin_project! {
    /// A future of tokio's, each poll one step.
    pub(crate) struct Stepped<F> {
        step: Step,
        #[pin]
        inner: F,
    }
}

impl<F: Future> Future for Stepped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.step.take();
        this.inner.poll(cx)
    }
}

#[derive(Debug)]
pub(crate) struct Notify {
    step: Step,
    inner: tokio::sync::Notify,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::new(),
            inner: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn notify_one(&self) {
        self.step.take();
        self.inner.notify_one();
    }

    pub(crate) fn notified(&self) -> Stepped<tokio::sync::futures::Notified<'_>> {
        Stepped {
            step: self.step.clone(),
            inner: self.inner.notified(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct CancellationToken {
    step: Step,
    inner: tokio_util::sync::CancellationToken,
}

pub(crate) type WaitForCancellationFuture<'a> = Stepped<tokio_util::sync::WaitForCancellationFuture<'a>>;

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancellationToken {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::new(),
            inner: tokio_util::sync::CancellationToken::new(),
        }
    }

    pub(crate) fn cancel(&self) {
        self.step.take();
        self.inner.cancel();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.step.look();
        self.inner.is_cancelled()
    }

    pub(crate) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        Stepped {
            step: self.step.clone(),
            inner: self.inner.cancelled(),
        }
    }

    pub(crate) async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.cancelled() => None,
            output = future => Some(output),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TaskTracker {
    step: Step,
    inner: tokio_util::task::TaskTracker,
}

impl TaskTracker {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::new(),
            inner: tokio_util::task::TaskTracker::new(),
        }
    }

    pub(crate) fn close(&self) {
        self.step.take();
        self.inner.close();
    }

    pub(crate) fn len(&self) -> usize {
        self.step.look();
        self.inner.len()
    }

    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.step.take();
        TaskTrackerToken {
            step: self.step.clone(),
            inner: Some(self.inner.token()),
        }
    }

    pub(crate) fn track_future<F: Future>(&self, future: F) -> Tracked<F> {
        Tracked {
            future,
            _token: self.token(),
        }
    }

    pub(crate) async fn wait(&self) {
        let waiting = Stepped {
            step: self.step.clone(),
            inner: self.inner.wait(),
        };
        waiting.await;
    }
}

pub(crate) struct TaskTrackerToken {
    step: Step,
    inner: Option<tokio_util::task::task_tracker::TaskTrackerToken>,
}

impl Drop for TaskTrackerToken {
    fn drop(&mut self) {
        self.step.take();
        drop(self.inner.take());
    }
}

pin_project! {
    /// The future goes first, then its token.
    pub(crate) struct Tracked<F> {
        #[pin]
        future: F,
        _token: TaskTrackerToken,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}
