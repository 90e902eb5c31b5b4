//! The one way to start a task: tracked, counted, bounded.

use crate::activity::{About, Activity, Observed};
use crate::blocking::BlockingLane;
use crate::drain::Drain;
use crate::guarded::Guarded;
use crate::metrics::TaskLease;
use crate::slots::{Slot, Slots};
use crate::sync::TaskTrackerToken;
use crate::tracker::{Admitted, Tracker};
use crate::unfinished::UnfinishedNames;
use crate::work_label::Labels;
use crate::worker::current_index;
use crate::{ConnectionBudget, ExecutorError, ExecutorMetrics, ShutdownHandle, ShutdownSignal};
use crate::{TaskError, TaskHandle, TaskOptions, WorkLabel};
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{EnterGuard, Handle};
use tokio::time::Instant;

/// Where tasks run.
pub(crate) enum Lanes {
    /// Threads of our own: connections and tasks on `workers`, the blocking lane and what deals out to several workers
    /// on `control`.
    Own {
        id: u64,
        workers: Box<[Handle]>,
        control: Handle,
        next: AtomicUsize,
    },
    /// A runtime that somebody else owns.
    Foreign { handle: Handle },
}

pub(crate) struct SpawnerShared {
    pub(crate) lanes: Lanes,
    pub(crate) tracker: Tracker,
    /// What each worker of ours runs at the moment.
    pub(crate) workers: Box<[Arc<Activity>]>,
    pub(crate) labels: Labels,
    /// What was cut, by name.
    pub(crate) unfinished: UnfinishedNames,
    pub(crate) blocking: BlockingLane,
    /// Places of the connections of all servers.
    pub(crate) budget: ConnectionBudget,
    pub(crate) metrics: ExecutorMetrics,
    pub(crate) shutdown: ShutdownHandle,
    pub(crate) signal: ShutdownSignal,
}

/// Starts tasks on the executor. Clone it freely; it keeps no thread alive.
///
/// A task lives until it ends, is aborted, reaches its limit, or the executor ends. Which worker runs a task is not
/// promised.
#[derive(Clone)]
pub struct Spawner {
    pub(crate) shared: Arc<SpawnerShared>,
}

