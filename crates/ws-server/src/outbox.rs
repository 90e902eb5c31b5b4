//! What waits for one session: bounded by messages and bytes, every loss reported to who counts it.

mod line;
mod marks;
mod offer;
mod policy;
mod sending;
mod signs;
mod sleep;
mod state;
mod written;

pub(crate) use offer::Offer;
pub(crate) use policy::{Entry, Interest, Load, Sent};
pub use policy::{OutboxPolicy, SendOutcome};
pub(crate) use written::{WriteEnd, Written};

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use self::signs::Signs;
use self::state::State;
use crate::close::CloseRequest;
use crate::closing::Closing;
use crate::config::{OutboxConfig, or_unlimited};
use crate::deflate::Compression;
use crate::encoded::Encoded;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Notify};
use crate::writer::Writer;

/// The messages one session still has to be sent, and the wish to close it. Never waits: its lock is held for a few
/// instructions, or for one write to a socket that does not block.
///
/// In this order, as in a session: what every message needs first.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Outbox {
    /// Names the task that sleeps and is woken by messages; 0 when there is none.
    sleeping_task: AtomicUsize,
    /// What the state says, for the transport's task to look at without the lock.
    signs: Signs,
    state: Mutex<State>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An outbox that takes nothing.
    pub(crate) fn closed() -> Self {
        let outbox = Self::default();
        outbox.end();
        outbox
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A connection carries the session from here on. With `socket`, whoever sends may write to it.
    pub(crate) fn connect(&self, socket: Option<OwnedWriteHalf>, compression: Option<Compression>) {
        let mut state = self.lock();
        state.writer = Writer::with_compression(compression);
        // Nobody reads a socket whose session has ended.
        if let Some(socket) = socket.filter(|_| !state.ended) {
            state.line.open(socket);
        }
        self.signs.set_work(state.has_work());
    }

    /// The session has been silent for a while: what a burst left behind is given back.
    pub(crate) fn rest(&self) {
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.queue.shrink_to_fit();
        }
        state.writer.rest();
    }

    /// The transport is over: nothing is written any more, and the task that calls lets go of its half of the socket.
    /// With `reset` the peer gets no orderly end.
    pub(crate) fn hang_up(&self, reset: bool) {
        let socket = self.lock().line.hang_up();
        if let (true, Some(socket)) = (reset, &socket) {
            // Without it the kernel would go on sending to a peer that takes nothing. If it fails, that is all.
            let _ = socket.as_ref().set_zero_linger();
        }
        // Without a word of its own: closing the socket says FIN.
        if let Some(socket) = socket {
            socket.forget();
        }
    }

    /// Says FIN.
    pub(crate) fn shutdown(&self, context: &mut Context<'_>) {
        if let Some(socket) = self.lock().line.socket() {
            // For TCP it is done at once; a failure shows when the peer's end comes.
            let _ = Pin::new(socket).poll_shutdown(context);
        }
    }

    /// Whether [`poll_write`](Self::poll_write) has something to do.
    pub(crate) fn has_work(&self) -> bool {
        self.signs.has_work()
    }

    /// The task's own writing on the line: as much as the socket takes, the Close of `closing` behind the last message.
    pub(crate) fn poll_write(&self, mut closing: Option<&mut Closing>, context: &mut Context<'_>) -> Written {
        let mut state = self.lock();
        let mut load = Load::default();
        let end = loop {
            if let Some(error) = state.line.failed.take() {
                break WriteEnd::Failed(error);
            }
            state.next_frames(closing.as_deref_mut());
            let State { writer, line, .. } = &mut *state;
            let Some(socket) = line.socket().filter(|_| !writer.is_empty()) else {
                line.is_blocked = false;
                state.flow();
                self.signs.set_work(false);
                break WriteEnd::Flushed;
            };
            match writer.poll_write(socket, context) {
                Poll::Pending => {
                    line.is_blocked = true;
                    state.stall();
                    break WriteEnd::Blocked;
                }
                Poll::Ready(Err(error)) => break WriteEnd::Failed(error),
                Poll::Ready(Ok(progress)) => {
                    line.is_blocked = false;
                    load.messages += progress.messages.messages;
                    load.bytes += progress.bytes;
                    state.progressed(progress);
                }
            }
        };
        Written { load, end }
    }

    /// The same on a stream that only the task may write to. The lock is not held while it does.
    pub(crate) fn poll_write_to<W: AsyncWrite + Unpin>(
        &self,
        stream: &mut W,
        mut closing: Option<&mut Closing>,
        context: &mut Context<'_>,
    ) -> Written {
        let mut load = Load::default();
        let end = loop {
            let mut writer = {
                let mut state = self.lock();
                state.next_frames(closing.as_deref_mut());
                if state.writer.is_empty() {
                    state.flow();
                    self.signs.set_work(false);
                    break WriteEnd::Flushed;
                }
                std::mem::take(&mut state.writer)
            };
            let outcome = writer.poll_write(stream, context);
            let mut state = self.lock();
            state.writer = writer;
            match outcome {
                Poll::Pending => {
                    state.stall();
                    break WriteEnd::Blocked;
                }
                Poll::Ready(Err(error)) => break WriteEnd::Failed(error),
                Poll::Ready(Ok(progress)) => {
                    load.messages += progress.messages.messages;
                    load.bytes += progress.bytes;
                    state.progressed(progress);
                }
            }
        };
        Written { load, end }
    }

    /// Writes a ping, or queues it in front of the messages that are not begun. Tells what is out.
    pub(crate) fn send_ping(&self, frame: Bytes) -> Load {
        self.send_control(frame, Writer::push_ping)
    }

    /// Writes the answer to a ping, or queues it in front of the messages that are not begun. Tells what is out.
    pub(crate) fn send_pong(&self, frame: Bytes) -> Load {
        self.send_control(frame, Writer::push_pong)
    }

    fn send_control(&self, frame: Bytes, push: fn(&mut Writer, Bytes)) -> Load {
        let mut state = self.lock();
        let out = state.write_control(frame, push);
        if state.has_work() {
            self.signs.set_work(true);
        }
        out
    }

    /// Throws away the messages among the frames being written of which nothing is out yet.
    pub(crate) fn discard(&self) -> Load {
        let mut state = self.lock();
        state.count_joined();
        let gone = state.writer.discard();
        state.given_up(gone);
        gone
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
        state.writer.close_gathered();
        let lost = if request.discard { state.discard() } else { 0 };
        state.close = Some(Box::new(request));
        state.close_version = state.close_version.wrapping_add(1);
        self.signs.set_close_version(state.close_version);
        let waker = self.rouse(&mut state);
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
        (state.close.as_deref().cloned(), state.close_version)
    }

    pub(crate) fn close_version(&self) -> u8 {
        self.signs.close_version()
    }

    /// Whether nothing has ended, waits to be written, or is wished for beyond this wish to close.
    #[inline]
    pub(crate) fn is_quiet(&self, close_version: u8) -> bool {
        self.signs.is_quiet(close_version)
    }

    /// Whether a wish to close is there, or the end was reached.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.signs.is_closing()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.signs.has_ended()
    }

    /// Moves waiting messages to a transport of another kind until `room` is used up; they count as held until
    /// [`written`](Self::written).
    pub(crate) fn take(&self, room: Load, give: impl FnMut(Encoded)) {
        self.lock().take(room, give);
    }

    /// The transport has written (or has given up) messages it took.
    pub(crate) fn written(&self, load: Load) {
        self.lock().written(load);
    }

    /// Whether half of a limit is used up.
    pub(crate) fn is_half_full(&self, limits: &OutboxConfig) -> bool {
        let held = self.lock().held();
        held.messages > or_unlimited(limits.messages) / 2 || held.bytes > or_unlimited(limits.bytes) / 2
    }

    /// What was given to the session and is not written.
    pub(crate) fn held(&self) -> Load {
        self.lock().held()
    }

    /// Since when its oldest message waits for a transport that takes nothing.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().oldest()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Waits until nothing is held any more. Returns whether that is because everything was written or dropped by a
    /// policy, and not because the session has ended. Cancel safe.
    pub(crate) async fn drained(&self) -> bool {
        loop {
            let notified = {
                let mut state = self.lock();
                if state.ended {
                    return false;
                }
                if state.held().messages == 0 {
                    return true;
                }
                // Made under the lock: what rings from here on is heard.
                let bell = state.drained.get_or_insert_with(|| Arc::new(Notify::new()));
                Arc::clone(bell).notified_owned()
            };
            notified.await;
        }
    }

    /// The end: nothing enters or leaves any more. Gives the messages that were queued or in flight.
    pub(crate) fn end(&self) -> u64 {
        let mut state = self.lock();
        state.count_joined();
        let in_flight = std::mem::take(&mut state.flight).messages as u64;
        let undelivered = state.discard() + in_flight;
        state.ended = true;
        state.marks = None;
        state.writer.close_gathered();
        self.signs.set_ended();
        state.ring_if_drained();
        let (socket, waker) = (state.line.hang_up(), self.rouse(&mut state));
        drop(state);
        drop(socket);
        wake(waker);
        undelivered
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

#[cfg(test)]
#[path = "outbox/waiting_tests.rs"]
mod waiting_tests;
