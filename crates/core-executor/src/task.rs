//! One task: what may be asked of it, what becomes of it, and the handle to wait for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How a task is run.
///
/// ```
/// use core_executor::TaskOptions;
/// use std::time::Duration;
/// let options = TaskOptions::named("thumbnail").timeout(Duration::from_secs(2)).may_block(true);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct TaskOptions {
    /// What log lines call the task.
    pub(crate) name: &'static str,
    /// Counted from the moment the task is given.
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) may_block: bool,
}

impl TaskOptions {
    /// A task with this name in the log, without a time limit.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Ends the task when this much time has passed since it was given. A future is dropped where it waits; a
    /// blocking closure that has begun cannot be interrupted, so its handle says [`TaskError::TimedOut`] while the
    /// closure runs on, and one that has not begun never does.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Ends the task at this moment, the same way. With a timeout too, the earlier one counts.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Says that the task may block its thread, so it runs on the bounded blocking lane and holds nobody up.
    pub fn may_block(mut self, may_block: bool) -> Self {
        self.may_block = may_block;
        self
    }

    /// The moment the task ends at the latest.
    pub(crate) fn limit(&self) -> Option<Instant> {
        let by_timeout = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        match (by_timeout, self.deadline) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        }
    }
}

/// Why a task has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked.
    #[error("the task panicked")]
    Panicked,
    /// It reached its timeout or deadline.
    #[error("the task reached its time limit")]
    TimedOut,
    /// It was aborted, or the executor ended first.
    #[error("the task was cancelled")]
    Cancelled,
}

/// Waits for a task's result. Dropping it lets the task go on. Cancel safe.
///
/// ```
/// use core_executor::{RuntimeExecutor, TaskError, TaskOptions};
/// use std::time::Duration;
///
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let spawner = executor.spawner();
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert_eq!(spawner.spawn(async { "done" })?.await?, "done");
///
/// let limited = TaskOptions::named("slow").timeout(Duration::from_millis(1));
/// let slow = spawner.spawn_with(limited, std::future::pending::<()>())?;
/// assert!(matches!(slow.await, Err(TaskError::TimedOut)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TaskHandle<T> {
    join: JoinHandle<Result<T, TaskError>>,
}

impl<T> TaskHandle<T> {
    pub(crate) fn new(join: JoinHandle<Result<T, TaskError>>) -> Self {
        Self { join }
    }

    /// Ends the task where it waits. A blocking closure that has begun runs on, one that has not never runs.
    pub fn abort(&self) {
        self.join.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.join).poll(cx).map(|joined| match joined {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(TaskError::Panicked),
            Err(_) => Err(TaskError::Cancelled),
        })
    }
}
