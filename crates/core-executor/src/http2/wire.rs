//! The stream as hyper's HTTP/2 sees it: it counts its bytes, and knows when the peer takes none.

use crate::stream_cell::StreamCell;
use crate::traffic::Traffic;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream as hyper sees it.
pub(super) struct Wire {
    stream: StreamCell,
    is_vectored: bool,
    /// What was read from the stream before it was known to be HTTP/2.
    early: Bytes,
    traffic: Arc<Traffic>,
    is_blocked: Arc<AtomicBool>,
}

impl Wire {
    pub(super) fn new(stream: StreamCell, early: Bytes, traffic: Arc<Traffic>) -> Self {
        Self {
            is_vectored: stream.with(|stream| stream.is_write_vectored()),
            stream,
            early,
            traffic,
            is_blocked: Arc::default(),
        }
    }

    /// Whether the last attempt to write has to be made again, because the peer takes no more for now.
    pub(super) fn blockage(&self) -> Arc<AtomicBool> {
        self.is_blocked.clone()
    }

    fn noted<T>(&self, outcome: Poll<io::Result<T>>, note: impl FnOnce(&Traffic, &T)) -> Poll<io::Result<T>> {
        self.is_blocked.store(outcome.is_pending(), Ordering::Relaxed);
        match &outcome {
            Poll::Ready(Ok(value)) => note(&self.traffic, value),
            Poll::Ready(Err(error)) => self.traffic.failed(error),
            Poll::Pending => {}
        }
        outcome
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..count]);
            self.early.advance(count);
            return Poll::Ready(Ok(()));
        }
        let (before, room) = (buf.filled().len(), buf.remaining() > 0);
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_read(cx, buf));
        match &outcome {
            Poll::Ready(Ok(())) => match buf.filled().len() - before {
                0 if room => self.traffic.ended(),
                bytes => self.traffic.read(bytes),
            },
            Poll::Ready(Err(error)) => self.traffic.failed(error),
            Poll::Pending => {}
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_write(cx, buf));
        self.noted(outcome, |traffic, count| traffic.wrote(*count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_flush(cx));
        self.noted(outcome, |_, ()| {})
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.with(|stream| Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self
            .stream
            .with(|stream| Pin::new(stream).poll_write_vectored(cx, bufs));
        self.noted(outcome, |traffic, count| traffic.wrote(*count))
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }
}
