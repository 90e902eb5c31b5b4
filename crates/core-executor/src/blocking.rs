//! The blocking lane: a bounded number of threads for work that says that it blocks, with a bounded queue.

use crate::spawner::{panicked, timed_out, within};
use crate::{ExecutorError, Spawner, TaskError, TaskHandle, TaskOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many closures wait or run on the lane, and how many may.
#[derive(Debug)]
pub(crate) struct BlockingLane {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

impl BlockingLane {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            taken: Arc::new(AtomicUsize::new(0)),
            limit,
        }
    }

    /// Closures that wait or run now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    fn take(&self) -> Result<Place, ExecutorError> {
        let place = Place {
            taken: self.taken.clone(),
        };
        if self.taken.fetch_add(1, Ordering::AcqRel) >= self.limit {
            return Err(ExecutorError::Full { limit: self.limit });
        }
        Ok(place)
    }
}

/// One closure's place in the lane. Made before it is counted, so that giving it up is right in both cases.
struct Place {
    taken: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
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
        let place = shared
            .blocking
            .take()
            .inspect_err(|_| shared.metrics.count_rejected())?;
        let mut lease = self.admit()?;
        let (token, metrics) = (shared.tasks.token(), shared.metrics.clone());
        let running = self.control().spawn_blocking(move || {
            lease.begin();
            let outcome = catch_unwind(AssertUnwindSafe(work));
            drop((lease, token, place));
            outcome.unwrap_or_else(|_| Err(panicked(&metrics, options.name)))
        });
        let (limit, metrics) = (options.limit(), shared.metrics.clone());
        let waiting = async move {
            let unstarted = running.abort_handle();
            let outcome = within(limit, running).await;
            unstarted.abort();
            match outcome {
                Ok(joined) => joined.unwrap_or(Err(TaskError::Cancelled)),
                Err(error) => Err(error),
            }
            .inspect_err(|error| {
                if *error == TaskError::TimedOut {
                    timed_out(&metrics, options.name);
                }
            })
        };
        let waiting = shared.services.track_future(self.cuttable(waiting));
        Ok(TaskHandle::new(self.control().spawn(waiting)))
    }
}
