//! Frames on their way to the server: whole, masked, control frames before the messages that are not begun.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::codec::masked;

/// Frames handed to the kernel by one call.
const SLICES: usize = 32;
/// Bytes of messages that are taken from the queue before they are written.
const ENOUGH: usize = 64 * 1024;
/// Answers to pings that may wait; RFC 6455 §5.5.3 lets the older ones go unanswered.
const MAX_PONGS: usize = 32;

/// The frames that are being written.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<Frame>,
    /// Bytes of `queue`.
    bytes: usize,
    /// A part of the first frame is out already.
    is_begun: bool,
    /// Bytes went out that a stream which buffers (TLS) may still hold.
    needs_flush: bool,
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    rest: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Ping,
    Pong,
    Close,
}

impl Output {
    /// Whether everything is out.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.needs_flush
    }

    /// Whether another message should be taken.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < ENOUGH && self.queue.len() < SLICES
    }

    pub(super) fn push_message(&mut self, frame: &[u8]) {
        self.insert(self.queue.len(), Kind::Message, frame);
    }

    /// Queues the Close behind everything else.
    pub(super) fn push_close(&mut self, frame: &[u8]) {
        self.insert(self.queue.len(), Kind::Close, frame);
    }

    /// Queues a ping unless one waits already.
    pub(super) fn push_ping(&mut self, frame: &[u8]) {
        if self.count(Kind::Ping) == 0 {
            self.insert(self.behind_controls(), Kind::Ping, frame);
        }
    }

    /// Queues an answer to a ping; the oldest gives way when too many wait.
    pub(super) fn push_pong(&mut self, frame: &[u8]) {
        if self.count(Kind::Pong) >= MAX_PONGS {
            let begun = usize::from(self.is_begun);
            let oldest = (begun..self.queue.len()).find(|at| self.queue[*at].kind == Kind::Pong);
            if let Some(gone) = oldest.and_then(|at| self.queue.remove(at)) {
                self.bytes -= gone.rest.len();
            }
        }
        self.insert(self.behind_controls(), Kind::Pong, frame);
    }

    fn count(&self, kind: Kind) -> usize {
        self.queue.iter().filter(|frame| frame.kind == kind).count()
    }

    /// Behind the frame that is begun and the control frames that wait.
    fn behind_controls(&self) -> usize {
        let begun = usize::from(self.is_begun);
        let controls = self.queue.iter().skip(begun);
        begun
            + controls
                .take_while(|frame| frame.kind != Kind::Message && frame.kind != Kind::Close)
                .count()
    }

    fn insert(&mut self, at: usize, kind: Kind, frame: &[u8]) {
        let rest = masked(frame, rand::random());
        self.bytes += rest.len();
        self.queue.insert(at, Frame { kind, rest });
    }

    /// Throws away every frame of which nothing is out yet. Returns how many messages went with them.
    pub(super) fn discard(&mut self) -> u64 {
        let gone = self
            .queue
            .split_off(usize::from(self.is_begun).min(self.queue.len()));
        self.bytes = self.queue.iter().map(|frame| frame.rest.len()).sum();
        gone.iter().filter(|frame| frame.kind == Kind::Message).count() as u64
    }

    /// Throws away everything: nothing can be written any more. Returns how many messages are not out whole.
    pub(super) fn abandon(&mut self) -> u64 {
        self.is_begun = false;
        self.needs_flush = false;
        self.discard()
    }

    /// Writes once, as many frames as one call takes, or flushes when all are written. Cancel safe: a call that does
    /// not finish has written nothing.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        if self.queue.is_empty() {
            stream.flush().await?;
            self.needs_flush = false;
            return Ok(());
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.queue.len().min(SLICES);
        for (slice, frame) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(&frame.rest);
        }
        let written = stream.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.needs_flush = true;
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(frame) = self.queue.front_mut() {
            let here = written.min(frame.rest.len());
            frame.rest.advance(here);
            written -= here;
            if !frame.rest.is_empty() {
                self.is_begun |= here > 0;
                return;
            }
            self.queue.pop_front();
            self.is_begun = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PONGS, Output};
    use crate::codec::{close_frame, data_frame, ping_frame, pong_frame};
    use tungstenite::protocol::frame::coding::Data;

    fn text(body: &str) -> bytes::Bytes {
        data_frame(Data::Text, body.as_bytes()).0
    }

    /// First bytes of the frames that wait.
    fn firsts(output: &Output) -> Vec<u8> {
        output.queue.iter().map(|frame| frame.rest[0]).collect()
    }

    #[test]
    fn control_frames_pass_messages_that_are_not_begun() {
        let mut output = Output::default();
        output.push_message(&text("one"));
        output.push_message(&text("two"));
        output.push_close(&close_frame(Some(1000), ""));
        output.advance(1);
        output.push_ping(&ping_frame());
        output.push_ping(&ping_frame());
        output.push_pong(&pong_frame(b"x"));
        assert_eq!(firsts(&output)[1..], [0x89, 0x8a, 0x81, 0x88]);
        assert_eq!(output.discard(), 1, "the begun one has to go out whole");
        assert_eq!(output.queue.len(), 1);
        assert_eq!(output.bytes, 8);
        assert_eq!(output.abandon(), 1);
        assert!(output.is_empty() && output.bytes == 0);
    }

    #[test]
    fn the_oldest_of_too_many_answers_gives_way() {
        let mut output = Output::default();
        for number in 0..40 {
            output.push_pong(&pong_frame(&[number]));
        }
        assert_eq!(output.queue.len(), MAX_PONGS);
        let newest = &output.queue.back().unwrap().rest;
        assert_eq!(newest[6] ^ newest[2], 39);
        assert_eq!(output.bytes, MAX_PONGS * 7);
    }

    #[test]
    fn every_frame_has_a_mask_of_its_own() {
        let mut output = Output::default();
        for _ in 0..4 {
            output.push_message(&text("x"));
        }
        let mut keys: Vec<_> = output
            .queue
            .iter()
            .map(|frame| frame.rest[2..6].to_vec())
            .collect();
        keys.sort();
        keys.dedup();
        assert!(keys.len() >= 3, "{keys:?}");
    }
}
