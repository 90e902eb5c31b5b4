//! Bytes that were read and that hyper does not have yet.

use bytes::Bytes;
use tokio::io::ReadBuf;

/// Empty, without any memory, on a connection whose requests come in one piece and one after the other.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// What is before it has been given.
    given: usize,
    /// What is before it may be given.
    passed: usize,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that may not be given yet.
    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.passed..]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// So many of the held bytes may be given.
    pub(super) fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    /// Nothing of the held bytes will ever be given.
    pub(super) fn drop_held(&mut self) {
        self.bytes.truncate(self.passed);
        self.tidy();
    }

    /// Gives what may be given and has room; whether that was anything.
    pub(super) fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = (self.passed - self.given).min(buf.remaining());
        buf.put_slice(&self.bytes[self.given..self.given + count]);
        self.given += count;
        self.tidy();
        count > 0
    }

    /// These bytes may be given, ahead of all that is here.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.bytes.splice(..self.given, bytes.iter().copied());
        self.passed = self.passed - self.given + bytes.len();
        self.given = 0;
    }

    /// Everything that was not given.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes).slice(self.given..)
    }

    /// Lets go of what was given, so that what is held begins at the front again.
    fn tidy(&mut self) {
        if self.given == self.bytes.len() {
            *self = Self::default();
        } else if self.given == self.passed && self.given > 0 {
            self.bytes.drain(..self.given);
            (self.given, self.passed) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(inbox: &mut Inbox) -> Vec<u8> {
        let mut room = [0; 16];
        let mut buf = ReadBuf::new(&mut room);
        inbox.give(&mut buf);
        buf.filled().to_vec()
    }

    #[test]
    fn what_is_put_back_comes_first_and_frees_nothing_that_is_held() {
        let mut inbox = Inbox::default();
        inbox.put_back(b"one");
        assert_eq!(
            (given(&mut inbox).as_slice(), inbox.is_empty()),
            (&b"one"[..], true)
        );
        inbox.push(b"passed, held");
        inbox.pass(8);
        inbox.put_back(b"two ");
        assert_eq!(inbox.held(), b"held");
        assert_eq!(given(&mut inbox), b"two passed, ");
        assert_eq!(
            (given(&mut inbox).as_slice(), inbox.held()),
            (&b""[..], &b"held"[..])
        );
    }
}
