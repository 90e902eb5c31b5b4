//! The executor: owns the threads, the tracker and the shutdown pair.

use crate::StopCause;
use crate::Unfinished;
use crate::activity::Activity;
use crate::blocking::BlockingLane;
use crate::shutdown::{self, Courier};
use crate::spawner::{Lanes, SpawnerShared};
use crate::tracker::Tracker;
use crate::unfinished::UnfinishedNames;
use crate::watchdog::{name_stuck, watch};
use crate::work_label::Labels;
use crate::worker::Worker;
use crate::{BudgetConfig, ConnectionBudget};
use crate::{Env, EnvError, ExecutorError, ExecutorMetrics, ShutdownHandle, ShutdownSignal, Spawner};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long after its deadline the end still waits for threads that are just leaving.
const LEAVING: Duration = Duration::from_millis(50);

/// How an executor is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct ExecutorConfig {
    /// Worker threads, 1 to 1024; 0 = one per core. Default 0. Setting `SERVER_IO_THREADS`.
    pub threads: usize,
    /// Threads of the blocking lane, at least 1. Default 32.
    pub blocking_threads: usize,
    /// Blocking closures that may wait for a thread of the lane. Default 1024.
    pub blocking_queue: usize,
    /// Tasks that may wait or run at once, connections and sessions not counted. Default 100 000.
    pub max_tasks: usize,
    /// From the wish to stop to the end of everything. Default 30 s. Setting `SHUTDOWN_DEADLINE`.
    pub shutdown_deadline: Duration,
    /// How long listeners stay open after the wish to stop, for load balancers to look elsewhere. Counts towards the
    /// deadline. Default 0 s. Setting `SHUTDOWN_READY_DELAY`.
    pub ready_delay: Duration,
    /// How many connections all servers of the executor may have together.
    pub connections: BudgetConfig,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            threads: 0,
            blocking_threads: 32,
            blocking_queue: 1024,
            max_tasks: 100_000,
            shutdown_deadline: Duration::from_secs(30),
            ready_delay: Duration::ZERO,
            connections: BudgetConfig::default(),
        }
    }
}

impl ExecutorConfig {
    /// The defaults with `SERVER_IO_THREADS`, `SHUTDOWN_DEADLINE`, `SHUTDOWN_READY_DELAY` and the settings of
    /// [`BudgetConfig`] applied.
    ///
    /// # Errors
    /// When the first is not a whole number from 0 to 1024, one of the next two is no time in seconds, or
    /// [`BudgetConfig::from_env`] fails.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let usual = Self::default();
        let threads = env.number("SERVER_IO_THREADS", 0, 0..=1024)?;
        Ok(Self {
            threads: threads as usize,
            shutdown_deadline: env.seconds("SHUTDOWN_DEADLINE", usual.shutdown_deadline.as_secs())?,
            ready_delay: env.seconds("SHUTDOWN_READY_DELAY", usual.ready_delay.as_secs())?,
            connections: BudgetConfig::from_env(env)?,
            ..usual
        })
    }

    fn worker_count(&self) -> Result<usize, ExecutorError> {
        match self.threads {
            0 => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
            threads @ 1..=1024 => Ok(threads),
            threads => Err(ExecutorError::Threads { threads }),
        }
    }
}

/// What the end of an executor came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Tasks that were still waiting or running at the deadline and were cut, one that blocks its worker included.
    pub cut_tasks: usize,
    /// Worker threads that did not come back: a callback blocks them. They are left behind.
    pub stuck_workers: usize,
    /// Blocking closures that were still running. They cannot be interrupted, are left behind, and do not count as
    /// cut; one that had not begun never runs and does.
    pub stuck_blocking: usize,
    /// What was cut or did not come back, by name, where it has one: requests, and what holds up the stuck workers.
    pub unfinished: Arc<[Unfinished]>,
    /// Times in its life that a worker was held up for half a second by one turn of a task.
    pub stalls: u64,
}

impl StopReport {
    /// Whether everything ended by itself.
    pub fn is_clean(&self) -> bool {
        self.cut_tasks == 0 && self.stuck_workers == 0 && self.stuck_blocking == 0
    }
}

