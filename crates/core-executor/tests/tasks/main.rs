//! Tasks: started, limited, counted, and ended with their executor.
#![allow(clippy::unwrap_used)]

mod blocking;
mod dropping;
mod end;
mod foreign;
mod spawning;

#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use core_executor::{ExecutorConfig, ExecutorMetrics, RuntimeExecutor};

/// Two workers, small limits.
fn small() -> ExecutorConfig {
    ExecutorConfig {
        threads: 2,
        blocking_threads: 1,
        blocking_queue: 2,
        max_tasks: 8,
        ..ExecutorConfig::default()
    }
}

fn executor(config: ExecutorConfig) -> RuntimeExecutor {
    RuntimeExecutor::new(config).unwrap()
}

/// (submitted, pending, active, rejected, timed out, panicked)
fn counts(metrics: &ExecutorMetrics) -> (u64, u64, u64, u64, u64, u64) {
    (
        metrics.submitted(),
        metrics.pending(),
        metrics.active(),
        metrics.rejected(),
        metrics.timed_out(),
        metrics.panicked(),
    )
}
