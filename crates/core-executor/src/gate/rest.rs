//! The gate of a connection that rests: what it hears of without hyper, and what hyper finds when it is there again.

use super::Gate;
use crate::IoStream;
use std::task::{Context, Poll};

impl Gate {
    /// The stream tells of bytes without being read.
    pub(crate) fn can_rest(&self) -> bool {
        self.stream.as_ref().is_some_and(IoStream::tells_of_bytes)
    }

    /// Bytes may wait to be read that the socket does not tell of.
    pub(crate) fn may_have_bytes(&self) -> bool {
        self.stream.as_ref().is_none_or(IoStream::buffers)
    }

    /// Waits for what hyper is needed for: bytes, the peer's end, or the end of its time.
    pub(crate) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.traffic.note_reading(true);
        if self.stream().poll_read_ready(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_limit(cx).map(drop)
    }

    /// Hyper has a new connection, which gets this head first.
    pub(crate) fn wake(&mut self, head: Option<&[u8]>) {
        if let Some(head) = head {
            self.replay(head);
        }
    }

    /// Hyper gets these bytes ahead of everything that is there; they are counted already.
    pub(crate) fn replay(&mut self, bytes: &[u8]) {
        self.inbox.put_back(bytes);
    }
}
