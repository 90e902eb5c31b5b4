//! The stream under a connection, as its task sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use core_executor::{ConnectionPermit, IoStream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::socket;

/// What the task reads from. Whoever sends may write to a TCP socket, so its other half belongs to the outbox.
pub(super) enum Link {
    Tcp {
        read: OwnedReadHalf,
        /// The connection's place in the budget.
        _permit: Option<ConnectionPermit>,
    },
    /// TLS, an HTTP/2 stream, a simulated one: read and written by the task alone.
    /// Boxed, because a TCP connection should not keep room for it.
    Other(Box<IoStream>),
}

impl Link {
    pub(super) fn new(stream: IoStream) -> (Self, Option<OwnedWriteHalf>) {
        match stream {
            IoStream::Tcp(socket) => {
                let (socket, _permit) = socket.into_parts();
                let (read, write) = socket.into_split();
                (Self::Tcp { read, _permit }, Some(write))
            }
            other => (Self::Other(Box::new(other)), None),
        }
    }

    /// Whether there is nothing to read; then the task is woken when there is.
    pub(super) fn is_silent(&self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp { read, .. } => read.as_ref().poll_read_ready(context).is_pending(),
            Self::Other(_) => false,
        }
    }

    /// Reads once. Returns how many bytes; 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        buffer: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp { read, .. } => loop {
                match socket::receive(read.as_ref(), buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(read.as_ref().poll_read_ready(context))?;
                    }
                    outcome => return Poll::Ready(outcome),
                }
            },
            Self::Other(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut **stream).poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }
}
