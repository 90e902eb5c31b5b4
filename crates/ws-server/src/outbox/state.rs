//! What an outbox holds, behind its lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::line::Line;
use super::marks::Marks;
use super::offer::Offer;
use super::policy::{Load, OutboxPolicy, SendOutcome, Sent};
use crate::batch::Batch;
use crate::clock::now;
use crate::close::CloseRequest;
use crate::closing::Closing;
use crate::config::{OutboxConfig, or_unlimited};
use crate::encoded::Encoded;
use crate::sync::Notify;
use crate::writer::{Progress, SLICES, Writer};

/// In this order, as in a session: what a message needs that is written at once comes first.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct State {
    pub(super) line: Line,
    pub(super) close: Option<Box<CloseRequest>>,
    pub(super) ended: bool,
    /// Changes whenever `close` does, so that a transport notices.
    pub(super) close_version: u8,
    /// The frames being written to the socket, by whoever holds the lock.
    pub(super) writer: Writer,
    pub(super) queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Taken by the transport and not yet written, but for the short messages that have joined others since they were
    /// counted last.
    pub(super) flight: Load,
    /// Of messages that are held, while there is something to remember of them.
    pub(super) marks: Option<Box<Marks>>,
    pub(super) sleeper: Option<Sleeper>,
    /// Rung once nothing is held any more; made by the first who waits.
    pub(super) drained: Option<Arc<Notify>>,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) message: Encoded,
    key: Option<u64>,
}

/// A transport that waits for something to do.
#[derive(Debug)]
pub(super) struct Sleeper {
    pub(super) waker: Waker,
    pub(super) wants_messages: bool,
}

impl State {
    pub(super) fn held(&self) -> Load {
        let mut held = Load {
            messages: self.queue.len(),
            bytes: self.queued_bytes,
        };
        held += self.flight;
        held += self.writer.uncounted();
        held
    }

