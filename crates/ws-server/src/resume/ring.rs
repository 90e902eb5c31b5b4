//! Numbered messages that are kept until they are acknowledged, bounded by count and bytes.

use std::collections::VecDeque;

use super::error::ResumeError;
use crate::encoded::Encoded;
use crate::outbox::Load;

/// What a ring keeps at most; one message that is longer than `bytes` may be kept alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// The messages to one session that its client has not acknowledged.
#[derive(Debug)]
pub(super) struct Ring {
    kept: VecDeque<(u64, Encoded)>,
    bytes: usize,
    /// Number of the newest message, kept or not; messages count from 1.
    last: u64,
    /// Up to this number the client has everything it will get.
    acknowledged: u64,
    /// Up to this number messages were given to some transport.
    sent: u64,
    /// Up to this number losses were told to some transport.
    told: u64,
    limits: Limits,
}

/// Messages behind a cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Messages between the cursor and the first of these that are lost.
    pub(super) lost: u64,
    /// Number of the last message before the first of these.
    pub(super) from: u64,
    pub(super) messages: Vec<Encoded>,
    /// How many of them no transport had before.
    pub(super) new: u64,
    /// How many of the lost ones no transport was told of before.
    pub(super) newly_lost: u64,
}

impl Run {
    /// The cursor behind these.
    pub(super) fn end(&self) -> u64 {
        self.from + self.messages.len() as u64
    }
}

impl Ring {
    /// An empty ring, which takes no memory until the first message.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            last: 0,
            acknowledged: 0,
            sent: 0,
            told: 0,
            limits,
        }
    }

    /// Numbers a message and keeps it; the oldest go where there are too many or they are too long. Gives how many went
    /// of which no transport had ever been given.
    pub(super) fn push(&mut self, message: Encoded) -> u64 {
        self.last += 1;
        self.bytes += message.len();
        self.kept.push_back((self.last, message));
        let mut unsent = 0;
        let is_over = |ring: &Self| {
            ring.kept.len() > ring.limits.messages || (ring.bytes > ring.limits.bytes && ring.kept.len() > 1)
        };
        while is_over(self) {
            let Some((number, oldest)) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            unsent += u64::from(number > self.sent);
        }
        unsent
    }

    /// A message that could not be kept: its number shows the loss.
    pub(super) fn lose(&mut self) {
        self.last += 1;
    }

    /// What comes after the cursor, without a hole.
    pub(super) fn read(&mut self, cursor: u64, messages: usize, bytes: usize) -> Run {
        let start = self.kept.partition_point(|(number, _)| *number <= cursor);
        let mut run = Run {
            from: cursor,
            ..Run::default()
        };
        let mut taken = 0;
        for (number, message) in self.kept.range(start..) {
            if run.messages.is_empty() {
                run.lost = number - cursor - 1;
                run.from = number - 1;
            }
            let is_full = run.messages.len() >= messages || message.len() > bytes.saturating_sub(taken);
            if *number != run.end() + 1 || (is_full && !run.messages.is_empty()) {
                break;
            }
            taken += message.len();
            run.messages.push(message.clone());
        }
        if run.messages.is_empty() {
            // Nothing is kept behind the cursor: what is missing up to the newest is lost.
            run.lost = self.last.saturating_sub(cursor);
            run.from = cursor + run.lost;
        }
        if run.lost > 0 {
            run.newly_lost = run.from.saturating_sub(self.told.max(cursor));
            self.told = self.told.max(run.from);
        }
        run.new = run.end().saturating_sub(self.sent.max(run.from));
        self.sent = self.sent.max(run.end());
        run
    }

    /// Whether a client may go on from this cursor.
    ///
    /// # Errors
    /// It is ahead of the last message, or behind what was acknowledged.
    pub(super) fn check(&self, cursor: u64) -> Result<(), ResumeError> {
        match cursor {
            _ if cursor > self.last => Err(ResumeError::Ahead),
            _ if cursor < self.acknowledged => Err(ResumeError::Behind),
            _ => Ok(()),
        }
    }

    /// The client has everything up to the cursor. One from the past says nothing new.
    ///
    /// # Errors
    /// It is ahead of the last message.
    pub(super) fn acknowledge(&mut self, cursor: u64) -> Result<(), ResumeError> {
        if cursor > self.last {
            return Err(ResumeError::Ahead);
        }
        self.acknowledged = self.acknowledged.max(cursor);
        while let Some((number, _)) = self.kept.front()
            && *number <= cursor
        {
            let (_, message) = self.kept.pop_front().expect("there is a front");
            self.bytes -= message.len();
        }
        if self.kept.is_empty() {
            // A burst must not leave its memory with a session that has fallen silent.
            self.kept = VecDeque::new();
        }
        Ok(())
    }

    /// Whether everything that could be is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether there is nothing behind this cursor, lost or not.
    pub(super) fn is_end(&self, cursor: u64) -> bool {
        cursor >= self.last
    }

    /// How far the client is, as far as it is known here.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.sent, self.acknowledged)
    }

    /// Messages that are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The same with their bytes.
    pub(super) fn held(&self) -> Load {
        Load {
            messages: self.kept.len(),
            bytes: self.bytes,
        }
    }

    /// Lets go of everything; gives how many messages no transport had been given.
    pub(super) fn clear(&mut self) -> u64 {
        let sent = self.sent;
        let unsent = self.kept.iter().filter(|(number, _)| *number > sent).count();
        self.kept = VecDeque::new();
        self.bytes = 0;
        unsent as u64
    }
}

#[cfg(test)]
#[path = "ring/tests.rs"]
mod tests;
