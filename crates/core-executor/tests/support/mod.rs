//! What several test binaries share: bounded waiting, flags that drops set, and child processes.

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Nothing in these tests takes longer than this on purpose.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Waits for an event with a bound, so that a test that hangs fails instead.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {LONG:?} in vain for: {what}"),
    }
}

/// Waits until `condition` holds, for what tells nobody when it changes.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "waited {LONG:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Holds `bound` against the best of three measurements: a machine with other work may be late now and then.
pub(crate) async fn in_time(bound: Duration, mut measured: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..3 {
        took.push(measured().await);
        if took.last().is_some_and(|last| *last <= bound) {
            return;
        }
    }
    panic!("not once within {bound:?}: {took:?}");
}

/// Counts how many of its guards are gone.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn guard(&self) -> DropGuard {
        DropGuard(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) struct DropGuard(Arc<AtomicUsize>);

impl DropGuard {
    /// Counts nothing any more.
    pub(crate) fn disarm(mut self) {
        self.0 = Arc::default();
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Blocks threads on purpose; not longer than a test may take, so that a failing one leaves none behind.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Blocks the thread.
    pub(crate) fn block(&self) {
        let begin = Instant::now();
        while !self.0.load(Ordering::SeqCst) && begin.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Set in a child process to say which part it plays.
pub(crate) const ROLE: &str = "CORE_EXECUTOR_TEST_ROLE";

/// Whether this process is the child of the test `role`.
pub(crate) fn is_child(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|value| value == role)
}

/// This test binary again, running only `test`, after `prelude` in a shell (for example `ulimit -n 64;`).
pub(crate) fn child_command(test: &str, prelude: &str) -> Command {
    let binary = std::env::current_exe().expect("a running test has a path");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{prelude} exec \"$0\" \"$@\""))
        .arg(binary)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, test)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A child that is killed when the test ends early.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
