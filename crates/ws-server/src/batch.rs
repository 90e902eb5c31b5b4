//! What the handlers of one wake-up send: gathered, so that each session is written to once and not once a message.

use std::cell::Cell;

use crate::session::Session;

/// Whether a message is written at once or held until the end of the wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing is under way on this thread that would write later.
    Never,
    /// The first message to a session in this wake-up is written, those behind it are held.
    Repeated(u32),
    /// More messages of the same read are to be handled: everything is held.
    Always,
}

thread_local! {
    static HOLD: Cell<Hold> = const { Cell::new(Hold::Never) };
    /// Whether `LISTED` has any.
    static HAS_LISTED: Cell<bool> = const { Cell::new(false) };
    static WAKE_UP: Cell<u32> = const { Cell::new(0) };
    /// Sessions with held messages.
    static LISTED: Cell<Vec<Session>> = const { Cell::new(Vec::new()) };
}

/// Sessions that the list keeps room for between two wake-ups.
const KEPT: usize = 4096;

/// What holds for a message that is sent on this thread now.
pub(crate) fn hold() -> Hold {
    HOLD.get()
}

/// Remembers a session with held messages.
pub(crate) fn list(session: &Session) {
    let mut listed = LISTED.take();
    listed.push(session.clone());
    LISTED.set(listed);
    HAS_LISTED.set(true);
}

/// One wake-up of a session's task. Nothing is held any more once it is dropped.
#[derive(Debug)]
pub(crate) struct Batch(());

impl Batch {
    pub(crate) fn begin() -> Self {
        let number = WAKE_UP.get().wrapping_add(1);
        WAKE_UP.set(number);
        HOLD.set(Hold::Repeated(number));
        Self(())
    }

    /// More messages of the same read follow.
    pub(crate) fn hold_all() {
        HOLD.set(Hold::Always);
    }

    pub(crate) fn holds_all() -> bool {
        HOLD.get() == Hold::Always
    }

    /// The messages of this read are handled.
    pub(crate) fn hold_repeated() {
        HOLD.set(Hold::Repeated(WAKE_UP.get()));
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        HOLD.set(Hold::Never);
        if HAS_LISTED.replace(false) {
            flush(&mut LISTED.take());
        }
    }
}

/// Sessions whose held messages are still to be written. Dropping it writes them.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<Session>);

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes what is held on this thread for at most so many sessions, the longest listed first.
    #[inline]
    pub(crate) fn write(&mut self, budget: usize) {
        if HAS_LISTED.get() || !self.0.is_empty() {
            self.write_some(budget);
        }
    }

    #[inline(never)]
    fn write_some(&mut self, budget: usize) {
        HAS_LISTED.set(false);
        let mut listed = LISTED.take();
        if self.0.is_empty() && listed.len() <= budget {
            flush(&mut listed);
        } else {
            self.0.append(&mut listed);
            let rest = self.0.split_off(budget.min(self.0.len()));
            flush(&mut self.0);
            self.0 = rest;
        }
        if listed.capacity() <= KEPT {
            LISTED.set(listed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        flush(&mut self.0);
    }
}

fn flush(sessions: &mut Vec<Session>) {
    for session in sessions.drain(..) {
        session.write_held();
    }
}
