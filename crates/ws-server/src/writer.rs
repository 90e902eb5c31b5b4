//! Frames on their way to the socket: whole frames in order, control frames between them, one system call for many.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use crate::deflate::Compression;
use crate::encoded::Encoded;
use crate::gathered::Gathered;
use crate::outbox::{Load, Offer};
use crate::socket;

/// Frames handed to the kernel by one call.
pub(crate) const SLICES: usize = 64;
/// Bytes taken from the outbox before they are written.
const BATCH_BYTES: usize = 256 * 1024;
/// Answers to pings that may wait; RFC 6455 §5.5.3 lets the older ones go unanswered.
const MAX_PONGS: usize = 32;

/// The frames that are being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    queue: VecDeque<Outgoing>,
    /// Small messages behind those of the queue.
    gathered: Option<Box<Gathered>>,
    /// Whether a part of the first frame is out already.
    is_begun: bool,
    /// How messages are compressed, where permessage-deflate was negotiated.
    compression: Option<Box<Compression>>,
}

#[derive(Debug)]
struct Outgoing {
    kind: Kind,
    /// What is left of the frame.
    rest: Bytes,
    /// What it counts in the outbox: the length of the whole frame before compression.
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Ping,
    Pong,
    Close,
}

/// What a write achieved.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Messages that are out whole, with the bytes they counted in the outbox.
    pub(crate) messages: Load,
    /// Bytes that are out.
    pub(crate) bytes: usize,
}

impl Outgoing {
    fn new(kind: Kind, frame: Bytes) -> Self {
        Self {
            kind,
            length: frame.len(),
            rest: frame,
        }
    }
}

impl Writer {
    /// A writer of a connection that agreed on permessage-deflate.
    pub(crate) fn with_compression(compression: Option<Compression>) -> Self {
        Self {
            compression: compression.map(Box::new),
            ..Self::default()
        }
    }

