//! How the gate ends a connection: what is owed goes out, then the refusal, then the end.

use super::{Gate, Refusal};
use crate::{CloseReason, RefusedFor};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long a peer that was refused may go on sending and be heard, so that it reads the answer: a socket closed with
/// unread bytes in it sends a reset, which may overtake the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_millis(500);
/// How many bytes of it are thrown away.
const LINGER_BYTES: usize = 1 << 20;
/// The same of somebody who sent too much already.
const LINGER_BYTES_OF_A_FLOOD: usize = 24 * 1024;

/// No further request is taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// Once everything is answered, the connection ends without a word.
    Silent(CloseReason, RefusedFor),
    /// Once everything is answered, this is the last answer.
    Refused(Refusal),
    /// A request that hyper has is at fault; its answer comes from where its handler's would have come.
    WithinRequest,
    /// Hyper has been told that nothing comes any more; what remains to be written, when anything does.
    Told(Option<Refusal>),
    /// Everything is written; bytes of the peer are thrown away, so many more, until then.
    Lingering(usize, Instant),
}

impl Gate {
    /// The request at hand is refused.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.inbox.drop_held();
        if self.framing.is_in_body() {
            self.count(refusal.reason, refusal.counted);
            self.traffic.refuse(self.admitted, refusal);
            self.ending = Some(Ending::WithinRequest);
        } else {
            self.ending = Some(Ending::Refused(refusal));
        }
    }

    /// What hyper reads when no further request is taken: nothing, once it owes no answer.
    pub(super) fn poll_end(&mut self, ending: Ending) -> Poll<io::Result<()>> {
        let told = match ending {
            Ending::WithinRequest | Ending::Told(_) | Ending::Lingering(..) => return Poll::Ready(Ok(())),
            _ if !self.is_idle() => {
                self.traffic.note_reading(false);
                self.wakes_reader = true;
                return Poll::Pending;
            }
            Ending::Silent(reason, counted) => {
                self.count(reason, counted);
                None
            }
            Ending::Refused(refusal) => {
                self.count(refusal.reason, refusal.counted);
                Some(refusal)
            }
        };
        self.ending = Some(Ending::Told(told));
        Poll::Ready(Ok(()))
    }

    /// Writes what is left, ends the stream, and hears the peer out when it may still be sending.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.ending {
                Some(Ending::Lingering(left, until)) => return self.poll_linger(cx, left, until),
                Some(Ending::Told(Some(refusal))) => {
                    refusal.write_to(self.outbox.bytes());
                    self.ending = Some(Ending::Told(None));
                }
                _ => {
                    ready!(self.poll_write_out(cx))?;
                    ready!(self.stream().poll_flush(cx))?;
                    self.traffic.flushed();
                    ready!(self.stream().poll_shutdown(cx))?;
                    match self.linger_bytes() {
                        0 => return Poll::Ready(Ok(())),
                        bytes => self.ending = Some(Ending::Lingering(bytes, Instant::now() + LINGER)),
                    }
                }
            }
        }
    }

    /// How much may still be on its way, from a peer that is within a request.
    fn linger_bytes(&self) -> usize {
        use CloseReason::{BadRequest, BodyStalled, HeadTimeout, HeadTooLarge};
        match self.traffic.verdict() {
            Some(HeadTooLarge) => LINGER_BYTES_OF_A_FLOOD,
            Some(BadRequest | BodyStalled | HeadTimeout) => LINGER_BYTES,
            None if self.framing.is_in_body() => LINGER_BYTES,
            _ => 0,
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, mut left: usize, until: Instant) -> Poll<io::Result<()>> {
        let mut thrown_away = [0; 4096];
        while left > 0 {
            let mut buf = ReadBuf::new(&mut thrown_away);
            match self.stream().poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    let count = buf.filled().len();
                    self.traffic.read(count);
                    left = left.saturating_sub(count);
                    self.ending = Some(Ending::Lingering(left, until));
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.clock.poll(cx, until).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn count(&mut self, reason: CloseReason, counted: RefusedFor) {
        if self.traffic.end_as(reason) {
            self.rules.metrics.count_refused(counted);
        }
    }
}