    /// Since when the oldest message waits for a transport that takes nothing.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let marks = self.marks.as_ref().filter(|_| self.held().messages > 0)?;
        marks.since()
    }

    /// The transport takes nothing: what waits, waits for it from now on.
    pub(super) fn stall(&mut self) {
        self.marks.get_or_insert_default().stall(now);
    }

    /// The transport has taken everything.
    pub(super) fn flow(&mut self) {
        if let Some(marks) = &mut self.marks {
            marks.flow();
            self.marks.take_if(|marks| marks.is_empty());
        }
    }

    /// Remembers what there is of a message that is about to be held.
    #[inline]
    pub(super) fn mark(&mut self, message: &Offer<'_>) {
        if self.marks.is_some() || message.is_measured() {
            self.enter(message);
        }
    }

    #[cold]
    fn enter(&mut self, message: &Offer<'_>) {
        let (place, receipt) = (self.held().messages, message.receipt());
        self.marks.get_or_insert_default().enter(place, receipt, now);
    }

    /// From here on short messages that have joined others are in flight like these.
    pub(super) fn count_joined(&mut self) {
        if let Some(gathered) = self.writer.gathered() {
            self.flight += gathered.count();
        }
    }

    pub(super) fn fits(&self, length: usize, limits: &OutboxConfig) -> bool {
        let held = self.held();
        held.messages == 0
            || (held.messages < or_unlimited(limits.messages)
                && held.bytes.saturating_add(length) <= or_unlimited(limits.bytes))
    }

    pub(super) fn accepts(&self) -> bool {
        !self.ended
            && self
                .close
                .as_ref()
                .is_none_or(|close| close.handler_until.is_some())
    }

    /// Makes room for a message as the policy says. Gives the number of messages that were dropped for it, or what
    /// becomes of the message instead.
    pub(super) fn make_room(
        &mut self,
        length: usize,
        policy: OutboxPolicy,
        limits: &OutboxConfig,
    ) -> Result<u64, Sent> {
        let mut lost = match policy {
            OutboxPolicy::KeepLatest(key) => u64::from(self.drop_same(key)),
            _ => 0,
        };
        if self.fits(length, limits) {
            return Ok(lost);
        }
        match policy {
            OutboxPolicy::Close => Err(Sent {
                overflowed: true,
                ..Sent::new(SendOutcome::Closed, 1)
            }),
            OutboxPolicy::DropNewest => Err(Sent::new(SendOutcome::Dropped, 1)),
            OutboxPolicy::DropOldest | OutboxPolicy::KeepLatest(_) => {
                while !self.fits(length, limits) && self.drop_oldest() {
                    lost += 1;
                }
                Ok(lost)
            }
        }
    }

    /// Writes a control frame at once where nothing is under way: an idle session needs no queue for its heartbeat.
    pub(super) fn write_control(&mut self, frame: Bytes, push: fn(&mut Writer, Bytes)) -> Load {
        // More events of the same read follow: it goes out with what they cause.
        let is_idle = !Batch::holds_all() && self.queue.is_empty() && self.writer.is_empty();
        let outcome = self
            .line
            .clear()
            .filter(|_| is_idle)
            .map(|socket| socket.try_write(&frame));
        let (length, mut bytes) = (frame.len(), 0);
        if !matches!(outcome, Some(Ok(written)) if written == length) {
            push(&mut self.writer, frame);
        }
        match outcome {
            Some(Ok(written)) => {
                bytes = written;
                if written < length {
                    // A part of it is out, so nothing may come between.
                    self.writer.skip(written);
                    self.line.is_blocked = true;
                }
            }
            Some(Err(error)) => self.line.stopped(error),
            None => {}
        }
        Load { messages: 0, bytes }
    }

    /// Writes what waits for as long as the socket takes it. Tells what is out.
    pub(super) fn flush(&mut self) -> Load {
        let mut out = Load::default();
        loop {
            self.refill();
            let Some(socket) = self.line.clear().filter(|_| !self.writer.is_empty()) else {
                return out;
            };
            match self.writer.try_write(socket) {
                Ok(progress) => {
                    out.messages += progress.messages.messages;
                    out.bytes += progress.bytes;
                    self.progressed(progress);
                    if self.queue.is_empty() && self.writer.is_empty() {
                        return out;
                    }
                }
                Err(error) => {
                    self.line.stopped(error);
                    return out;
                }
            }
        }
    }

    /// Moves what waits into the writer, as much as one call can write.
    pub(super) fn refill(&mut self) {
        self.count_joined();
        if self.queue.is_empty() {
            return;
        }
        let Self {
            writer,
            queue,
            queued_bytes,
            flight,
            ..
        } = self;
        let taken = take(queue, writer.room(), |message| writer.push_message(message));
        *queued_bytes -= taken.bytes;
        *flight += taken;
    }

    /// Fills the writer; the Close of `closing` goes behind the last message.
    pub(super) fn next_frames(&mut self, closing: Option<&mut Closing>) {
        let Some(closing) = closing else {
            return self.refill();
        };
        if closing.is_queued() {
            return self.count_joined();
        }
        self.refill();
        if self.queue.is_empty() {
            self.writer.push_close(closing.frame());
        }
    }

    /// The writer got on.
    pub(super) fn progressed(&mut self, progress: Progress) {
        self.written(progress.messages);
    }

    /// Messages that were taken are out.
    pub(super) fn written(&mut self, load: Load) {
        if self.marks.is_some() {
            self.mark_out(load.messages);
        }
        self.leave_flight(load);
    }

    #[cold]
    fn mark_out(&mut self, count: usize) {
        if let Some(marks) = &mut self.marks {
            marks.out(count);
            self.marks.take_if(|marks| marks.is_empty());
        }
    }

    /// Messages that were taken, the last ones of them, are given up.
    pub(super) fn given_up(&mut self, load: Load) {
        self.leave_flight(load);
        if let Some(marks) = &mut self.marks {
            marks.cut(self.flight.messages);
        }
    }

    fn leave_flight(&mut self, load: Load) {
        // After the end nothing is in flight any more, whatever a late transport says.
        self.flight.messages = self.flight.messages.saturating_sub(load.messages);
        self.flight.bytes = self.flight.bytes.saturating_sub(load.bytes);
        self.ring_if_drained();
    }

    pub(super) fn ring_if_drained(&mut self) {
        if self.drained.is_some()
            && (self.ended || self.held().messages == 0)
            && let Some(drained) = self.drained.take()
        {
            drained.notify_waiters();
        }
    }

    pub(super) fn take(&mut self, room: Load, give: impl FnMut(Encoded)) {
        let taken = take(&mut self.queue, room, give);
        self.queued_bytes -= taken.bytes;
        self.flight += taken;
    }

    pub(super) fn push(&mut self, message: Encoded, policy: OutboxPolicy) {
        let key = match policy {
            OutboxPolicy::KeepLatest(key) => Some(key),
            _ => None,
        };
        self.writer.close_gathered();
        self.queued_bytes += message.len();
        self.queue.push_back(Queued { message, key });
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.queue.pop_front() else {
            return false;
        };
        self.queued_bytes -= oldest.message.len();
        self.forget(0);
        true
    }

    fn drop_same(&mut self, key: u64) -> bool {
        let Some(at) = self.queue.iter().position(|queued| queued.key == Some(key)) else {
            return false;
        };
        let same = self.queue.remove(at).expect("the position was just found");
        self.queued_bytes -= same.message.len();
        self.forget(at);
        true
    }

    /// The message that was at this place of the queue has been dropped.
    fn forget(&mut self, at: usize) {
        let before = self.flight.messages + self.writer.uncounted().messages;
        if let Some(marks) = &mut self.marks {
            marks.dropped(before + at);
        }
    }

    pub(super) fn discard(&mut self) -> u64 {
        self.queued_bytes = 0;
        let gone = std::mem::take(&mut self.queue).len();
        let left = self.held().messages;
        if let Some(marks) = &mut self.marks {
            marks.cut(left);
        }
        gone as u64
    }

    /// Whether there is something for the transport's task to write, or an error for it to find.
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.writer.is_empty() || self.line.failed.is_some()
    }
}

/// Takes messages from the front until `room` is used up.
fn take(queue: &mut VecDeque<Queued>, room: Load, mut give: impl FnMut(Encoded)) -> Load {
    let mut taken = Load::default();
    while taken.messages < room.messages && taken.bytes < room.bytes {
        let Some(queued) = queue.pop_front() else {
            // A burst must not leave its memory with a session that has fallen silent.
            if queue.capacity() > SLICES {
                *queue = VecDeque::new();
            }
            break;
        };
        taken.messages += 1;
        taken.bytes += queued.message.len();
        give(queued.message);
    }
    taken
}
