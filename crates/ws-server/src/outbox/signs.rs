//! What an outbox shows to those who do not hold its lock.

use crate::sync::{AtomicU32, Ordering};

/// The lowest bits: the version of the wish to close.
const VERSION: u32 = 0xff;
/// The end was reached.
const ENDED: u32 = 0x100;
/// The transport's task has something to write.
const WORK: u32 = 0x200;

/// All in one word, so that one look is enough. Written under the outbox's lock only.
#[derive(Debug, Default)]
pub(super) struct Signs(AtomicU32);

impl Signs {
    #[inline]
    fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn change(&self, cleared: u32, set: u32) {
        self.0.store(self.get() & !cleared | set, Ordering::Release);
    }

    pub(super) fn set_close_version(&self, version: u8) {
        self.change(VERSION, version.into());
    }

    pub(super) fn set_ended(&self) {
        self.change(0, ENDED);
    }

    pub(super) fn set_work(&self, has_work: bool) {
        self.change(WORK, if has_work { WORK } else { 0 });
    }

    pub(super) fn close_version(&self) -> u8 {
        (self.get() & VERSION) as u8
    }

    pub(super) fn has_ended(&self) -> bool {
        self.get() & ENDED != 0
    }

    pub(super) fn has_work(&self) -> bool {
        self.get() & WORK != 0
    }

    /// Whether a wish to close is there, or the end was reached.
    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.get() & (VERSION | ENDED) != 0
    }

    /// Whether there is nothing to do but what `close_version` says.
    #[inline]
    pub(super) fn is_quiet(&self, close_version: u8) -> bool {
        self.get() == u32::from(close_version)
    }
}
