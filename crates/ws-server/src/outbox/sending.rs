//! How a message enters an outbox: written at once, put to others that are written together, or queued.

use std::io;
use std::task::Waker;

use crate::sync::MutexGuard;
use tokio::net::tcp::OwnedWriteHalf;
use tungstenite::protocol::frame::coding::Data;

use super::offer::Offer;
use super::policy::{Load, OutboxPolicy, SendOutcome, Sent};
use super::state::State;
use super::{Entry, Outbox, wake};
use crate::batch::Hold;
use crate::codec::{MAX_SHORT, short_frame_len};
use crate::config::{OutboxConfig, or_unlimited};
use crate::gathered::Gathered;
use crate::writer::SLICES;

impl Outbox {
    /// Writes a message and gives the length of its frame, as nearly always; else queues it, or says why not.
    #[inline(always)]
    pub(crate) fn send(
        &self,
        message: Offer<'_>,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
        hold: Hold,
    ) -> Result<usize, Sent> {
        let mut state = self.lock();
        let Some(socket) = state.free_line(hold) else {
            return Err(self.send_behind(state, message, policy, limits, hold));
        };
        let (length, outcome) = message.try_write(socket);
        state.line.note(hold);
        match outcome {
            Ok(written) if written == length => Ok(length),
            outcome => Err(self.keep_rest(state, message, policy, outcome)),
        }
    }

    /// Something stands before the message, or it is held.
    #[inline(never)]
    fn send_behind(
        &self,
        mut state: MutexGuard<'_, State>,
        message: Offer<'_>,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
        hold: Hold,
    ) -> Sent {
        if !state.accepts() {
            return Sent::new(SendOutcome::Closed, 0);
        }
        let sent = state.send(message, policy, limits, hold);
        self.leave(state, sent)
    }

    /// The socket did not take all of the message.
    #[cold]
    fn keep_rest(
        &self,
        mut state: MutexGuard<'_, State>,
        message: Offer<'_>,
        policy: OutboxPolicy,
        outcome: io::Result<usize>,
    ) -> Sent {
        let sent = state.finish_write(message, policy, outcome);
        self.leave(state, sent)
    }

    /// What is left is somebody's to write.
    fn leave(&self, mut state: MutexGuard<'_, State>, sent: Sent) -> Sent {
        let waker = if state.line.is_listed {
            // Whoever has it on the list writes.
            None
        } else {
            self.hand_over(&mut state)
        };
        drop(state);
        let woke = waker.is_some();
        wake(waker);
        Sent { woke, ..sent }
    }

    /// Puts a short message under the server's policy to those that are written together at the end of the wake-up
    /// which holds everything.
    #[inline]
    pub(crate) fn join(&self, data: Data, body: &[u8], limits: &OutboxConfig) -> Entry {
        self.lock().join(data, body, limits)
    }

    /// Writes what was held for the end of a wake-up. Tells what is out.
    pub(crate) fn write_held(&self) -> Load {
        let mut state = self.lock();
        state.line.is_listed = false;
        let written = state.flush();
        let waker = self.hand_over(&mut state);
        drop(state);
        wake(waker);
        written
    }

    /// What could not be written here is left to the transport's task.
    fn hand_over(&self, state: &mut State) -> Option<Waker> {
        if !state.has_work() {
            return None;
        }
        self.signs.set_work(true);
        self.rouse_for_message(state)
    }
}