/// Threads, the tracker of every task on them, and the shutdown pair.
///
/// One current-thread runtime per worker thread serves connections and tasks; one control thread keeps the deadlines
/// and runs the end, so that a worker that is held up cannot hold those up; it also accepts connections for several
/// workers, where one worker accepts for itself. Dropping the executor asks everything to stop, lets go of it, and
/// never blocks or panics, on whatever thread.
#[must_use = "dropping the executor asks everything on it to stop"]
pub struct RuntimeExecutor {
    spawner: Spawner,
    config: ExecutorConfig,
    /// Empty on a runtime that is not ours.
    workers: Vec<Worker>,
    /// Held to end with the executor. `None` on a runtime that is not ours.
    _control: Option<Worker>,
}

impl RuntimeExecutor {
    /// Starts the threads.
    ///
    /// # Errors
    /// When more than 1024 threads are asked for or the operating system refuses one.
    pub fn new(config: ExecutorConfig) -> Result<Self, ExecutorError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let blocking_threads = config.blocking_threads.max(1);
        let pair = shutdown::pair();
        let alive = Arc::new(EndOfThreads(pair.0.clone()));
        let start =
            |name, place, activity| Worker::start(name, place, blocking_threads, activity, alive.clone());
        let worker_count = config.worker_count()?;
        let control = start("rt-control".to_owned(), None, None)?;
        let activities: Box<[_]> = (0..worker_count).map(|_| Arc::new(Activity::new(id))).collect();
        let workers = activities.iter().enumerate().map(|(index, activity)| {
            start(
                format!("rt-worker-{index}"),
                Some((id, index)),
                Some(activity.clone()),
            )
        });
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        let lanes = Lanes::Own {
            id,
            workers: workers.iter().map(|worker| worker.handle.clone()).collect(),
            control: control.handle.clone(),
            next: AtomicUsize::new(0),
        };
        let (spawner, courier) = make_spawner(lanes, activities, &config, pair);
        control.handle.spawn(courier.run());
        control.handle.spawn(watch(Arc::downgrade(&spawner.shared)));
        Ok(Self {
            spawner,
            config,
            workers,
            _control: Some(control),
        })
    }

    /// Starts `threads` worker threads, 0 = one per core.
    ///
    /// # Errors
    /// As [`RuntimeExecutor::new`].
    pub fn with_threads(threads: usize) -> Result<Self, ExecutorError> {
        Self::new(ExecutorConfig {
            threads,
            ..ExecutorConfig::default()
        })
    }

    /// Uses the tokio runtime this is called on, for programs under `#[tokio::main]`.
    ///
    /// Its threads are never stopped by us: at the end our tasks on it are cancelled where they wait. What is
    /// promised about deadlines holds as far as that runtime is not blocked by others. The blocking lane is the
    /// runtime's own, bounded by our queue.
    ///
    /// # Errors
    /// [`ExecutorError::NoRuntime`] outside of a runtime.
    pub fn on_current() -> Result<Self, ExecutorError> {
        Self::on_current_with(ExecutorConfig::default())
    }

    /// The same with limits and deadlines of your own; the numbers of threads have no meaning here.
    ///
    /// # Errors
    /// [`ExecutorError::NoRuntime`] outside of a runtime.
    pub fn on_current_with(config: ExecutorConfig) -> Result<Self, ExecutorError> {
        let handle = Handle::try_current().map_err(|_| ExecutorError::NoRuntime)?;
        let lanes = Lanes::Foreign {
            handle: handle.clone(),
        };
        let (spawner, courier) = make_spawner(lanes, Box::default(), &config, shutdown::pair());
        let told = EndOfThreads(spawner.shutdown_handle());
        handle.spawn(attend_foreign(spawner.clone(), courier, told));
        Ok(Self {
            spawner,
            config,
            workers: Vec::new(),
            _control: None,
        })
    }

    /// What starts tasks. Clone it freely.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// What asks the application to stop. Exists before anything is started.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.spawner.shutdown_handle()
    }

    /// What hears that a stop was asked for.
    pub fn shutdown_signal(&self) -> ShutdownSignal {
        self.spawner.shutdown_signal()
    }

    /// How it was made.
    pub fn config(&self) -> &ExecutorConfig {
        &self.config
    }

    /// Worker threads of our own; 0 on a runtime that is not ours.
    pub fn threads(&self) -> usize {
        self.workers.len()
    }

    /// The counters, live.
    pub fn metrics(&self) -> ExecutorMetrics {
        self.spawner.shared.metrics.clone()
    }

    /// Waits until no task of the application waits or runs. Servers' own tasks are not counted. Cancel safe.
    pub async fn wait_idle(&self) {
        self.spawner.shared.tracker.tasks.wait().await;
    }

    /// Asks every task to go and lets go of the threads. Never blocks; the same as dropping.
    pub fn stop(self) {}

    /// Takes no new task, waits for the application's tasks up to `deadline` from now, then ends everything.
    ///
    /// Tasks of servers are ended without waiting: their servers have been closed before, or are cut here. When this
    /// returns, no task of ours runs, except what [`StopReport`] counts as stuck. Not cancel safe: dropping the
    /// future half-way drops the executor, which ends everything at once.
    pub async fn stop_and_wait(self, deadline: Duration) -> StopReport {
        let until = moment_after(deadline);
        let shared = self.spawner.shared.clone();
        shared.shutdown.request_stop();
        let unfinished = shared.tracker.finish(tokio::time::sleep_until(until)).await;
        let left = until.max(Instant::now() + LEAVING);
        self.end_tasks(left).await;
        let stuck_blocking = shared.blocking.running();
        name_stuck(&shared, |index| !self.workers[index].has_exited());
        let report = StopReport {
            cut_tasks: unfinished.saturating_sub(stuck_blocking),
            stuck_workers: self.workers.iter().filter(|worker| !worker.has_exited()).count(),
            stuck_blocking,
            unfinished: shared.unfinished.all(),
            stalls: shared.metrics.stalls(),
        };
        drop(self);
        shared.shutdown.mark_ended();
        report
    }

    /// Runs the one task that outlives all others and ends them: it gets the executor and is tracked by nobody.
    ///
    /// It runs even when a stop was asked for already: somebody has to carry that out.
    pub fn conduct<F, Fut>(self, conductor: F)
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let control = self.spawner.control().clone();
        control.spawn(conductor(self));
    }

    async fn end_tasks(&self, until: Instant) {
        for worker in &self.workers {
            worker.stop();
        }
        self.spawner.shared.tracker.cut();
        let gone = async {
            for worker in &self.workers {
                worker.exited().await;
            }
            self.spawner.shared.tracker.gone().await;
        };
        // What does not come back in time is counted by the caller.
        let _ = tokio::time::timeout_at(until, gone).await;
    }
}

