//! The way from an outbox to a TCP socket, open to whoever sends: one writer at a time, because it is behind the
//! outbox's lock.

use std::io;

use tokio::net::tcp::OwnedWriteHalf;

use crate::batch::Hold;

/// A socket that may be written to by any thread. Without one only the transport's own task writes.
#[derive(Debug, Default)]
pub(super) struct Line {
    socket: Option<OwnedWriteHalf>,
    /// It took no more bytes at the last try; the transport's task waits until it does.
    pub(super) is_blocked: bool,
    /// Its session is on a list of those that are written to at the end of a wake-up.
    pub(super) is_listed: bool,
    /// The wake-up whose message was written at once.
    wake_up: Option<u32>,
    /// How it failed, for the transport's task to find.
    pub(super) failed: Option<io::Error>,
}

impl Line {
    pub(super) fn open(&mut self, socket: OwnedWriteHalf) {
        self.socket = Some(socket);
    }

    /// Closes our side; dropping the half says FIN unless it was said.
    pub(super) fn hang_up(&mut self) -> Option<OwnedWriteHalf> {
        self.socket.take()
    }

    pub(super) fn socket(&mut self) -> Option<&mut OwnedWriteHalf> {
        self.socket.as_mut()
    }

    /// The socket, if it took everything so far.
    pub(super) fn clear(&self) -> Option<&OwnedWriteHalf> {
        if self.is_blocked || self.failed.is_some() {
            return None;
        }
        self.socket.as_ref()
    }

    /// Whether a message is to be held until the end of the wake-up.
    #[inline]
    pub(super) fn would_hold(&self, hold: Hold) -> bool {
        match hold {
            Hold::Never => false,
            Hold::Always => true,
            Hold::Repeated(wake_up) => self.wake_up == Some(wake_up),
        }
    }

    /// A message of this wake-up is written, or held.
    #[inline]
    pub(super) fn note(&mut self, hold: Hold) {
        if let Hold::Repeated(wake_up) = hold {
            self.wake_up = Some(wake_up);
        }
    }

    /// The socket took not everything, or it failed.
    pub(super) fn stopped(&mut self, error: io::Error) {
        self.is_blocked = true;
        if error.kind() != io::ErrorKind::WouldBlock {
            self.failed.get_or_insert(error);
        }
    }
}
