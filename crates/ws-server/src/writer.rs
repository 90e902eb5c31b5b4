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
use crate::outbox::Load;

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

    /// Whether nothing is under way and a message's frame may be written just as it is.
    pub(crate) fn is_idle_and_plain(&self) -> bool {
        self.queue.is_empty() && self.compression.is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
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

    /// Writes once, as many frames as one call takes. The queue must not be empty.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Progress>> {
        let stream = Pin::new(stream);
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
        let written = match &self.queue.as_slices() {
            ([only], []) => socket.try_write(&only.rest)?,
            _ => self.with_slices(|slices| socket.try_write_vectored(slices))?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(self.advance(written))
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
mod tests {
    use super::{Load, MAX_PONGS, Writer};
    use crate::codec::{ping_frame, pong_frame};
    use crate::encoded::Encoded;

    /// What would go over the wire, a byte at a time.
    fn drain(writer: &mut Writer) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(first) = writer.queue.front() {
            bytes.push(first.rest[0]);
            writer.advance(1);
        }
        bytes
    }

    #[test]
    fn a_pong_waits_for_the_frame_that_is_begun_and_passes_the_others() {
        let mut writer = Writer::default();
        writer.push_message(Encoded::text("aa"));
        writer.push_message(Encoded::text("bb"));
        writer.advance(1);
        writer.push_pong(pong_frame(b"1"));
        writer.push_ping(ping_frame());
        writer.push_ping(ping_frame());
        writer.push_pong(pong_frame(b"2"));
        let rest = drain(&mut writer);
        assert_eq!(rest, b"\x02aa\x8a\x011\x89\x00\x8a\x012\x81\x02bb");
    }

    #[test]
    fn unanswered_pings_are_bounded_and_the_newest_are_kept() {
        let mut writer = Writer::default();
        for number in 0..=255_u8 {
            writer.push_pong(pong_frame(&[number]));
        }
        assert_eq!(writer.queue.len(), MAX_PONGS);
        assert_eq!(writer.queue.back().unwrap().rest[2], 255);
    }

    #[test]
    fn messages_count_when_their_last_byte_is_out() {
        let mut writer = Writer::default();
        let (one, two) = (Encoded::text("abc"), Encoded::text("de"));
        writer.push_message(one.clone());
        writer.push_message(two.clone());
        assert_eq!(writer.advance(4).messages, Load::default());
        assert_eq!(
            writer.advance(4).messages,
            Load {
                messages: 1,
                bytes: one.len()
            }
        );
        assert_eq!(
            writer.discard(),
            Load::default(),
            "a frame that is begun must go out whole"
        );
        assert_eq!(
            writer.advance(1).messages,
            Load {
                messages: 1,
                bytes: two.len()
            }
        );
        assert!(writer.is_empty());
    }

    #[test]
    fn discarding_leaves_control_frames_and_the_begun_frame() {
        let mut writer = Writer::default();
        for text in ["a", "b", "c"] {
            writer.push_message(Encoded::text(text));
        }
        writer.advance(1);
        writer.push_pong(pong_frame(b""));
        assert_eq!(
            writer.discard(),
            Load {
                messages: 2,
                bytes: 6
            }
        );
        assert_eq!(drain(&mut writer), b"\x01a\x8a\x00");
    }
}
