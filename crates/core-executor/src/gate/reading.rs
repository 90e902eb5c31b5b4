//! Inwards: what hyper gets of the bytes that are read, and how long the peer is waited for.

use super::ending::Ending;
use super::stream::{Held, Wait};
use super::{Gate, Refusal, Step, preface};
use crate::{CloseReason, RefusedFor, turn_clock};
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

/// Bytes that are kept of what follows a request that may switch protocols.
const MOST_UNDECIDED: usize = 16 * 1024;
/// Without a request for this long, a connection lets go of what it serves them with.
const IDLE: Duration = Duration::from_secs(1);
/// Bytes that are read at once when they go into the inbox.
const PIECE: usize = 4 * 1024;
/// The same beside a handler, where hardly ever anything comes.
const SMALL_PIECE: usize = 1024;

impl Gate {
    /// Gives hyper bytes of requests that may be served.
    pub(super) fn poll_admit(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            self.decide();
            if !self.inbox.is_empty() {
                self.admit_held();
                if self.inbox.give(buf) {
                    self.traffic.note_reading(false);
                    return Poll::Ready(Ok(()));
                }
            }
            if let Some(ending) = self.ending {
                return self.poll_end(ending);
            }
            if !self.wants_bytes() {
                return self.poll_answer();
            }
            match self.poll_fill(cx, buf) {
                Poll::Ready(Ok(0)) => return self.poll_peer_ended(),
                Poll::Ready(Ok(_)) if buf.filled().len() > before => {
                    self.traffic.note_reading(false);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    self.traffic.failed(&error);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => ready!(self.poll_peer(cx)),
            }
        }
    }

    /// Reads, and admits what may be admitted of it: in place when nothing is held, which is nearly always.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        if !self.inbox.is_empty() {
            let piece = buf.remaining().min(PIECE);
            let mut piece = ReadBuf::new(buf.initialize_unfilled_to(piece));
            ready!(self.stream().poll_read(cx, &mut piece))?;
            let bytes = piece.filled();
            self.traffic.read(bytes.len());
            self.inbox.push(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let before = buf.filled().len();
        ready!(self.stream().poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        let count = bytes.len();
        self.traffic.read(count);
        let admitted = self.admit(bytes);
        if admitted < count && self.ending.is_none() {
            self.inbox.push(&bytes[admitted..]);
        }
        buf.set_filled(before + admitted);
        Poll::Ready(Ok(count))
    }

    /// Reads while an answer is owed and hyper does not read the request's body, so that the client's departure is heard
    /// of. Hyper would do it with its own buffer, which the request keeps, and make another one for each request.
    ///
    /// # Errors
    /// The client has left.
    #[inline]
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.traffic.owes_nothing() || self.framing.is_in_body() {
            true => Ok(()),
            false => self.read_beside(cx),
        }
    }

