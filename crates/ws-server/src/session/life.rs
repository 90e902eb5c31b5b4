//! The life of a session: who begins it, who ends it, and who owes it its `on_close`.

use crate::sync::Mutex;

/// How far a session has come; it only ever goes on. Two bytes, because each idle session has one.
#[derive(Debug, Default)]
pub(crate) struct Life(Mutex<Stage>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Coming,
    /// `on_open` runs.
    Opening,
    Open,
    /// Somebody ends it, and `on_open` still runs.
    Ending,
    /// Somebody ends it, and `on_open` is over.
    EndingOpened,
    /// It has ended but for the callbacks, which whoever runs `on_open` owes it.
    Owed,
    Ended,
}

/// What there is to do for whoever ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing: somebody else did.
    Over,
    /// Nobody has heard of it.
    Unheard,
    /// Everything but the callbacks, and then [`Life::owe`].
    Opening,
    /// Everything.
    Open,
}

impl Life {
    /// From here on one `on_open`, if there is one to run, and one `on_close` are certain. `false`: it was ended before.
    pub(crate) fn begin(&self, runs_on_open: bool) -> bool {
        let mut stage = self.0.lock();
        let is_coming = *stage == Stage::Coming;
        if is_coming {
            *stage = if runs_on_open { Stage::Opening } else { Stage::Open };
        }
        is_coming
    }

    /// `on_open` is over. Whether an end came meanwhile whose callbacks are to be called now.
    pub(crate) fn opened(&self) -> bool {
        let mut stage = self.0.lock();
        let (next, is_owed) = match *stage {
            Stage::Opening => (Stage::Open, false),
            Stage::Ending => (Stage::EndingOpened, false),
            Stage::Owed => (Stage::Ended, true),
            stage => (stage, false),
        };
        *stage = next;
        is_owed
    }

    /// Ends it, for whoever comes first.
    pub(crate) fn end(&self) -> End {
        let mut stage = self.0.lock();
        let (next, end) = match *stage {
            Stage::Coming => (Stage::Ended, End::Unheard),
            Stage::Opening => (Stage::Ending, End::Opening),
            Stage::Open => (Stage::Ended, End::Open),
            _ => return End::Over,
        };
        *stage = next;
        end
    }

    /// Leaves the callbacks to whoever runs `on_open`. `false` when that is over: they are to be called now.
    pub(crate) fn owe(&self) -> bool {
        let mut stage = self.0.lock();
        let is_opening = *stage == Stage::Ending;
        *stage = if is_opening { Stage::Owed } else { Stage::Ended };
        is_opening
    }

    pub(crate) fn has_ended(&self) -> bool {
        !matches!(*self.0.lock(), Stage::Coming | Stage::Opening | Stage::Open)
    }
}