impl Spawner {
    /// Starts a task without a time limit.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor stops, [`ExecutorError::Full`] at the limit of tasks.
    pub fn spawn<F>(&self, future: F) -> Result<TaskHandle<F::Output>, ExecutorError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(TaskOptions::named("task"), future)
    }

    /// Starts a task that nobody waits for.
    ///
    /// # Errors
    /// As [`Spawner::spawn`].
    pub fn post(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<(), ExecutorError> {
        self.spawn(future).map(drop)
    }

    /// Starts a task with a name, a time limit, or on the blocking lane.
    ///
    /// # Errors
    /// As [`Spawner::spawn`]; for a task that may block also when the blocking lane is full.
    pub fn spawn_with<F>(
        &self,
        options: TaskOptions,
        future: F,
    ) -> Result<TaskHandle<F::Output>, ExecutorError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if options.may_block {
            let handle = self.control().clone();
            let limited = cut_by(
                Some(self.shared.tracker.cut.clone()),
                within(options.limit(), future),
            );
            return self.run_blocking(options, move || handle.block_on(limited));
        }
        let (lease, _coming) = self.admit()?;
        let label = self.shared.labels.of_name(options.name);
        let future = Observed::new(About::label(label), self.observed(options, lease, future));
        let future = self
            .shared
            .tracker
            .tasks
            .track_future(cut_by(self.cut_of_workers(), future));
        Ok(TaskHandle::new(self.next_worker().spawn(future)))
    }

    /// Runs a closure that blocks on the bounded blocking lane.
    ///
    /// # Errors
    /// As [`Spawner::spawn`], and [`ExecutorError::Full`] when the lane's queue is full.
    pub fn spawn_blocking<F, T>(&self, options: TaskOptions, work: F) -> Result<TaskHandle<T>, ExecutorError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.run_blocking(options, move || Ok(work()))
    }

    /// Starts a long-lived task of a server: a connection, a session, a sweeper. It is tracked, is not waited for by
    /// `wait_idle`, and runs on the calling worker when there is one.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor stops.
    pub fn spawn_service(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        self.spawn_on(self.here(), self.cut_of_workers(), About::SERVICE, future)
    }

    /// The same for a task of which every turn is about one thing: when it blocks its worker it is named by `label`
    /// from the eight little-endian bytes of `number`, unless something else is [noted](WorkLabel::note) in that turn.
    /// Cheaper than to note it in each. A label of another executor says nothing.
    ///
    /// # Errors
    /// As [`Spawner::spawn_service`].
    pub fn spawn_labelled(
        &self,
        label: &WorkLabel,
        number: u64,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        let about = self.shared.labels.about(label, number);
        self.spawn_on(self.here(), self.cut_of_workers(), about, future)
    }

    /// The same on the next worker in turn, for connections.
    pub(crate) fn deal(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        self.spawn_on(self.next_worker(), self.cut_of_workers(), About::SERVICE, future)
    }

    /// The same on the control thread, which runs signals and the end: no handler can hold it up.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor stops.
    pub fn spawn_control(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        let cut = Some(self.shared.tracker.cut.clone());
        self.spawn_on(self.control(), cut, About::SERVICE, future)
    }

    /// The same for what accept loops and clocks do: on the one worker, where there is one, so that nothing is handed
    /// from thread to thread, else on the control thread.
    ///
    /// A callback that blocks the only worker holds nobody up who could be served meanwhile.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor stops.
    pub fn spawn_near(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<(), ExecutorError> {
        match self.only_worker() {
            Some(worker) => self.spawn_on(worker, self.cut_of_workers(), About::SERVICE, future),
            None => self.spawn_control(future),
        }
    }

    /// A label for what a server's tasks do, with which they can be named when they block their worker. `describe`
    /// makes the name of what was [noted](WorkLabel::note), on the control thread: it should be quick.
    pub fn work_label(&self, describe: impl Fn(&[u8]) -> String + Send + Sync + 'static) -> WorkLabel {
        self.shared.labels.described(Arc::new(describe))
    }

    /// Counts something that is cut at the end, by a name that no client chose: [`StopReport`](crate::StopReport) has
    /// it, and the log the first of each name.
    pub fn note_unfinished(&self, what: String) {
        let unfinished = &self.shared.unfinished;
        if unfinished.count(what.clone()) {
            tracing::warn!(%what, "cut before its end");
        }
    }

    /// Where connections are served, when that is one place.
    pub(crate) fn only_worker(&self) -> Option<&Handle> {
        match &self.shared.lanes {
            Lanes::Own { workers, .. } => workers.first().filter(|_| workers.len() == 1),
            Lanes::Foreign { handle } => Some(handle),
        }
    }

    /// The handle that asks the application to stop.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shared.shutdown.clone()
    }

    /// The signal that hears of it.
    pub fn shutdown_signal(&self) -> ShutdownSignal {
        self.shared.signal.clone()
    }

    /// The places for connections, which all servers of the executor share.
    pub fn connection_budget(&self) -> ConnectionBudget {
        self.shared.budget.clone()
    }

    pub(crate) fn enter_control(&self) -> EnterGuard<'_> {
        self.control().enter()
    }

    pub(crate) fn control(&self) -> &Handle {
        match &self.shared.lanes {
            Lanes::Own { control, .. } => control,
            Lanes::Foreign { handle } => handle,
        }
    }

    fn here(&self) -> &Handle {
        match &self.shared.lanes {
            Lanes::Own { id, workers, .. } => match current_index(*id) {
                Some(index) => &workers[index],
                None => self.next_worker(),
            },
            Lanes::Foreign { handle } => handle,
        }
    }

    fn next_worker(&self) -> &Handle {
        match &self.shared.lanes {
            Lanes::Own { workers, next, .. } => {
                &workers[next.fetch_add(1, Ordering::Relaxed) % workers.len()]
            }
            Lanes::Foreign { handle } => handle,
        }
    }

    /// A task on our own workers ends with its thread and needs nothing to watch.
    fn cut_of_workers(&self) -> Option<Arc<Drain>> {
        match &self.shared.lanes {
            Lanes::Own { .. } => None,
            Lanes::Foreign { .. } => Some(self.shared.tracker.cut.clone()),
        }
    }

    fn spawn_on(
        &self,
        handle: &Handle,
        cut: Option<Arc<Drain>>,
        about: About,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        self.shared.tracker.check_open()?;
        let guarded = Guarded::new(&self.shared.metrics, future);
        let future = Observed::new(about, guarded);
        // Not one call for both: a task that nothing cuts would pay for the room that cutting takes.
        match cut {
            None => handle.spawn(self.shared.tracker.services.track_future(future)),
            Some(_) => handle.spawn(self.shared.tracker.services.track_future(cut_by(cut, future))),
        };
        Ok(())
    }

    fn admit(&self) -> Result<(TaskLease, TaskTrackerToken), ExecutorError> {
        let admitted = self.shared.tracker.admit();
        let Admitted { slot, coming } = admitted.inspect_err(|_| self.shared.metrics.count_rejected())?;
        Ok((self.shared.metrics.submit(slot), coming))
    }

    /// The same for a task that needs another place besides.
    pub(crate) fn admit_to(
        &self,
        places: &Slots,
    ) -> Result<(TaskLease, TaskTrackerToken, Slot), ExecutorError> {
        let place = self.shared.tracker.check_open().and_then(|()| places.take());
        let place = place.inspect_err(|_| self.shared.metrics.count_rejected())?;
        let (lease, coming) = self.admit()?;
        Ok((lease, coming, place))
    }

    async fn run_observed<F: Future>(
        metrics: ExecutorMetrics,
        options: TaskOptions,
        mut lease: TaskLease,
        limit: Option<Instant>,
        future: F,
    ) -> Result<F::Output, TaskError> {
        lease.begin();
        match AssertUnwindSafe(within(limit, future)).catch_unwind().await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                timed_out(&metrics, options.name);
                Err(error)
            }
            Err(_) => Err(panicked(&metrics, options.name)),
        }
    }

    fn observed<F>(
        &self,
        options: TaskOptions,
        lease: TaskLease,
        future: F,
    ) -> impl Future<Output = Result<F::Output, TaskError>> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Self::run_observed(
            self.shared.metrics.clone(),
            options,
            lease,
            options.limit(),
            future,
        )
    }
}

