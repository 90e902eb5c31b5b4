//! The blocking lane: a bounded number of threads for work that says that it blocks, with a bounded queue.

use crate::metrics::TaskLease;
use crate::slots::{Slot, Slots};
use crate::spawner::{cut_by, panicked, timed_out, within};
use crate::sync::{Arc, Mutex, TaskTrackerToken};
use crate::{ExecutorError, Spawner, TaskError, TaskHandle, TaskOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

/// How many closures are on the lane, and how many of them run.
#[derive(Debug)]
pub(crate) struct BlockingLane {
    /// One for each closure the runtime holds, given up or not, so that its queue is bounded.
    places: Slots,
    running: Slots,
}

impl BlockingLane {
    pub(crate) fn new(threads: usize, queue: usize) -> Self {
        Self {
            places: Slots::new(threads.saturating_add(queue)),
            running: Slots::new(usize::MAX),
        }
    }

    /// Closures that have begun and not ended.
    pub(crate) fn running(&self) -> usize {
        self.running.taken()
    }
}

/// Work with what is given back when it is gone, in this order: who waits for idleness must find nothing left.
struct Job<F> {
    work: F,
    lease: TaskLease,
    token: TaskTrackerToken,
}

/// Work that a thread of the lane takes up, unless it is withdrawn first.
struct Offer<F>(Arc<Mutex<Option<Job<F>>>>);

impl<F> Offer<F> {
    fn take(&self) -> Option<Job<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the waiting side holds: when it gives up, work that has not begun is dropped at once and never runs.
impl<F> Drop for Offer<F> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Spawner {
    /// Runs `work` on the lane; the handle resolves at the limit even where the closure cannot be interrupted.
    pub(crate) fn run_blocking<F, T>(
        &self,
        options: TaskOptions,
        work: F,
    ) -> Result<TaskHandle<T>, ExecutorError>
    where
        F: FnOnce() -> Result<T, TaskError> + Send + 'static,
        T: Send + 'static,
    {
        let shared = &self.shared;
        let (lease, token, place) = self.admit_to(&shared.blocking.places)?;
        let offer = Offer(Arc::new(Mutex::new(Some(Job { work, lease, token }))));
        let taker = Offer(offer.0.clone());
        let lane = self.clone();
        let running = self
            .control()
            .spawn_blocking(move || lane.take_up(taker, place, options));
        let (limit, metrics) = (options.limit(), shared.metrics.clone());
        let waiting = async move {
            let _offer = offer;
            let outcome = match within(limit, running).await {
                Ok(joined) => joined.unwrap_or(Err(TaskError::Cancelled)),
                Err(error) => Err(error),
            };
            if matches!(outcome, Err(TaskError::TimedOut)) {
                timed_out(&metrics, options.name);
            }
            outcome
        };
        let waiting = shared
            .tracker
            .tasks
            .track_future(cut_by(Some(shared.tracker.cut.clone()), waiting));
        Ok(TaskHandle::new(self.control().spawn(waiting)))
    }

    /// On a thread of the lane: runs what is offered, unless it was withdrawn or the executor has ended.
    fn take_up<F, T>(&self, offer: Offer<F>, _place: Slot, options: TaskOptions) -> Result<T, TaskError>
    where
        F: FnOnce() -> Result<T, TaskError>,
    {
        let shared = &self.shared;
        let running = shared.blocking.running.take();
        let job = offer.take().filter(|_| !shared.tracker.cut.has_begun());
        let Some(Job {
            work,
            mut lease,
            token,
        }) = job
        else {
            return Err(TaskError::Cancelled);
        };
        lease.begin();
        let outcome = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(panicked(&shared.metrics, options.name)));
        drop((lease, running, token));
        outcome
    }
}
