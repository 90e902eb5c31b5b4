//! How a message enters an outbox: written at once, put to others that are written together, or queued.

use std::io;

use tungstenite::protocol::frame::coding::Data;

use super::offer::Offer;
use super::policy::{Load, OutboxPolicy, SendOutcome, Sent};
use super::state::State;
use crate::batch::Hold;
use crate::config::{OutboxConfig, or_unlimited};
use crate::gathered::Gathered;
use crate::writer::SLICES;

/// What became of a message on the short way.
pub(super) enum Express {
    /// It is written, or kept with others that are to be written.
    Done(Sent),
    /// It was written in part or not at all.
    Tried(io::Result<usize>),
    /// It has to go the long way.
    No,
}

impl State {
    /// The way of nearly every message: nothing stands before it, and it is written at once or put to those that are
    /// written together. The long way would do the same.
    #[inline]
    pub(super) fn express(
        &mut self,
        message: &Offer<'_>,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
        hold: Hold,
    ) -> Express {
        let is_open = !self.ended && self.close.is_none();
        if !is_open || !self.queue.is_empty() || !self.writer.is_plain() {
            return Express::No;
        }
        let Some(socket) = self.line.clear() else {
            return Express::No;
        };
        let length = message.len();
        if self.writer.has_gathered() {
            let joins = hold == Hold::Always
                && length <= Gathered::SMALL
                && !matches!(policy, OutboxPolicy::KeepLatest(_))
                && self.fits(length, limits);
            // It is on the list, so whoever has it there writes, and wakes the task for the rest.
            return match joins && self.line.is_listed {
                true => Express::Done(self.gather(message, length, true)),
                false => Express::No,
            };
        }
        match hold {
            Hold::Always => return Express::No,
            Hold::Repeated(wake_up) if self.line.is_of(wake_up) => return Express::No,
            _ => {}
        }
        let outcome = message.try_write(socket);
        if let Hold::Repeated(wake_up) = hold {
            self.line.note(wake_up);
        }
        match outcome {
            Ok(written) if written == length => Express::Done(Sent::written(length)),
            outcome => Express::Tried(outcome),
        }
    }

    /// Writes a message, or keeps it for the end of the wake-up or for the transport's task.
    pub(super) fn send(
        &mut self,
        message: Offer<'_>,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
        hold: Hold,
    ) -> Sent {
        if self.line.clear().is_none() {
            return self.enqueue(message, policy, limits);
        }
        let holds = self.line.holds(hold);
        let is_plain = self.queue.is_empty() && self.writer.is_plain();
        if is_plain && !holds && !self.writer.has_gathered() {
            return self.write_at_once(message, policy);
        }
        let length = message.len();
        let mut written = Load::default();
        if !self.fits(length, limits) {
            // Nothing is lost to what is only held back.
            written = self.flush();
        }
        let mut sent = if is_plain && self.may_gather(length, policy, limits) {
            let sent = self.gather(&message, length, holds);
            self.open_gathered(limits);
            sent
        } else {
            self.queue_up(message, policy, limits, holds)
        };
        sent.written.messages += written.messages;
        sent.written.bytes += written.bytes;
        sent
    }

    /// Whether a message may go to the small ones that are written together: nothing there can be replaced or dropped.
    fn may_gather(&self, length: usize, policy: OutboxPolicy, limits: &OutboxConfig) -> bool {
        length <= Gathered::SMALL
            && !matches!(policy, OutboxPolicy::KeepLatest(_))
            && self.fits(length, limits)
            && self.writer.is_plain()
            && self.line.clear().is_some()
    }

    #[inline]
    fn gather(&mut self, message: &Offer<'_>, length: usize, holds: bool) -> Sent {
        self.flight.messages += 1;
        self.flight.bytes += length;
        let has_room = self.writer.gather(message);
        self.hold_or_flush(holds && has_room)
    }

    fn queue_up(
        &mut self,
        message: Offer<'_>,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
        holds: bool,
    ) -> Sent {
        let sent = self.enqueue(message, policy, limits);
        if !sent.outcome.is_queued() {
            return sent;
        }
        let Sent {
            written,
            to_be_listed,
            ..
        } = self.hold_or_flush(holds && self.queue.len() < SLICES);
        Sent {
            written,
            to_be_listed,
            ..sent
        }
    }

    /// Short messages of this wake-up may join those that are gathered, as far as the limits allow.
    fn open_gathered(&mut self, limits: &OutboxConfig) {
        let held = self.held();
        if let Some(gathered) = self.writer.gathered().filter(|_| self.line.is_listed) {
            gathered.set_room(
                or_unlimited(limits.messages).saturating_sub(held.messages),
                or_unlimited(limits.bytes).saturating_sub(held.bytes),
            );
        }
    }

    /// A short message on the shortest way: to those that are gathered in this wake-up, if they have room.
    #[inline]
    pub(super) fn join(&mut self, data: Data, body: &[u8]) -> bool {
        let length = self
            .writer
            .gathered()
            .map_or(0, |gathered| gathered.join(data, body));
        if length == 0 {
            return false;
        }
        self.flight.messages += 1;
        self.flight.bytes += length;
        true
    }

    /// Leaves what was kept to the end of the wake-up, or writes it.
    fn hold_or_flush(&mut self, holds: bool) -> Sent {
        let mut sent = Sent::KEPT;
        if holds {
            sent.to_be_listed = !std::mem::replace(&mut self.line.is_listed, true);
        } else {
            sent.written = self.flush();
        }
        sent
    }

    fn enqueue(&mut self, message: Offer<'_>, policy: OutboxPolicy, limits: &OutboxConfig) -> Sent {
        match self.make_room(message.len(), policy, limits) {
            Ok(lost) => {
                self.push(message.into_encoded(), policy);
                Sent::new(SendOutcome::Queued, lost)
            }
            Err(refused) => refused,
        }
    }

    fn write_at_once(&mut self, message: Offer<'_>, policy: OutboxPolicy) -> Sent {
        let outcome = match self.line.clear() {
            Some(socket) => message.try_write(socket),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        self.finish_write(message, policy, outcome)
    }

    /// Keeps what the socket did not take.
    pub(super) fn finish_write(
        &mut self,
        message: Offer<'_>,
        policy: OutboxPolicy,
        outcome: io::Result<usize>,
    ) -> Sent {
        let length = message.len();
        let mut sent = Sent::KEPT;
        match outcome {
            Ok(written) if written == length => return Sent::written(length),
            Ok(written) => {
                sent.written.bytes = written;
                self.flight.messages += 1;
                self.flight.bytes += length;
                self.writer.push_begun(message.into_encoded(), written);
                // The socket took a part, so it takes no more.
                self.line.is_blocked = true;
            }
            Err(error) => {
                self.push(message.into_encoded(), policy);
                self.line.stopped(error);
            }
        }
        sent
    }
}