impl std::fmt::Debug for Spawner {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Spawner")
            .field("tasks", &self.shared.tracker.tasks.len())
            .finish_non_exhaustive()
    }
}

/// Runs a future until `cut`. Once that is said the future is not polled again: what it needs may be gone.
pub(crate) async fn cut_by<F>(cut: Option<Arc<Drain>>, future: F) -> F::Output
where
    F: Future,
    F::Output: Cut,
{
    let Some(cut) = cut else { return future.await };
    tokio::select! {
        biased;
        () = cut.begun() => F::Output::cut(),
        output = future => output,
    }
}

/// What a task's result is when it was cut.
pub(crate) trait Cut {
    fn cut() -> Self;
}

impl Cut for () {
    fn cut() -> Self {}
}

impl<T> Cut for Result<T, TaskError> {
    fn cut() -> Self {
        Err(TaskError::Cancelled)
    }
}

/// Runs a future up to a moment.
pub(crate) async fn within<F: Future>(limit: Option<Instant>, future: F) -> Result<F::Output, TaskError> {
    match limit {
        None => Ok(future.await),
        Some(limit) => tokio::time::timeout_at(limit, future)
            .await
            .map_err(|_| TaskError::TimedOut),
    }
}

pub(crate) fn timed_out(metrics: &ExecutorMetrics, name: &str) {
    metrics.count_timed_out();
    tracing::warn!(task = name, "a task reached its time limit");
}

pub(crate) fn panicked(metrics: &ExecutorMetrics, name: &str) -> TaskError {
    metrics.count_panicked();
    tracing::error!(task = name, "a task panicked");
    TaskError::Panicked
}
