//! What a full outbox does, and what became of a message given to it.

use std::ops::AddAssign;

/// What happens to a message that finds the outbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutboxPolicy {
    /// The session is closed with 1013; what waits is dropped.
    Close,
    /// The oldest waiting messages make room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The newest message of a key replaces one of the same key that still waits, full or not; when the outbox is
    /// full of others, the oldest make room.
    KeepLatest(u64),
}

/// What became of a message given to `send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a caller that tells them apart must not miss a new one"
)]
pub enum SendOutcome {
    /// It has been written, or waits in the outbox, in order, and will be written unless the connection ends first.
    Queued,
    /// It did not fit and was dropped.
    Dropped,
    /// The session is closing or has ended.
    Closed,
}

impl SendOutcome {
    /// Whether the message is written or waits to be written.
    pub fn is_queued(self) -> bool {
        self == Self::Queued
    }
}

/// Messages and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }
}

/// What a `send` did, for those who count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) outcome: SendOutcome,
    /// Messages lost by this call, the given one included.
    pub(crate) lost: u64,
    /// The message did not fit and the session has to be closed.
    pub(crate) overflowed: bool,
    /// What this call has written: messages that are out whole, and bytes.
    pub(crate) written: Load,
    /// It is held for the end of the wake-up, and the session is not listed yet.
    pub(crate) to_be_listed: bool,
    /// The transport's task was woken.
    pub(crate) woke: bool,
}

impl Sent {
    /// Kept, to be written with what is kept already.
    pub(super) const KEPT: Self = Self::new(SendOutcome::Queued, 0);

    /// Out whole.
    pub(crate) const fn written(bytes: usize) -> Self {
        Self {
            written: Load { messages: 1, bytes },
            ..Self::KEPT
        }
    }

    pub(super) const fn new(outcome: SendOutcome, lost: u64) -> Self {
        Self {
            outcome,
            lost,
            overflowed: false,
            written: Load {
                messages: 0,
                bytes: 0,
            },
            to_be_listed: false,
            woke: false,
        }
    }
}

/// What came of a short message that would join those which are written together at the end of a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It has to ask whether it may enter the outbox at all.
    Refused,
    Joined,
    /// It has, and the session is to be listed for it.
    First,
}

/// What a transport has seen of its outbox, and what it waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interest {
    /// Whether new messages should wake it.
    pub(crate) messages: bool,
    /// The last close version it has seen.
    pub(crate) close_version: u8,
}
