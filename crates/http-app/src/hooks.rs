//! Shutdown hooks: each runs once, in the order given, for a bounded time, whatever the others do.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use core_executor::{Spawner, TaskError, TaskOptions};
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

type HookFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A hook as it was given, not yet run.
pub(crate) type Hook = Box<dyn FnOnce() -> HookFuture + Send>;

/// Erases the type of a hook.
pub(crate) fn erase<F, Fut>(hook: F) -> Hook
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Box::new(move || Box::pin(hook()))
}

/// How one shutdown hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookOutcome {
    /// It ran to its end.
    Completed,
    /// It panicked; the next one ran all the same.
    Panicked,
    /// It took longer than [`AppConfig::hook_timeout`](crate::AppConfig::hook_timeout) and was dropped where it
    /// waited; a hook that blocks its thread goes on there, and nobody waits for it.
    TimedOut,
    /// The executor ended before the hook had.
    Cut,
}

/// What became of one shutdown hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookReport {
    /// Place in the order the hooks were given, from 0.
    pub index: usize,
    /// How it ended.
    pub outcome: HookOutcome,
    /// How long it took.
    pub took: Duration,
}

/// All hooks of an application and, once they were run, what became of them.
pub(crate) struct Hooks {
    /// Hooks whose turn has not come; the driver alone takes from it.
    waiting: Mutex<VecDeque<Hook>>,
    /// Set by the first caller, who starts the driver.
    begun: Mutex<bool>,
    /// How long one hook may take.
    timeout: Duration,
    /// Filled once, when the last hook has ended.
    reports: watch::Sender<Option<Arc<[HookReport]>>>,
}

impl Hooks {
    pub(crate) fn new(hooks: Vec<Hook>, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(hooks.into()),
            begun: Mutex::new(false),
            timeout,
            reports: watch::Sender::new(None),
        })
    }

    /// Runs them if nobody has, and waits until the last one has ended. Cancel safe: the hooks go on.
    pub(crate) async fn run(self: &Arc<Self>, spawner: &Spawner) -> Arc<[HookReport]> {
        let mut reports = self.reports.subscribe();
        // On the control thread, where no worker that is blocked holds it up.
        if self.is_first()
            && spawner
                .spawn_control(Arc::clone(self).drive(spawner.clone()))
                .is_err()
        {
            // The executor takes no task any more: the caller's own task has to do.
            Arc::clone(self).drive(spawner.clone()).await;
        }
        let filled = reports
            .wait_for(Option::is_some)
            .await
            .expect("the sender is a field of self");
        filled.clone().expect("waited for")
    }

    /// What became of them, once the last one has ended or whatever ran them was dropped.
    pub(crate) fn reports(&self) -> Option<Arc<[HookReport]>> {
        self.reports.borrow().clone()
    }

    fn is_first(&self) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut *begun, true)
    }

    async fn drive(self: Arc<Self>, spawner: Spawner) {
        let mut tally = Tally {
            hooks: &self,
            reports: Vec::new(),
        };
        loop {
            // A statement of its own: the lock must not live over the hook.
            let hook = self.lock_waiting().pop_front();
            let Some(hook) = hook else { break };
            let started = Instant::now();
            let index = tally.reports.len();
            // Counted as cut until it is known better: the executor may end in the middle of it.
            tally.reports.push(HookReport {
                index,
                outcome: HookOutcome::Cut,
                took: Duration::ZERO,
            });
            let outcome = run_one(hook, self.timeout, &spawner).await;
            tally.reports[index] = HookReport {
                index,
                outcome,
                took: started.elapsed(),
            };
            if outcome != HookOutcome::Completed {
                tracing::warn!(index, ?outcome, "a shutdown hook did not complete");
            }
        }
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Hook>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes the reports when the driver ends, also when it is cut, so that nobody waits for ever.
struct Tally<'a> {
    hooks: &'a Hooks,
    reports: Vec<HookReport>,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        let first_left = reports.len();
        let left = std::mem::take(&mut *self.hooks.lock_waiting()).len();
        let cut = |index| HookReport {
            index,
            outcome: HookOutcome::Cut,
            took: Duration::ZERO,
        };
        reports.extend((first_left..first_left + left).map(cut));
        self.hooks.reports.send_replace(Some(reports.into()));
    }
}

/// A hook that somebody takes exactly once: the task it was made for or, when that could not start, the driver.
type Shelf = Arc<Mutex<Option<Hook>>>;

async fn run_one(hook: Hook, timeout: Duration, spawner: &Spawner) -> HookOutcome {
    let shelf: Shelf = Arc::new(Mutex::new(Some(hook)));
    // On the blocking lane, so that a hook that blocks holds up neither a worker nor the clock that bounds it.
    let options = TaskOptions::named("shutdown hook")
        .timeout(timeout)
        .may_block(true);
    match spawner.spawn_with(options, take_and_run(Arc::clone(&shelf))) {
        Ok(task) => outcome_of(task.await),
        Err(_) => run_here(shelf, timeout).await,
    }
}

async fn run_here(shelf: Shelf, timeout: Duration) -> HookOutcome {
    match tokio::time::timeout(timeout, AssertUnwindSafe(take_and_run(shelf)).catch_unwind()).await {
        Ok(Ok(())) => HookOutcome::Completed,
        Ok(Err(_)) => HookOutcome::Panicked,
        Err(_) => HookOutcome::TimedOut,
    }
}

async fn take_and_run(shelf: Shelf) {
    let hook = shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(hook) = hook {
        hook().await;
    }
}

fn outcome_of(ended: Result<(), TaskError>) -> HookOutcome {
    match ended {
        Ok(()) => HookOutcome::Completed,
        Err(TaskError::Panicked) => HookOutcome::Panicked,
        Err(TaskError::TimedOut) => HookOutcome::TimedOut,
        Err(_) => HookOutcome::Cut,
    }
}