    /// Whether no frame is queued and a message's frame may be written just as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.queue.is_empty() && self.compression.is_none()
    }

    pub(crate) fn has_gathered(&self) -> bool {
        self.gathered.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.gathered.is_none()
    }

    /// Puts a small message, to be sent as it is, behind everything else. Returns whether there is room for more.
    pub(crate) fn gather(&mut self, message: &Offer<'_>) -> bool {
        let gathered = self.gathered.get_or_insert_with(Gathered::new);
        gathered.push(message);
        !gathered.is_full()
    }

    /// The small messages at the end, if there are any.
    #[inline]
    pub(crate) fn gathered(&mut self) -> Option<&mut Gathered> {
        self.gathered.as_deref_mut()
    }

    /// No more may be put there without a question.
    pub(crate) fn close_gathered(&mut self) {
        if let Some(gathered) = self.gathered() {
            gathered.close();
        }
    }

    /// What has joined the small messages and is not counted by the outbox yet.
    pub(crate) fn uncounted(&self) -> Load {
        self.gathered
            .as_ref()
            .map_or_else(Load::default, |gathered| gathered.uncounted())
    }

    /// What was gathered could not be written by itself: its frames wait like all others.
    fn seal(&mut self) {
        if let Some(gathered) = self.gathered.take() {
            gathered.split(|frame| self.queue.push_back(Outgoing::new(Kind::Message, frame)));
        }
    }

    /// Gives back the memory of a burst.
    pub(crate) fn rest(&mut self) {
        if self.queue.is_empty() {
            self.queue.shrink_to_fit();
        }
    }

    /// How much the next batch may take from the outbox.
    pub(crate) fn room(&self) -> Load {
        Load {
            messages: SLICES.saturating_sub(self.queue.len()),
            bytes: BATCH_BYTES,
        }
    }

    pub(crate) fn push_message(&mut self, message: Encoded) {
        self.seal();
        let length = message.len();
        let rest = match &mut self.compression {
            None => message.into_frame(),
            Some(compression) => compression.frame(&message),
        };
        self.queue.push_back(Outgoing {
            kind: Kind::Message,
            rest,
            length,
        });
    }

    /// A message of which the first bytes are out already; nothing else may be under way.
    pub(crate) fn push_begun(&mut self, message: Encoded, written: usize) {
        self.push_message(message);
        self.advance(written);
    }

    /// The first bytes of the first frame are out already.
    pub(crate) fn skip(&mut self, written: usize) {
        self.advance(written);
    }

    /// Queues the Close behind everything else.
    pub(crate) fn push_close(&mut self, frame: Bytes) {
        self.seal();
        self.queue.push_back(Outgoing::new(Kind::Close, frame));
    }

    /// Queues an answer to a ping in front of the messages that are not begun. The oldest gives way when too many
    /// wait for a peer that does not read.
    pub(crate) fn push_pong(&mut self, frame: Bytes) {
        let begun = usize::from(self.is_begun);
        let mut waiting = self
            .queue
            .iter()
            .enumerate()
            .skip(begun)
            .filter(|(_, out)| out.kind == Kind::Pong);
        let oldest = waiting.next().map(|(at, _)| at);
        if let Some(oldest) = oldest.filter(|_| self.pongs() >= MAX_PONGS) {
            self.queue.remove(oldest);
        }
        self.insert_control(Outgoing::new(Kind::Pong, frame));
    }

    fn pongs(&self) -> usize {
        self.queue
            .iter()
            .take(MAX_PONGS + 2)
            .filter(|out| out.kind == Kind::Pong)
            .count()
    }

    /// Queues a ping unless one waits already.
    pub(crate) fn push_ping(&mut self, frame: Bytes) {
        if self.queue.iter().all(|out| out.kind != Kind::Ping) {
            self.insert_control(Outgoing::new(Kind::Ping, frame));
        }
    }

    /// A control frame goes behind the frame that is begun and the control frames before it.
    fn insert_control(&mut self, control: Outgoing) {
        let begun = usize::from(self.is_begun);
        let controls = self
            .queue
            .iter()
            .skip(begun)
            .take_while(|out| matches!(out.kind, Kind::Ping | Kind::Pong))
            .count();
        self.queue.insert(begun + controls, control);
    }

    /// Throws away the messages of which nothing is out yet.
    pub(crate) fn discard(&mut self) -> Load {
        self.seal();
        let mut gone = Load::default();
        let mut keep_first = self.is_begun;
        self.queue.retain(|out| {
            let keep = std::mem::take(&mut keep_first) || out.kind != Kind::Message;
            if !keep {
                gone.messages += 1;
                gone.bytes += out.length;
            }
            keep
        });
        gone
    }

    /// Writes once, as many frames as one call takes. There must be one.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Progress>> {
        let stream = Pin::new(stream);
        if let Some(gathered) = self.gathered.as_ref().filter(|_| self.queue.is_empty()) {
            let outcome = stream.poll_write(context, gathered.bytes());
            self.close_gathered();
            return Poll::Ready(self.gathered_out(ready!(outcome)));
        }
        self.seal();
        let written = if self.queue.len() == 1 || !stream.is_write_vectored() {
            ready!(stream.poll_write(context, &self.queue[0].rest))?
        } else {
            ready!(self.with_slices(|slices| stream.poll_write_vectored(context, slices)))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(self.advance(written)))
    }

    /// The same without a wait, for any thread that may write to the socket.
    pub(crate) fn try_write(&mut self, socket: &OwnedWriteHalf) -> io::Result<Progress> {
        if let Some(gathered) = self.gathered.as_ref().filter(|_| self.queue.is_empty()) {
            let outcome = socket::send(socket.as_ref(), gathered.bytes());
            self.close_gathered();
            return self.gathered_out(outcome);
        }
        self.seal();
        let written = match &self.queue.as_slices() {
            ([only], []) => socket::send(socket.as_ref(), &only.rest)?,
            _ => self.with_slices(|slices| socket.try_write_vectored(slices))?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(self.advance(written))
    }

    /// What was gathered was written by one call, with this outcome.
    fn gathered_out(&mut self, outcome: io::Result<usize>) -> io::Result<Progress> {
        let written = outcome?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let is_all = |gathered: &mut Box<Gathered>| gathered.bytes().len() == written;
        let Some(gathered) = self.gathered.take_if(is_all) else {
            self.seal();
            return Ok(self.advance(written));
        };
        let messages = Load {
            messages: gathered.messages(),
            bytes: written,
        };
        gathered.recycle();
        Ok(Progress {
            messages,
            bytes: written,
        })
    }

    fn with_slices<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut filled = 0;
        for (slice, out) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(&out.rest);
            filled += 1;
        }
        write(&slices[..filled])
    }

    fn advance(&mut self, written: usize) -> Progress {
        let mut progress = Progress {
            bytes: written,
            ..Progress::default()
        };
        let mut left = written;
        while let Some(first) = self.queue.front_mut() {
            if left < first.rest.len() {
                self.is_begun |= left > 0;
                first.rest.advance(left);
                break;
            }
            left -= first.rest.len();
            self.is_begun = false;
            if first.kind == Kind::Message {
                progress.messages.messages += 1;
                progress.messages.bytes += first.length;
            }
            self.queue.pop_front();
        }
        // A burst must not leave its memory with a session that has fallen silent.
        if self.queue.is_empty() && self.queue.capacity() > SLICES {
            self.queue = VecDeque::new();
        }
        progress
    }
}

#[cfg(test)]
#[path = "writer/tests.rs"]
mod tests;