impl State {
    /// The socket, if nothing stands before a message and it need not be held: it is written at once. So it is with
    /// nearly every message.
    #[inline]
    pub(super) fn free_line(&self, hold: Hold) -> Option<&OwnedWriteHalf> {
        let is_open = !self.ended && self.close.is_none();
        let is_free =
            is_open && self.queue.is_empty() && self.writer.is_plain() && !self.writer.has_gathered();
        self.line
            .clear()
            .filter(|_| is_free && !self.line.would_hold(hold))
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
        let holds = self.line.would_hold(hold);
        self.line.note(hold);
        let is_plain = self.queue.is_empty() && self.writer.is_plain();
        if is_plain && !holds && !self.writer.has_gathered() {
            return self.write_at_once(message, policy);
        }
        let length = message.len();
        let fits = self.fits(length, limits);
        if fits && is_plain && is_gathered(length, policy) {
            return self.gather(&message, holds, limits);
        }
        // Nothing is lost to what is only held back.
        let written = if fits { Load::default() } else { self.flush() };
        let may_gather = is_plain && self.writer.is_plain() && self.line.clear().is_some();
        let mut sent = if may_gather && self.fits(length, limits) && is_gathered(length, policy) {
            self.gather(&message, holds, limits)
        } else {
            self.queue_up(message, policy, limits, holds)
        };
        sent.written += written;
        sent
    }

    fn gather(&mut self, message: &Offer<'_>, holds: bool, limits: &OutboxConfig) -> Sent {
        self.mark(message);
        let has_room = self.writer.gather(message);
        let sent = self.hold_or_flush(holds && has_room);
        self.open_gathered(limits);
        sent
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

    /// Short messages of this wake-up may join those that are gathered, as far as the limits allow and unless the
    /// server's policy is to replace them.
    fn open_gathered(&mut self, limits: &OutboxConfig) {
        if matches!(limits.policy, OutboxPolicy::KeepLatest(_)) {
            return;
        }
        let held = self.held();
        if let Some(gathered) = self.writer.gathered().filter(|_| self.line.is_listed) {
            gathered.set_room(Load {
                messages: or_unlimited(limits.messages).saturating_sub(held.messages),
                bytes: or_unlimited(limits.bytes).saturating_sub(held.bytes),
            });
        }
    }

    /// A short message on the shortest way: to those that are gathered in this wake-up, if they have room.
    #[inline]
    pub(super) fn join(&mut self, data: Data, body: &[u8], limits: &OutboxConfig) -> Entry {
        let Some(gathered) = self.writer.gathered() else {
            return self.join_none(data, body, limits);
        };
        if gathered.join(data, body) {
            Entry::Joined
        } else {
            Entry::Refused
        }
    }

    /// The same for the first, before which nothing waits.
    #[inline(never)]
    fn join_none(&mut self, data: Data, body: &[u8], limits: &OutboxConfig) -> Entry {
        let is_short = body.len() <= MAX_SHORT && short_frame_len(body.len()) <= or_unlimited(limits.bytes);
        let is_replaced = matches!(limits.policy, OutboxPolicy::KeepLatest(_));
        if !is_short || is_replaced || self.line.is_listed || self.free_line(Hold::Never).is_none() {
            return Entry::Refused;
        }
        self.line.is_listed = true;
        self.writer.gather(&Offer::Body(data, body));
        self.open_gathered(limits);
        Entry::First
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
                self.mark(&message);
                self.push(message.into_encoded(), policy);
                Sent::new(SendOutcome::Queued, lost)
            }
            Err(refused) => refused,
        }
    }

    fn write_at_once(&mut self, message: Offer<'_>, policy: OutboxPolicy) -> Sent {
        let outcome = match self.line.clear() {
            Some(socket) => message.try_write(socket).1,
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
            Ok(written) if written == length => {
                message.had();
                return Sent::written(length);
            }
            Ok(written) => {
                sent.written.bytes = written;
                self.mark(&message);
                self.flight += Load {
                    messages: 1,
                    bytes: length,
                };
                self.writer.push_begun(message.into_encoded(), written);
                // The socket took a part, so it takes no more.
                self.line.is_blocked = true;
            }
            Err(error) => {
                self.mark(&message);
                self.push(message.into_encoded(), policy);
                self.line.stopped(error);
            }
        }
        sent
    }
}

/// Whether a message may go to the small ones that are written together: nothing there can be replaced or dropped.
fn is_gathered(length: usize, policy: OutboxPolicy) -> bool {
    length <= Gathered::SMALL && !matches!(policy, OutboxPolicy::KeepLatest(_))
}
