//! A thread with a current-thread runtime, ended by a token and never joined by force.

use crate::ExecutorError;
use crate::activity::Activity;
use crate::executor::EndOfThreads;
use std::cell::Cell;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

thread_local! {
    /// Which executor's worker this thread is: (executor, index).
    static PLACE: Cell<Option<(u64, usize)>> = const { Cell::new(None) };
}

/// The index of the calling thread among the workers of `executor`, when it is one.
pub(crate) fn current_index(executor: u64) -> Option<usize> {
    PLACE
        .get()
        .filter(|(owner, _)| *owner == executor)
        .map(|(_, index)| index)
}

/// A running thread of ours.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) handle: Handle,
    stop: CancellationToken,
    exited: CancellationToken,
}

impl Worker {
    /// Starts the thread. `place` is the executor and the index, `activity` where it says what it runs; `None` for the
    /// control thread.
    pub(crate) fn start(
        name: String,
        place: Option<(u64, usize)>,
        blocking_threads: usize,
        activity: Option<Arc<Activity>>,
        alive: Arc<EndOfThreads>,
    ) -> Result<Self, ExecutorError> {
        let failed = |source| ExecutorError::Thread {
            name: name.clone(),
            source,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking_threads)
            .thread_name(format!("{name}-blocking"))
            .build()
            .map_err(failed)?;
        let worker = Self {
            handle: runtime.handle().clone(),
            stop: CancellationToken::new(),
            exited: CancellationToken::new(),
        };
        let (stop, exited) = (worker.stop.clone(), worker.exited.clone());
        let body = move || {
            let _alive = alive;
            let _exited = exited.drop_guard();
            PLACE.set(place);
            if let Some(activity) = activity {
                activity.adopt();
            }
            runtime.block_on(stop.cancelled());
            // A blocking closure may never return; waiting for it here would hold the end up.
            runtime.shutdown_background();
        };
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(body)
            .map_err(failed)?;
        Ok(worker)
    }

    /// Asks the thread to drop its tasks and end. Never blocks.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the thread has dropped its tasks. Cancel safe.
    pub(crate) async fn exited(&self) {
        self.exited.cancelled().await;
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exited.is_cancelled()
    }
}

/// A worker never outlives the executor that started it.
impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
