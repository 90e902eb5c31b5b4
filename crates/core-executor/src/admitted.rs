//! A stream that holds its connection's place in the budget.

use crate::ConnectionPermit;
use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream and, where one was taken, its connection's place among the connections there may be.
///
/// The place goes where the stream goes and is given back with it: whoever takes the stream out is handed the permit.
#[derive(Debug)]
pub struct Admitted<T> {
    stream: T,
    permit: Option<ConnectionPermit>,
}

impl<T> Admitted<T> {
    pub(crate) fn with(stream: T, permit: Option<ConnectionPermit>) -> Self {
        Self { stream, permit }
    }

    /// The stream, and what has to be kept for as long as it is open.
    pub fn into_parts(self) -> (T, Option<ConnectionPermit>) {
        (self.stream, self.permit)
    }
}

/// A stream that was not admitted by a budget: a client's, a test's.
impl<T> From<T> for Admitted<T> {
    fn from(stream: T) -> Self {
        Self { stream, permit: None }
    }
}

impl<T> Deref for Admitted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.stream
    }
}

impl<T> DerefMut for Admitted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.stream
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Admitted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Admitted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
