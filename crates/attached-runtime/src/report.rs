//! What the end came to.

use core_executor::{StopCause, StopReport, Unfinished};
use http_app::{HookOutcome, HookReport};
use std::fmt;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;
use ws_server::WsReport;

/// What the end of an application came to. Given by `run`, `serve` and `finalize_shutdown`, and logged.
///
/// Returned from `main` it becomes the exit code, see [`ShutdownReport::code`].
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "it says what was cut, and is the exit code"]
pub struct ShutdownReport {
    /// Who asked first.
    pub cause: StopCause,
    /// From the wish to stop to the end.
    pub took: Duration,
    /// Whether a second signal (or an immediate stop) cut the wait.
    pub forced: bool,
    /// One entry per shutdown hook, in the order given; the last one is ours.
    pub hooks: Arc<[HookReport]>,
    /// Requests that were under way, or came while draining, and were answered completely; polls and streams among
    /// them.
    pub requests_answered: u64,
    /// Requests that were still under way at the deadline; polls and streams among them.
    pub requests_cut: u64,
    /// Polls and SSE streams that were waiting and were answered at once.
    pub polls_answered: u64,
    /// What became of the WebSocket sessions.
    pub websocket: WsReport,
    /// What became of the tasks and threads.
    pub executor: StopReport,
}

impl ShutdownReport {
    /// Whether everything ended by itself: every Close was sent and every answer given within the deadline.
    pub fn is_clean(&self) -> bool {
        let WsReport {
            cut_off,
            cut_handlers,
            ..
        } = self.websocket;
        self.requests_cut == 0 && cut_off == 0 && cut_handlers == 0 && self.executor.is_clean()
    }

    /// Shutdown hooks that panicked, took too long or were cut. They do not change the exit code.
    pub fn failed_hooks(&self) -> usize {
        let failed = |hook: &&HookReport| hook.outcome != HookOutcome::Completed;
        self.hooks.iter().filter(failed).count()
    }

    /// The exit code of the process: 0 = every Close was sent and every answer given within the deadline, whether or
    /// not the peer answered; 2 = something was cut at the deadline; 3 = a second signal cut the wait. (1 is an error
    /// at the start.)
    pub fn code(&self) -> u8 {
        match (self.forced, self.is_clean()) {
            (true, _) => 3,
            (false, true) => 0,
            (false, false) => 2,
        }
    }
}

impl Termination for ShutdownReport {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WsReport {
            sessions,
            closed_cleanly,
            unanswered,
            left,
            cut_off,
            undelivered_messages,
            cut_handlers,
            ..
        } = &self.websocket;
        let StopReport {
            cut_tasks,
            stuck_workers,
            stuck_blocking,
            unfinished,
            ..
        } = &self.executor;
        write!(
            out,
            "stopped in {:?} ({:?}): hooks {} completed, {} failed; requests {} answered, {} cut; \
             polls {} answered; sessions {sessions}: {closed_cleanly} closed, \
             {unanswered} without the peer's answer, {left} left before, {cut_off} cut, \
             {undelivered_messages} messages undelivered, {cut_handlers} handlers cut; tasks {cut_tasks} cut, workers {stuck_workers} stuck, \
             blocking closures {stuck_blocking} stuck{}",
            self.took,
            self.cause,
            self.hooks.len() - self.failed_hooks(),
            self.failed_hooks(),
            self.requests_answered,
            self.requests_cut,
            self.polls_answered,
            if self.forced { "; forced" } else { "" },
        )?;
        for Unfinished { what, count, .. } in unfinished.iter() {
            write!(out, "; not finished: {what} ({count})")?;
        }
        Ok(())
    }
}
