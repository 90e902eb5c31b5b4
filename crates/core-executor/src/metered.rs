//! What a connection is doing right now, and the stream that counts its bytes.

use crate::IoStream;
use crate::connection::ConnectionCounts;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Written by the connection's own task, read by it and by whoever sums up.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    /// Requests whose answer is not complete.
    in_flight: AtomicU32,
    /// The peer does not take what we write.
    write_blocked: AtomicBool,
    /// An answer of status 101 was given.
    upgraded: AtomicBool,
}

impl ConnectionState {
    pub(crate) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn mark_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Nothing is owed to the peer: no request is being answered and nothing waits to be written.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.in_flight() == 0 && !self.write_blocked.load(Ordering::Relaxed)
    }
}

impl ConnectionCounts for ConnectionState {
    fn counts(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.bytes_in), read(&self.bytes_out), read(&self.requests))
    }
}

/// The stream as hyper sees it.
pub(crate) struct MeteredStream {
    stream: IoStream,
    state: Arc<ConnectionState>,
}

impl MeteredStream {
    pub(crate) fn new(stream: IoStream, state: Arc<ConnectionState>) -> Self {
        Self { stream, state }
    }

    pub(crate) fn into_stream(self) -> IoStream {
        self.stream
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        self.state
            .write_blocked
            .store(outcome.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(count)) = outcome {
            self.state.bytes_out.fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.state
            .bytes_in
            .fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        outcome
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&outcome);
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
