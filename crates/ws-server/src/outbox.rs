//! What waits for one session: bounded by messages and bytes, every loss reported to who counts it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::close::CloseRequest;
use crate::config::{OutboxConfig, or_unlimited};
use crate::encoded::Encoded;

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
pub enum SendOutcome {
    /// It waits in the outbox, in order, and will be written unless the connection ends first.
    Queued,
    /// It did not fit and was dropped.
    Dropped,
    /// The session is closing or has ended.
    Closed,
}

impl SendOutcome {
    /// Whether the message waits to be written.
    pub fn is_queued(self) -> bool {
        self == Self::Queued
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
}

impl Sent {
    const fn queued(lost: u64) -> Self {
        Self {
            outcome: SendOutcome::Queued,
            lost,
            overflowed: false,
        }
    }
}

/// The messages one session still has to be sent, and the wish to close it. Never blocks: each call holds a lock
/// for a few instructions.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Taken by the transport and not yet written.
    flight: Load,
    close: Option<CloseRequest>,
    /// Changes whenever `close` does, so that a transport notices.
    close_version: u8,
    ended: bool,
    sleeper: Option<Sleeper>,
}

#[derive(Debug)]
struct Queued {
    message: Encoded,
    key: Option<u64>,
}

/// Messages and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// A transport that waits for something to do.
#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    wants_messages: bool,
}

/// What a transport has seen of its outbox, and what it waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interest {
    /// Whether new messages should wake it.
    pub(crate) messages: bool,
    /// The last close version it has seen.
    pub(crate) close_version: u8,
}

impl State {
    fn held(&self) -> Load {
        Load {
            messages: self.queue.len() + self.flight.messages,
            bytes: self.queued_bytes + self.flight.bytes,
        }
    }

    fn fits(&self, length: usize, limits: &OutboxConfig) -> bool {
        let held = self.held();
        held.messages == 0
            || (held.messages < or_unlimited(limits.messages)
                && held.bytes.saturating_add(length) <= or_unlimited(limits.bytes))
    }

    fn push(&mut self, message: Encoded, key: Option<u64>) {
        self.queued_bytes += message.len();
        self.queue.push_back(Queued { message, key });
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.queue.pop_front();
        self.queued_bytes -= oldest.as_ref().map_or(0, |oldest| oldest.message.len());
        oldest.is_some()
    }

    fn drop_same(&mut self, key: u64) -> bool {
        let Some(at) = self.queue.iter().position(|queued| queued.key == Some(key)) else {
            return false;
        };
        let same = self.queue.remove(at).expect("the position was just found");
        self.queued_bytes -= same.message.len();
        true
    }

    fn discard(&mut self) -> u64 {
        self.queued_bytes = 0;
        std::mem::take(&mut self.queue).len() as u64
    }

    fn accepts(&self) -> bool {
        !self.ended
            && self
                .close
                .as_ref()
                .is_none_or(|close| close.handler_until.is_some())
    }

    fn wake_for_message(&mut self) -> Option<Waker> {
        self.sleeper
            .take_if(|sleeper| sleeper.wants_messages)
            .map(|sleeper| sleeper.waker)
    }

