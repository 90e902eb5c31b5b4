//! What the handlers of one wake-up send: gathered, so that each session is written to once and not once a message.

use std::cell::Cell;

use crate::session::{Session, SessionId};

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

/// Who has held messages.
#[derive(Debug, Clone, Copy, Default)]
struct Holders {
    /// The session whose task is awake: most often it is the only one.
    own: bool,
    /// Those in the list.
    others: bool,
}

thread_local! {
    static HOLD: Cell<Hold> = const { Cell::new(Hold::Never) };
    static WAKE_UP: Cell<u32> = const { Cell::new(0) };
    /// Number of the session whose task is awake, or was last.
    static OWN: Cell<u64> = const { Cell::new(0) };
    static HOLDERS: Cell<Holders> = const { Cell::new(Holders { own: false, others: false }) };
    /// Other sessions with held messages.
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
    let own = OWN.get() == session.id().get();
    let holders = HOLDERS.get();
    HOLDERS.set(Holders {
        own: holders.own | own,
        others: holders.others | !own,
    });
    if !own {
        let mut listed = LISTED.take();
        listed.push(session.clone());
        LISTED.set(listed);
    }
}

/// One wake-up of a session's task. Nothing of other sessions is held any more once it is dropped.
#[derive(Debug)]
pub(crate) struct Batch(());

impl Batch {
    pub(crate) fn begin(own: SessionId) -> Self {
        OWN.set(own.get());
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
        if HOLDERS.get().others {
            HOLDERS.set(Holders::default());
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

    /// Writes what is held on this thread for the session whose task is awake, and for at most so many others, the
    /// longest listed first.
    #[inline]
    pub(crate) fn write(&mut self, own: &Session, budget: usize) {
        let holders = HOLDERS.get();
        if holders.own || holders.others || !self.0.is_empty() {
            HOLDERS.set(Holders::default());
            if holders.own {
                own.write_held();
            }
            self.write_some(budget);
        }
    }

    #[inline(never)]
    fn write_some(&mut self, budget: usize) {
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
