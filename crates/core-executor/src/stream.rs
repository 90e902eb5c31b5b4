//! The bytes of a connection, whatever carries them.

use crate::gate::Gate;
use crate::{Admitted, ConnectionPermit, TlsStream};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Anything that can be read and written without blocking.
pub trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> DuplexStream for T {}

/// A connection's stream, its type erased. TCP keeps a variant of its own, so that it costs no dynamic call and can
/// be written to directly.
#[non_exhaustive]
pub enum IoStream {
    /// A TCP socket.
    Tcp(Admitted<TcpStream>),
    /// A connection under TLS.
    Tls(Box<TlsStream>),
    /// Anything else.
    Boxed(Box<dyn DuplexStream>),
}

impl fmt::Debug for IoStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => (**stream).fmt(out),
            Self::Tls(stream) => stream.fmt(out),
            Self::Boxed(_) => out.write_str("Boxed(..)"),
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            IoStream::Tcp($stream) => $call,
            IoStream::Tls($stream) => $call,
            IoStream::Boxed($stream) => $call,
        }
    };
}

impl AsyncRead for IoStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for IoStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Boxed(stream) => stream.is_write_vectored(),
        }
    }
}

impl IoStream {
    /// The same stream with its connection's place, which is given back when the stream is gone.
    #[must_use]
    pub fn holding(self, permit: ConnectionPermit) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(Admitted::with(stream.into_parts().0, Some(permit))),
            Self::Tls(stream) => Self::Boxed(Box::new(Admitted::with(stream, Some(permit)))),
            Self::Boxed(stream) => Self::Boxed(Box::new(Admitted::with(stream, Some(permit)))),
        }
    }

    /// Lets the peer have a reset instead of an orderly end, where the transport has such a thing.
    pub(crate) fn close_with_reset(&self) {
        if let Some(socket) = self.descriptor() {
            // Without it the peer gets an orderly end, which it does not read either.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Takes a connection back from hyper after an upgrade, with the bytes that hyper had read behind the request.
    ///
    /// A connection served by this crate comes back as the stream it was, with its place in the budget; one of
    /// another hyper server comes back boxed.
    pub fn from_upgraded(upgraded: Upgraded) -> (Self, Bytes) {
        match upgraded.downcast::<TokioIo<Gate>>() {
            Ok(parts) => {
                let (stream, unread) = parts.io.into_inner().into_parts();
                (stream, join(parts.read_buf, unread))
            }
            Err(other) => (Self::Boxed(Box::new(TokioIo::new(other))), Bytes::new()),
        }
    }

    /// Whether [`poll_read_ready`](Self::poll_read_ready) says more than "read it".
    pub(crate) fn tells_of_bytes(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Tls(stream) => stream.carrier().tells_of_bytes(),
            Self::Boxed(_) => false,
        }
    }

    /// Whether bytes may wait in it that the socket has given already.
    pub(crate) fn buffers(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Waits until there may be something to read, or an end, without reading it. What was read before must have been
    /// read until it was pending.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx).map(drop),
            Self::Tls(stream) => stream.carrier().poll_read_ready(cx),
            Self::Boxed(_) => Poll::Ready(()),
        }
    }

    /// The descriptor of the socket, where there is one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tcp(stream) => Some(stream.as_fd()),
            Self::Tls(stream) => stream.descriptor(),
            Self::Boxed(_) => None,
        }
    }
}

fn join(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first,
        (true, false) => second,
        (false, false) => [first, second].concat().into(),
    }
}
