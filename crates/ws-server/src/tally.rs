//! How the sessions ended that a stop had to end.

use crate::registry::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// Counts by outcome; they move from the wish to stop on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    clean: AtomicU64,
    unanswered: AtomicU64,
    left: AtomicU64,
    cut: AtomicU64,
    undelivered: AtomicU64,
    handlers: AtomicU64,
}

/// What a stop came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WsReport {
    /// Sessions that ended between the wish to stop and the end: the sum of the four below.
    pub sessions: u64,
    /// Close sent and answered; for a session that polls or streams over HTTP: the answer that says so was given.
    pub closed_cleanly: u64,
    /// Close sent; the peer ended the connection or stayed silent for the close timeout.
    pub unanswered: u64,
    /// The peer was gone before its Close could be sent, or no transport carried its session.
    pub left: u64,
    /// Cut off: no Close could be sent before the deadline or the close timeout.
    pub cut_off: u64,
    /// Messages that were queued and not written.
    pub undelivered_messages: u64,
    /// Handlers that were still running when their time was up and were dropped where they waited. Their sessions
    /// got their Close all the same.
    pub cut_handlers: u64,
}

impl Tally {
    pub(crate) fn count(&self, outcome: Outcome, undelivered: u64) {
        let counter = match outcome {
            Outcome::Clean => &self.clean,
            Outcome::Unanswered => &self.unanswered,
            Outcome::Left => &self.left,
            Outcome::Cut => &self.cut,
        };
        counter.fetch_add(1, Ordering::SeqCst);
        self.undelivered.fetch_add(undelivered, Ordering::SeqCst);
    }

    pub(crate) fn count_cut_handler(&self) {
        self.handlers.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn report(&self) -> WsReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let (closed_cleanly, unanswered) = (read(&self.clean), read(&self.unanswered));
        let (left, cut_off) = (read(&self.left), read(&self.cut));
        WsReport {
            sessions: closed_cleanly + unanswered + left + cut_off,
            closed_cleanly,
            unanswered,
            left,
            cut_off,
            undelivered_messages: read(&self.undelivered),
            cut_handlers: read(&self.handlers),
        }
    }
}