impl Drop for RuntimeExecutor {
    fn drop(&mut self) {
        let shared = &self.spawner.shared;
        shared.shutdown.request_stop_because(StopCause::Dropped);
        shared.tracker.cut();
    }
}

impl std::fmt::Debug for RuntimeExecutor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RuntimeExecutor")
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

fn make_spawner(
    lanes: Lanes,
    workers: Box<[Arc<Activity>]>,
    config: &ExecutorConfig,
    (shutdown, signal, courier): (ShutdownHandle, ShutdownSignal, Courier),
) -> (Spawner, Courier) {
    let owner = match &lanes {
        Lanes::Own { id, .. } => *id,
        // No worker is its own.
        Lanes::Foreign { .. } => 0,
    };
    let shared = SpawnerShared {
        lanes,
        workers,
        labels: Labels::new(owner),
        unfinished: UnfinishedNames::default(),
        tracker: Tracker::new(config.max_tasks),
        blocking: BlockingLane::new(config.blocking_threads.max(1), config.blocking_queue),
        budget: ConnectionBudget::new(config.connections.clone()),
        metrics: ExecutorMetrics::new(),
        shutdown,
        signal,
    };
    (
        Spawner {
            shared: Arc::new(shared),
        },
        courier,
    )
}

/// `Instant` has an end, deadlines given by users have none.
fn moment_after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    Instant::now() + time.min(FAR)
}

/// The courier on a runtime that is not ours, and the end of our tasks there. `_told` is given and not made here, so
/// that the end is told also when that runtime goes first and drops this task before its first turn.
async fn attend_foreign(spawner: Spawner, courier: Courier, _told: EndOfThreads) {
    let shared = spawner.shared;
    tokio::select! {
        biased;
        () = shared.tracker.cut.begun() => {}
        () = courier.run() => {}
    }
    shared.tracker.cut.begun().await;
    shared.tracker.gone().await;
}

/// Held by every thread of ours: when the last one has dropped its tasks, the executor has ended.
pub(crate) struct EndOfThreads(ShutdownHandle);

impl Drop for EndOfThreads {
    fn drop(&mut self) {
        self.0.mark_ended();
    }
}
