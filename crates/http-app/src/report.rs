//! What the end of an application came to.

use std::sync::Arc;

use crate::hooks::{HookOutcome, HookReport};

/// What the end of an application came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppReport {
    /// One entry a hook, in the order they were given; empty when an immediate stop left no time for them.
    pub hooks: Arc<[HookReport]>,
    /// Requests in flight when draining began, or behind them on the same connection, that got their answer.
    pub answered: u64,
    /// Connections that were cut at the deadline with a request unanswered.
    pub cut: u64,
}

impl AppReport {
    /// Whether every request was answered and every hook completed.
    pub fn is_clean(&self) -> bool {
        let Self {
            hooks,
            answered: _,
            cut,
        } = self;
        *cut == 0 && hooks.iter().all(|hook| hook.outcome == HookOutcome::Completed)
    }
}
