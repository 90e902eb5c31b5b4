//! What the end of an application came to.

use std::sync::Arc;

use core_executor::StopReport;

use crate::hooks::{HookOutcome, HookReport};

/// What the end of an application came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppReport {
    /// One entry a hook, in the order they were given; empty when an immediate stop left no time for them.
    pub hooks: Arc<[HookReport]>,
    /// Requests in flight when draining began, or behind them on the same connection, that got their answer.
    pub answered: u64,
    /// Requests that were unanswered at the deadline and cut, and handlers that had gone on without their client.
    pub cut: u64,
    /// What the executor's end came to, from [`App::run`](crate::App::run). `None` where the executor goes on, and
    /// where an immediate stop left nobody to wait for it.
    pub executor: Option<StopReport>,
}

impl AppReport {
    /// Whether every request was answered, every hook completed and, where it was waited for, every task ended.
    pub fn is_clean(&self) -> bool {
        let Self {
            hooks,
            answered: _,
            cut,
            executor,
        } = self;
        *cut == 0
            && executor.as_ref().is_none_or(StopReport::is_clean)
            && hooks.iter().all(|hook| hook.outcome == HookOutcome::Completed)
    }
}
