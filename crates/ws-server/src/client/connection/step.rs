//! What a connection waits for.

use std::future::pending;
use std::io;
use std::pin::Pin;

use core_executor::ShutdownSignal;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};
use tungstenite::protocol::Message;

use super::Connection;
use crate::client::end::{Ask, Held};
use crate::client::queue::QueueSender;

/// Bytes read by one call.
const PIECE: usize = 16 * 1024;

/// What happened next.
pub(super) enum Step {
    /// Bytes came into the input, 0 at the end of the stream.
    Read(io::Result<usize>),
    /// Bytes went out.
    Wrote(io::Result<()>),
    /// A sender queued a message; `None` when none can come any more.
    ToSend(Option<Message>),
    /// The message that waited found room, or no receiver.
    Delivered(bool),
    /// The receiver has handled what came before a violation, or has had its time.
    CaughtUp,
    /// Somebody wishes to close.
    Asked(Ask),
    /// Something is due.
    Clock,
    /// The executor ends now.
    Cut,
}

impl Connection {
    /// Waits for whatever comes first; the others lose nothing, because each of them is cancel safe.
    pub(super) async fn step(
        &mut self,
        held: &mut Held,
        signal: &ShutdownSignal,
        mut timer: Pin<&mut Sleep>,
    ) -> Step {
        let listens = self.may_read();
        let takes = self.sends() && !self.to_send.is_finished();
        let writes = !self.output.is_empty();
        let waits = self.waiting.is_some();
        let fails_at = self.failing.as_ref().map(|failing| failing.until);
        let is_closing = self.closing.is_some();
        let next = self.clock.next(listens).map(|(_, at)| at.into());
        if let Some(next) = next.filter(|next| timer.deadline() != *next || timer.is_elapsed()) {
            timer.as_mut().reset(next);
        }
        if listens {
            self.input.reserve(PIECE);
        }
        let Self {
            reader,
            writer,
            input,
            output,
            to_send,
            received,
            waiting,
            ..
        } = self;
        tokio::select! {
            read = reader.read_buf(input), if listens => Step::Read(read),
            wrote = output.write(writer), if writes => Step::Wrote(wrote),
            message = to_send.recv(), if takes => Step::ToSend(message),
            is_read = hand_over(received, waiting), if waits => Step::Delivered(is_read),
            () = catch_up(received, fails_at), if fails_at.is_some() => Step::CaughtUp,
            ask = held.asked(), if !is_closing => Step::Asked(ask),
            () = timer, if next.is_some() => Step::Clock,
            () = signal.requested_now() => Step::Cut,
        }
    }
}

/// Waits for the receiver, for so long.
async fn catch_up(received: &QueueSender, until: Option<Instant>) {
    if let Some(until) = until {
        // Both ways it is time.
        let _ = tokio::time::timeout_at(until, received.caught_up()).await;
    }
}

/// Waits for room for the message that waits. Returns whether somebody will read it.
async fn hand_over(received: &QueueSender, waiting: &mut Option<Message>) -> bool {
    let Some(message) = waiting else {
        return pending().await;
    };
    let room = received.room(message).await;
    let message = waiting.take();
    match (room, message) {
        (Ok(room), Some(message)) => {
            room.put(message);
            true
        }
        _ => false,
    }
}
