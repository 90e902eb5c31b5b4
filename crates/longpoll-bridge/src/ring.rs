//! A bounded ring of numbered messages. Reading takes nothing away: a reader is a position, kept elsewhere.

use std::collections::VecDeque;

use bytes::Bytes;

/// How far somebody has read: the number of the last message seen. Messages count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(pub(crate) u64);

/// What a ring keeps at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The newest messages of one conversation, oldest first.
#[derive(Debug)]
pub(crate) struct Ring {
    kept: VecDeque<Kept>,
    /// Number of the newest message, kept or not.
    newest: Position,
    /// Sum of the lengths of `kept`.
    bytes: usize,
    limits: Limits,
}

#[derive(Debug)]
struct Kept {
    /// Not always one more than its neighbour's: a message too large for any ring has a number and no place.
    number: u64,
    text: Bytes,
    /// Whether anybody was given it, so that each message counts as delivered once however many read it.
    was_read: bool,
}

/// What a push did to the ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Messages that went for good before anybody had read them.
    pub(crate) lost_unread: u64,
    /// The others that went.
    pub(crate) dropped_read: u64,
}

/// The next messages for one reader.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Oldest first.
    pub(crate) messages: Vec<Bytes>,
    /// How far the reader is after them.
    pub(crate) position: Position,
    /// Messages between the reader's old and new position that are gone.
    pub(crate) missed: u64,
    /// How many of `messages` nobody had read before.
    pub(crate) first_reads: u64,
}

impl Ring {
    /// An empty ring; it takes no memory until the first message.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            kept: VecDeque::new(),
            newest: Position(0),
            bytes: 0,
            limits,
        }
    }

    /// Appends a message and drops the oldest ones while there are too many or they are too long. A message that
    /// alone is longer than the ring is dropped itself, instead of all others.
    pub(crate) fn push(&mut self, text: Bytes) -> Pushed {
        self.newest.0 += 1;
        if text.len() > self.limits.bytes {
            return Pushed {
                lost_unread: 1,
                dropped_read: 0,
            };
        }
        self.bytes += text.len();
        self.kept.push_back(Kept {
            number: self.newest.0,
            text,
            was_read: false,
        });
        let mut pushed = Pushed::default();
        while self.kept.len() > self.limits.messages || self.bytes > self.limits.bytes {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.text.len();
            match oldest.was_read {
                true => pushed.dropped_read += 1,
                false => pushed.lost_unread += 1,
            }
        }
        pushed
    }

    /// The next at most `max` messages after `from`. A position ahead of the ring counts as its end.
    pub(crate) fn read(&mut self, from: Position, max: usize) -> Batch {
        let from = from.min(self.newest);
        let start = self.kept.partition_point(|kept| kept.number <= from.0);
        let end = self.kept.len().min(start.saturating_add(max));
        let mut batch = Batch {
            position: self.position_before(end),
            ..Batch::default()
        };
        for kept in self.kept.range_mut(start..end) {
            batch.first_reads += u64::from(!std::mem::replace(&mut kept.was_read, true));
            batch.messages.push(kept.text.clone());
        }
        batch.missed = batch.position.0 - from.0 - batch.messages.len() as u64;
        batch
    }

    /// The position from which everything that is kept is still to be read.
    pub(crate) fn oldest(&self) -> Position {
        match self.kept.front() {
            Some(first) => Position(first.number - 1),
            None => self.newest,
        }
    }

    /// Messages that are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Messages that are kept and that nobody has read.
    pub(crate) fn unread(&self) -> usize {
        self.kept.iter().filter(|kept| !kept.was_read).count()
    }

    /// Where a reader stands who has seen everything before `kept[index]`; past the last one that is the end.
    fn position_before(&self, index: usize) -> Position {
        match self.kept.get(index) {
            Some(next) => Position(next.number - 1),
            None => self.newest,
        }
    }
}

#[cfg(test)]
#[path = "ring/tests.rs"]
mod tests;