    fn wake(&mut self) -> Option<Waker> {
        self.sleeper.take().map(|sleeper| sleeper.waker)
    }
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
        }
    }

    /// An outbox that takes nothing.
    pub(crate) fn closed() -> Self {
        Self {
            state: Mutex::new(State {
                ended: true,
                ..State::default()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message or says why not.
    pub(crate) fn send(&self, message: Encoded, policy: OutboxPolicy, limits: &OutboxConfig) -> Sent {
        let mut state = self.lock();
        if !state.accepts() {
            return Sent {
                outcome: SendOutcome::Closed,
                lost: 0,
                overflowed: false,
            };
        }
        let (key, mut lost) = match policy {
            OutboxPolicy::KeepLatest(key) => (Some(key), u64::from(state.drop_same(key))),
            _ => (None, 0),
        };
        if !state.fits(message.len(), limits) {
            match policy {
                OutboxPolicy::Close => {
                    return Sent {
                        outcome: SendOutcome::Closed,
                        lost: 1,
                        overflowed: true,
                    };
                }
                OutboxPolicy::DropNewest => {
                    return Sent {
                        outcome: SendOutcome::Dropped,
                        lost: 1,
                        overflowed: false,
                    };
                }
                OutboxPolicy::DropOldest | OutboxPolicy::KeepLatest(_) => {
                    while !state.fits(message.len(), limits) && state.drop_oldest() {
                        lost += 1;
                    }
                }
            }
        }
        state.push(message, key);
        let waker = state.wake_for_message();
        drop(state);
        wake(waker);
        Sent::queued(lost)
    }

    /// Asks for the end. The first wish counts, except that one which discards replaces one that still waits for a
    /// handler. Gives the number of messages thrown away, or `None` when the wish was not taken.
    pub(crate) fn close(&self, request: CloseRequest) -> Option<u64> {
        let mut state = self.lock();
        let waits = state
            .close
            .as_ref()
            .is_some_and(|close| close.handler_until.is_some());
        if state.ended || (state.close.is_some() && !(waits && request.discard)) {
            return None;
        }
        let lost = if request.discard { state.discard() } else { 0 };
        state.close = Some(request);
        state.close_version = state.close_version.wrapping_add(1);
        let waker = state.wake();
        drop(state);
        wake(waker);
        Some(lost)
    }

    /// No handler is waited for any more: from now on `send` is refused.
    pub(crate) fn seal(&self) {
        if let Some(close) = self.lock().close.as_mut() {
            close.handler_until = None;
        }
    }

    /// The wish to close and its version.
    pub(crate) fn close_request(&self) -> (Option<CloseRequest>, u8) {
        let state = self.lock();
        (state.close.clone(), state.close_version)
    }

    pub(crate) fn close_version(&self) -> u8 {
        self.lock().close_version
    }

    /// Whether a wish to close is there, or the end was reached.
    pub(crate) fn is_closing(&self) -> bool {
        let state = self.lock();
        state.ended || state.close.is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Moves waiting messages to the transport until `room` is used up; they count as held until
    /// [`written`](Self::written).
    pub(crate) fn take(&self, room: Load, mut give: impl FnMut(Encoded)) {
        let mut state = self.lock();
        let mut taken = Load::default();
        while taken.messages < room.messages && taken.bytes < room.bytes {
            let Some(queued) = state.queue.pop_front() else {
                // A burst must not leave its memory with a session that has fallen silent.
                if state.queue.capacity() > 16 {
                    state.queue = VecDeque::new();
                }
                break;
            };
            taken.messages += 1;
            taken.bytes += queued.message.len();
            give(queued.message);
        }
        state.queued_bytes -= taken.bytes;
        state.flight.messages += taken.messages;
        state.flight.bytes += taken.bytes;
    }

    /// The transport has written (or has given up) messages it took.
    pub(crate) fn written(&self, load: Load) {
        let mut state = self.lock();
        // After the end nothing is in flight any more, whatever a late transport says.
        state.flight.messages = state.flight.messages.saturating_sub(load.messages);
        state.flight.bytes = state.flight.bytes.saturating_sub(load.bytes);
    }

    /// Whether half of a limit is used up.
    pub(crate) fn is_half_full(&self, limits: &OutboxConfig) -> bool {
        let held = self.lock().held();
        held.messages > or_unlimited(limits.messages) / 2 || held.bytes > or_unlimited(limits.bytes) / 2
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// The end: nothing enters or leaves any more. Gives the messages that were queued or in flight.
    pub(crate) fn end(&self) -> u64 {
        let mut state = self.lock();
        let in_flight = std::mem::take(&mut state.flight).messages as u64;
        let undelivered = state.discard() + in_flight;
        state.ended = true;
        let waker = state.wake();
        drop(state);
        wake(waker);
        undelivered
    }

    /// Goes to sleep until something of `interest` happens; `false`: something is there already.
    pub(crate) fn sleep(&self, interest: Interest, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        let has_news = state.ended
            || state.close_version != interest.close_version
            || (interest.messages && !state.queue.is_empty());
        if has_news {
            return false;
        }
        match &mut state.sleeper {
            Some(sleeper) if sleeper.waker.will_wake(context.waker()) => {
                sleeper.wants_messages = interest.messages;
            }
            sleeper => {
                let waker = context.waker().clone();
                *sleeper = Some(Sleeper {
                    waker,
                    wants_messages: interest.messages,
                });
            }
        }
        true
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
