//! The stream as hyper sees it: it counts its bytes and notes when answers are written and when the socket fails.

use crate::IoStream;
use crate::stream_cell::StreamCell;
use crate::traffic::Traffic;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream as hyper sees it.
pub(crate) struct MeteredStream {
    stream: StreamCell,
    is_vectored: bool,
    traffic: Arc<Traffic>,
}

impl MeteredStream {
    pub(crate) fn new(stream: StreamCell, traffic: Arc<Traffic>) -> Self {
        let is_vectored = stream.with(|stream| stream.is_write_vectored());
        Self {
            stream,
            is_vectored,
            traffic,
        }
    }

    pub(crate) fn into_stream(self) -> IoStream {
        self.stream.take()
    }

    fn noted<T>(&self, outcome: Poll<io::Result<T>>, note: impl FnOnce(&Traffic, &T)) -> Poll<io::Result<T>> {
        match &outcome {
            Poll::Ready(Ok(value)) => note(&self.traffic, value),
            Poll::Ready(Err(error)) => self.traffic.failed(error),
            Poll::Pending => {}
        }
        outcome
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining() > 0);
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_read(cx, buf));
        self.traffic.note_reading(outcome.is_pending());
        self.noted(outcome, |traffic, ()| match buf.filled().len() - before {
            0 if room => traffic.ended(),
            bytes => traffic.read(bytes),
        })
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_write(cx, buf));
        self.noted(outcome, |traffic, count| traffic.wrote(*count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper flushes the stream only when it has nothing left to write.
        let outcome = self.stream.with(|stream| Pin::new(stream).poll_flush(cx));
        self.noted(outcome, |traffic, ()| traffic.flushed())
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
