//! Outwards: answers to requests that came together leave together, and a peer that takes nothing is given up.

use super::Gate;
use super::stream::Held;
use crate::{CloseReason, RefusedFor};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes of an answer that are rather copied than written in pieces.
const SMALL: usize = 1024;

impl Gate {
    /// Takes a part of an answer: writes it, or keeps it while another request is there to be answered. A small one in
    /// pieces is put together, because the kernel takes one piece faster.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = bufs.iter().map(|buf| buf.len()).sum();
        if self.has_more_requests() || !self.outbox.is_empty() {
            if self.outbox.has_room(count) {
                bufs.iter().for_each(|buf| self.outbox.push(buf));
                return Poll::Ready(Ok(count));
            }
            ready!(self.poll_write_out(cx))?;
        }
        let outcome = match bufs {
            [buf] => self.stream().poll_write(cx, buf),
            bufs if count <= SMALL => {
                let mut space = [const { MaybeUninit::uninit() }; SMALL];
                let mut together = ReadBuf::uninit(&mut space);
                bufs.iter().for_each(|buf| together.put_slice(buf));
                self.stream().poll_write(cx, together.filled())
            }
            bufs => self.stream().poll_write_vectored(cx, bufs),
        };
        self.poll_written(cx, outcome)
    }

    /// Hyper has written all it has. What is kept is kept on only if hyper goes on with the next request at once, so
    /// no answer ever waits for a handler.
    pub(super) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held == Held::Http2 {
            return Poll::Ready(Ok(()));
        }
        if self.traffic.is_descriptor_wanted() {
            self.lend_descriptor();
        }
        if !self.outbox.is_empty() {
            if self.has_more_requests() && !self.traffic.is_handling() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write_out(cx))?;
        }
        if let Err(error) = ready!(self.stream().poll_flush(cx)) {
            self.traffic.failed(&error);
            return Poll::Ready(Err(error));
        }
        if self.traffic.flushed() {
            if self.wakes_reader {
                self.wakes_reader = false;
                cx.waker().wake_by_ref();
            }
            if self.is_idle() {
                self.begin_idling(cx);
            }
        }
        self.watch(cx)?;
        Poll::Ready(Ok(()))
    }

    /// Writes what was kept.
    pub(super) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = std::mem::take(&mut self.outbox);
        let outcome = outbox.poll_write_out(|bytes| {
            let outcome = self.stream().poll_write(cx, bytes);
            self.poll_written(cx, outcome)
        });
        self.outbox = outbox;
        outcome
    }

    /// Hyper has another whole request that it has not begun.
    pub(super) fn has_more_requests(&self) -> bool {
        self.admitted > self.traffic.requests()
    }

    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(count)) => {
                self.stalled = None;
                self.traffic.wrote(*count);
            }
            Poll::Ready(Err(error)) => self.traffic.failed(error),
            Poll::Pending => {
                if self.traffic.is_descriptor_wanted() {
                    self.lend_descriptor();
                }
                // Hyper comes no further than this, and a peer that does not read may leave as any other.
                self.watch(cx)?;
                return self.poll_reader(cx);
            }
        }
        outcome
    }

    /// The peer takes nothing: for how long is limited.
    fn poll_reader(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let limit = self.rules.limits.write_stall_timeout;
        if limit.is_zero() {
            return Poll::Pending;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        ready!(self.clock.poll(cx, since + limit));
        self.count(CloseReason::WriteStalled, RefusedFor::WriteStall);
        self.stream().close_with_reset();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
