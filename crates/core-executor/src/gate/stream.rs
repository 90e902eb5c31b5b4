//! The stream as hyper sees it.

use super::clock::Clock;
use super::ending::Ending;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::{Bounds, Framing};
use crate::http2::Http2Limits;
use crate::traffic::Traffic;
use crate::{ConnectionLimits, ConnectionMetrics, IoStream};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What all connections of a server have in common.
pub(crate) struct Rules {
    pub(super) limits: ConnectionLimits,
    pub(super) bounds: Bounds,
    pub(super) metrics: ConnectionMetrics,
}

impl Rules {
    pub(crate) fn new(limits: ConnectionLimits, metrics: ConnectionMetrics) -> Self {
        Self {
            limits,
            bounds: Bounds::from(&limits),
            metrics,
        }
    }

    /// What holds for a connection that turns out to be HTTP/2.
    pub(crate) fn limits(&self) -> Http2Limits {
        Http2Limits {
            first_byte: self.limits.first_byte_timeout,
            preface: self.limits.head_timeout,
            idle: self.limits.keep_alive,
            write_stall: self.limits.write_stall_timeout,
            body_stall: self.limits.body_stall_timeout,
            head: self.bounds.head,
            headers: self.bounds.headers,
        }
    }

    /// Bytes that hyper may read ahead: the largest head has room in it.
    pub(crate) fn buffer_size(&self) -> usize {
        (self.bounds.head + 1024).max(64 * 1024)
    }

    /// The header fields that hyper must be told of; up to 100 need no allocation and no word.
    pub(crate) fn many_headers(&self) -> Option<usize> {
        (self.bounds.headers > 100).then_some(self.bounds.headers)
    }
}

/// What the peer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    FirstByte,
    NextRequest,
    RestOfHead,
    Body,
}

/// Why bytes are held in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// They are not a whole head.
    Partial,
    /// As many requests as may be are not answered yet.
    TooMany,
    /// They stand behind a request that may switch protocols.
    Undecided,
    /// They are the beginning of HTTP/2.
    Http2,
}

/// Stands between the stream and hyper.
///
/// Inwards it follows the framing of every request. Hyper gets whole heads, and bodies as they come; of a refused
/// request whose head is at fault it gets no byte, so an answer can never be missing or come twice. Outwards it lets
/// answers to requests that came together leave together. It keeps the limits of the connection with one timer.
///
/// It counts what goes through it in [`Traffic`], where the rest of the connection reads it.
pub(crate) struct Gate {
    /// Absent once it was handed over to another protocol.
    pub(super) stream: Option<IoStream>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) rules: Arc<Rules>,
    pub(super) framing: Framing,
    /// Requests whose head hyper has, or gets from the inbox.
    pub(super) admitted: u64,
    pub(super) inbox: Inbox,
    pub(super) held: Held,
    /// It sent more requests at once than may be unanswered.
    pub(super) was_held_up: bool,
    pub(super) outbox: Outbox,
    pub(super) clock: Clock,
    /// What the peer is waited for, and since when.
    pub(super) wait: Option<(Wait, Instant)>,
    /// Since when the peer takes nothing of what is written.
    pub(super) stalled: Option<Instant>,
    /// Hyper waits for bytes, and the next answer decides whether it gets some.
    pub(super) wakes_reader: bool,
    /// Set when no further request is taken.
    pub(super) ending: Option<Ending>,
}

impl Gate {
    pub(crate) fn new(stream: IoStream, traffic: Arc<Traffic>, rules: Arc<Rules>) -> Self {
        Self {
            stream: Some(stream),
            traffic,
            rules,
            framing: Framing::new(),
            admitted: 0,
            inbox: Inbox::default(),
            held: Held::Partial,
            was_held_up: false,
            outbox: Outbox::default(),
            clock: Clock::default(),
            wait: Some((Wait::FirstByte, Instant::now())),
            stalled: None,
            wakes_reader: false,
            ending: None,
        }
    }

    /// The stream, and the bytes that were read from it and not given to hyper.
    pub(crate) fn into_parts(mut self) -> (IoStream, Bytes) {
        self.outbox = Outbox::default();
        let stream = self.stream.take().expect("hyper hands a stream out once");
        (stream, mem::take(&mut self.inbox).into_bytes())
    }

    pub(super) fn stream(&mut self) -> Pin<&mut IoStream> {
        let stream = self.stream.as_mut();
        Pin::new(stream.expect("nobody reads or writes behind a change of the protocol"))
    }

    /// The stream goes to HTTP/2, with what was read of it.
    pub(super) fn hand_over(&mut self, early: &[u8]) {
        if let Some(stream) = self.stream.take() {
            self.traffic.speaks_http2(stream, early);
        }
    }

    /// Gives whoever watches for the peer's departure a descriptor, when that was asked for.
    #[cold]
    pub(super) fn lend_descriptor(&self) {
        if let Some(stream) = &self.stream {
            let descriptor = stream.descriptor();
            self.traffic
                .give_descriptor(descriptor.map(|descriptor| descriptor.try_clone_to_owned()));
        }
    }

    /// Every request that was admitted has its whole answer.
    pub(super) fn is_idle(&self) -> bool {
        self.admitted == self.traffic.requests() && self.traffic.owes_nothing()
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_admit(cx, buf)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_answered(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

/// Answers that wait for a later one, which will not come: its handler or its body failed.
impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream
            && !self.outbox.is_empty()
        {
            let traffic = &self.traffic;
            // Whatever the socket does not take at once is lost, and no timer may be asked for outside a runtime.
            let _ = self.outbox.poll_write_out(|bytes| {
                let mut cx = Context::from_waker(Waker::noop());
                let outcome = Pin::new(&mut *stream).poll_write(&mut cx, bytes);
                if let Poll::Ready(Ok(count)) = &outcome {
                    traffic.wrote(*count);
                }
                outcome
            });
        }
    }
}