    fn read_beside(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.ending.is_none() && !self.has_more_requests() && self.wants_bytes() {
            let mut space = [const { MaybeUninit::uninit() }; SMALL_PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            match self.stream().poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if piece.filled().is_empty() => {
                    return match self.poll_peer_ended() {
                        Poll::Ready(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                        Poll::Pending => Ok(()),
                    };
                }
                Poll::Ready(Ok(())) => {
                    self.traffic.read(piece.filled().len());
                    self.inbox.push(piece.filled());
                    self.admit_held();
                }
                Poll::Ready(Err(error)) => {
                    self.traffic.failed(&error);
                    return Err(error);
                }
                Poll::Pending => {
                    // At the end of its time, which is that of the next request, hyper is told when it asks.
                    let _ = self.poll_peer(cx);
                    return Ok(());
                }
            }
        }
        self.traffic.note_reading(false);
        Ok(())
    }

    fn admit_held(&mut self) {
        if self.ending.is_none() && !self.inbox.held().is_empty() {
            let inbox = std::mem::take(&mut self.inbox);
            let admitted = self.admit(inbox.held());
            self.inbox = inbox;
            self.inbox.pass(admitted);
            if self.ending.is_some() {
                self.inbox.drop_held();
            }
        }
    }

    /// How many of these bytes hyper may have.
    fn admit(&mut self, bytes: &[u8]) -> usize {
        if self.admitted == 0 && preface::may_begin(bytes) {
            self.held = match preface::is_whole(bytes) {
                true => {
                    self.hand_over(bytes);
                    Held::Http2
                }
                false => Held::Partial,
            };
            return 0;
        }
        let bounds = self.rules.bounds;
        let mut admitted = 0;
        while admitted < bytes.len() {
            if !self.framing.is_in_body() && self.is_full() {
                self.hold_up();
                break;
            }
            match self.framing.step(&bytes[admitted..], &bounds) {
                Ok(Step::Head(count)) => {
                    admitted += count;
                    self.admitted += 1;
                    self.wait = None;
                }
                Ok(Step::Body(count)) => {
                    admitted += count;
                    self.wait = None;
                }
                Ok(Step::Partial) => {
                    self.held = Held::Partial;
                    break;
                }
                Ok(Step::Undecided) => {
                    self.held = Held::Undecided;
                    self.traffic.came_behind_upgrade();
                    break;
                }
                Err(refusal) => {
                    self.refuse(refusal);
                    break;
                }
            }
        }
        admitted
    }

    /// Once it is known what became of a request that could switch protocols, what follows it is known as well.
    fn decide(&mut self) {
        if self.framing.is_undecided() {
            if self.traffic.has_switched() {
                self.framing.decide(true);
            } else if self.is_idle() {
                self.framing.decide(false);
            }
        }
    }

    /// As many requests as may be are read and not answered.
    fn is_full(&self) -> bool {
        let not_begun = self.admitted - self.traffic.requests();
        not_begun + self.traffic.in_flight() >= self.rules.limits.pipeline_bound()
    }

    /// Further requests wait until one is answered, which is counted once for a connection.
    fn hold_up(&mut self) {
        self.held = Held::TooMany;
        if !self.was_held_up {
            self.was_held_up = true;
            self.rules.metrics.count_refused(RefusedFor::Pipelined);
        }
    }

    fn wants_bytes(&self) -> bool {
        match self.held {
            _ if self.inbox.is_empty() => true,
            Held::Partial => true,
            Held::TooMany | Held::Http2 => false,
            Held::Undecided => self.inbox.held().len() < MOST_UNDECIDED,
        }
    }

    /// Nothing is read before the next answer is given.
    fn poll_answer(&mut self) -> Poll<io::Result<()>> {
        self.traffic.note_reading(false);
        self.wakes_reader = true;
        Poll::Pending
    }

    fn poll_peer_ended(&mut self) -> Poll<io::Result<()>> {
        if self.framing.is_undecided() && !self.inbox.is_empty() {
            // What came before the end may be for another protocol, which will hear of the end itself.
            return self.poll_answer();
        }
        if self.has_part_of_head() {
            self.traffic.left();
        } else {
            self.traffic.ended();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the peer. Ready when it took too long and the connection ends.
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.traffic.note_reading(true);
        let wait = ready!(self.poll_limit(cx));
        self.ending = Some(match wait {
            Wait::FirstByte => Ending::Silent(CloseReason::Idle, RefusedFor::FirstByteTimeout),
            Wait::NextRequest => Ending::Silent(CloseReason::Idle, RefusedFor::Idle),
            Wait::RestOfHead => Ending::Refused(Refusal::late_head()),
            Wait::Body => {
                self.refuse(Refusal::stalled_body());
                return Poll::Ready(());
            }
        });
        self.inbox.drop_held();
        Poll::Ready(())
    }

    /// Waits for the end of the peer's time, if there is one, and notes on the way that nothing came for a while.
    #[inline]
    pub(super) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Wait> {
        let Some((wait, limit)) = self.waits_for() else {
            return Poll::Pending;
        };
        let since = match self.wait {
            Some((before, since)) if before == wait => since,
            _ => Instant::now(),
        };
        self.wait = Some((wait, since));
        let is_idle = matches!(wait, Wait::FirstByte | Wait::NextRequest);
        if is_idle && limit.is_none_or(|limit| IDLE < limit) && !self.traffic.is_idle_for_long() {
            ready!(self.clock.poll(cx, since + IDLE));
            self.traffic.note_long_idle();
        }
        match limit {
            Some(limit) => self.clock.poll(cx, since + limit).map(|()| wait),
            None => Poll::Pending,
        }
    }

    /// What the peer is waited for and how long, when there is something to watch for meanwhile: a limit, or that the
    /// connection may rest.
    fn waits_for(&self) -> Option<(Wait, Option<Duration>)> {
        let limits = &self.rules.limits;
        let (wait, limit) = if self.framing.is_in_body() {
            (Wait::Body, limits.body_stall_timeout)
        } else if self.framing.is_undecided() || self.framing.is_switched() {
            return None;
        } else if self.has_part_of_head() {
            (Wait::RestOfHead, limits.head_timeout)
        } else if !self.is_idle() {
            return None;
        } else if self.admitted == 0 {
            (Wait::FirstByte, limits.first_byte_timeout)
        } else {
            (Wait::NextRequest, limits.keep_alive)
        };
        let limit = (!limit.is_zero()).then_some(limit);
        let may_rest = matches!(wait, Wait::FirstByte | Wait::NextRequest);
        (may_rest || limit.is_some()).then_some((wait, limit))
    }

    fn has_part_of_head(&self) -> bool {
        !self.inbox.is_empty() && self.framing.has_begun(self.inbox.held())
    }

    /// The last answer is given: the wait for the next request begins.
    pub(super) fn begin_idling(&mut self, cx: &mut Context<'_>) {
        if !self.has_part_of_head() {
            let limit = self.rules.limits.keep_alive;
            let first = if limit.is_zero() { IDLE } else { limit.min(IDLE) };
            let now = turn_clock::of_turn();
            self.wait = Some((Wait::NextRequest, now));
            // Ready only when the limit is shorter than this call; then the wake-up below tells.
            if self.clock.poll(cx, now + first).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;
    use crate::request_lease::RequestLease;
    use crate::traffic::Traffic;
    use crate::{ConnectionLimits, ConnectionMetrics, IoStream};
    use std::future::poll_fn;
    use std::io::IoSlice;
    use std::sync::Arc;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt;

    /// Whether a connection is noted as idle, just before the time after which it rests and then.
    async fn rests(first_byte_timeout: Duration) -> (bool, bool) {
        let limits = ConnectionLimits {
            first_byte_timeout,
            ..ConnectionLimits::default()
        };
        let rules = Arc::new(Rules::new(limits, ConnectionMetrics::new("test")));
        let traffic = Arc::new(Traffic::new(Arc::default()));
        let (_peer, stream) = tokio::io::duplex(64);
        let stream = IoStream::Boxed(Box::new(stream));
        let mut gate = Gate::new(stream, traffic.clone(), rules);
        let mut looked = async |after: Duration| {
            let limit = poll_fn(|cx| gate.poll_limit(cx));
            assert!(tokio::time::timeout(after, limit).await.is_err(), "it has no end");
            traffic.is_idle_for_long()
        };
        let margin = Duration::from_millis(10);
        (looked(IDLE - margin).await, looked(2 * margin).await)
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_watched_without_another_descriptor() {
        let rules = Arc::new(Rules::new(
            ConnectionLimits::default(),
            ConnectionMetrics::new("test"),
        ));
        let traffic = Arc::new(Traffic::new(Arc::default()));
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut gate = Gate::new(IoStream::Boxed(Box::new(stream)), traffic.clone(), rules);
        gate.admitted = 1;
        let _lease = RequestLease::new(traffic.clone());
        let answer = [0; 2000];
        let mut write = |cx: &mut Context<'_>| gate.poll_send(cx, &[IoSlice::new(&answer)]);
        assert!(poll_fn(&mut write).await.is_ok());
        assert!(write(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(traffic.is_read(), "the gate hears of its departure itself");
        peer.shutdown().await.unwrap();
        let error = poll_fn(&mut write).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(traffic.failure(), Some(CloseReason::PeerLeft));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_may_be_idle_for_ever_rests_as_one_with_a_limit_does() {
        for limit in [Duration::from_secs(20), Duration::ZERO] {
            assert_eq!(rests(limit).await, (false, true), "{limit:?}");
        }
    }
}
