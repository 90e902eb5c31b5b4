//! Answers that wait to be written together.

use std::io;
use std::task::{Poll, ready};

/// Most bytes that wait.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// What a connection without waiting answers may keep.
const KEPT: usize = 4 * 1024;

/// Bounded by who fills it, to [`MOST_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn has_room(&self, count: usize) -> bool {
        self.bytes.len() + count <= MOST_BYTES
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// To write into.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes everything with `write`.
    pub(super) fn poll_write_out(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            match ready!(write(&self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }
}
