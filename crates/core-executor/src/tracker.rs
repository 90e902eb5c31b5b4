//! The tracker of an executor's tasks: who is admitted, who is there, and the order in which they are ended.

use crate::ExecutorError;
use crate::drain::Drain;
use crate::slots::{Slot, Slots};
use crate::sync::{AtomicBool, Ordering, TaskTracker, TaskTrackerToken};
use std::future::Future;
use std::sync::Arc;

/// Every task of an executor, from its admission until it is gone.
pub(crate) struct Tracker {
    /// Nobody is admitted any more.
    closed: AtomicBool,
    /// Ends the tasks that do not end with a thread of ours: on a runtime we may not end, on the blocking lane, and on
    /// the control thread, which runs the end itself.
    pub(crate) cut: Arc<Drain>,
    /// Tasks of the application: counted by `wait_idle` and by the metrics.
    pub(crate) tasks: TaskTracker,
    /// Tasks of the servers: connections, sessions, sweepers, accept loops.
    pub(crate) services: TaskTracker,
    /// Places of the application's tasks, so that their number is bounded.
    slots: Slots,
}

/// What a task of the application has from its admission on.
pub(crate) struct Admitted {
    pub(crate) slot: Slot,
    /// To be held until the task has a token of its own: the end waits for who was admitted.
    pub(crate) coming: TaskTrackerToken,
}

impl Tracker {
    /// One with so many places for tasks of the application.
    pub(crate) fn new(max_tasks: usize) -> Self {
        Self {
            closed: AtomicBool::new(false),
            cut: Arc::default(),
            tasks: waitable(),
            services: waitable(),
            slots: Slots::new(max_tasks),
        }
    }

    /// Lets a task of a server in.
    pub(crate) fn check_open(&self) -> Result<(), ExecutorError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(ExecutorError::Stopping);
        }
        Ok(())
    }

    /// Lets a task of the application in.
    pub(crate) fn admit(&self) -> Result<Admitted, ExecutorError> {
        let coming = self.tasks.token();
        // Written, not only read, so that either this task sees the end or the end sees this task.
        if self.closed.fetch_or(false, Ordering::AcqRel) {
            return Err(ExecutorError::Stopping);
        }
        let slot = self.slots.take()?;
        Ok(Admitted { slot, coming })
    }

    /// Nobody is admitted any more.
    pub(crate) fn close(&self) {
        self.closed.swap(true, Ordering::AcqRel);
    }

    /// Admits nobody and waits for the application's tasks until `patience` ends. Gives how many are left then.
    pub(crate) async fn finish(&self, patience: impl Future<Output = ()>) -> usize {
        self.close();
        tokio::select! {
            biased;
            () = self.tasks.wait() => 0,
            () = patience => self.slots.taken(),
        }
    }

    /// Ends what a cut ends.
    pub(crate) fn cut(&self) {
        self.close();
        self.cut.begin();
    }

    /// Waits until nobody is there.
    pub(crate) async fn gone(&self) {
        self.services.wait().await;
        self.tasks.wait().await;
    }
}

/// A tracker whose `wait` resolves whenever it is empty; it still takes tasks.
fn waitable() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
}
