//! How a client's connection ended.

use std::time::Duration;

/// The last word about a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The close code: of the Close that was said first, the server's or ours; 1005 for a Close without a code, 1006
    /// for a connection that ended without one (RFC 6455 §7.1.5).
    pub code: u16,
    /// The reason beside the code; at most 123 bytes, may be empty. Not to be logged unescaped: the server may have
    /// chosen it.
    pub reason: String,
    /// Both sides said Close.
    pub is_clean: bool,
    /// Messages that were taken to be sent and did not go out whole. What went out and was not read by the server is
    /// not among them: nobody can know it.
    pub unsent: u64,
    /// Messages that came and were thrown away, because the receiver was gone or because the connection closed while
    /// the receiver's queue was full.
    pub unread: u64,
}

impl Closed {
    /// When the server asks to be tried again: the `retry=<ms>` of the reason, which our own server gives when it
    /// stops.
    pub fn retry_after(&self) -> Option<Duration> {
        let milliseconds = self.reason.strip_prefix("retry=")?;
        if !milliseconds.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        milliseconds.parse().ok().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::Closed;
    use std::time::Duration;

    #[test]
    fn the_return_time_is_read_to_the_letter() {
        let rows = [
            ("retry=0", Some(0)),
            ("retry=1500", Some(1500)),
            ("", None),
            ("retry=", None),
            ("retry=+5", None),
            ("retry=-5", None),
            ("retry=1.5", None),
            ("retry=5 ", None),
            ("Retry=5", None),
            ("retry=99999999999999999999", None),
        ];
        for (reason, milliseconds) in rows {
            let closed = Closed {
                code: 1001,
                reason: reason.to_owned(),
                is_clean: true,
                unsent: 0,
                unread: 0,
            };
            assert_eq!(
                closed.retry_after(),
                milliseconds.map(Duration::from_millis),
                "{reason}"
            );
        }
    }
}
