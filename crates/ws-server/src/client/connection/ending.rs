//! The ways a connection ends: asked to, told to, or lost.

use std::io;
use std::time::Duration;

use super::{Closing, Connection, Failing, now};
use crate::client::closed::Closed;
use crate::client::end::End;
use crate::client::error::ClientError;
use crate::close_code;
use crate::codec::{PeerClose, Violation, close_frame};

/// Longer is nobody waited for; it keeps sums with any setting in range.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Connection {
    /// Closes for our own reasons: what is queued goes out first.
    pub(super) fn begin_close(&mut self, code: u16, reason: String) {
        if self.closing.is_some() {
            return;
        }
        self.to_send.close();
        self.failing = None;
        self.closing = Some(Closing {
            frame: Some(close_frame(Some(code), &reason)),
            code,
            reason,
            is_heard: false,
        });
        self.clock.closes(now());
        if self.waiting.take().is_some() {
            self.unread += 1;
            self.decode();
        }
    }

    /// The server said Close: what it has not been sent it does not want any more.
    pub(super) fn server_closed(&mut self, close: Option<PeerClose>) {
        if self.closing.is_none() {
            let (sent, code, reason) = match close {
                Some(close) => (Some(close.code), close.code, close.reason),
                None => (None, close_code::NO_STATUS, String::new()),
            };
            self.closing = Some(Closing {
                frame: Some(close_frame(sent, "")),
                code,
                reason,
                is_heard: false,
            });
        }
        if let Some(closing) = &mut self.closing {
            closing.is_heard = true;
        }
        if self.is_mute {
            // The Close says why nothing could be written.
            self.error = None;
        }
        self.stop_sending();
        self.say_close();
        self.clock.closes(now());
    }

    /// The server broke a rule: the connection fails with its code (RFC 6455 §7.1.7), behind the answers to what
    /// came before.
    pub(super) fn violated(&mut self, violation: Violation) {
        let Violation { code, rule } = violation;
        let code = u16::from(code);
        self.error.get_or_insert(ClientError::Protocol { code, rule });
        if self.closing.is_none() {
            self.failing = Some(Failing {
                code,
                rule,
                until: tokio::time::Instant::now() + self.close_timeout.min(A_DAY),
            });
        }
    }

    pub(super) fn fail_now(&mut self) {
        if let Some(Failing { code, rule, .. }) = self.failing.take() {
            self.begin_close(code, rule.to_owned());
        }
    }

    /// Queues our Close unless it is queued already or cannot be said.
    pub(super) fn say_close(&mut self) {
        if let Some(closing) = &mut self.closing
            && !self.is_mute
            && let Some(frame) = closing.frame.take()
        {
            self.output.push_close(&frame);
        }
    }

    fn stop_sending(&mut self) {
        self.unsent += self.to_send.discard();
        if !self.said_close() {
            self.unsent += self.output.discard();
        }
    }

    /// Nothing can be written any more, but what the server said before may still be read: its Close.
    pub(super) fn cannot_write(&mut self, error: io::Error) {
        self.is_mute = true;
        self.unsent += self.output.abandon() + self.to_send.discard();
        if self.closing.is_none() {
            self.error.get_or_insert(ClientError::Lost(error));
        }
        self.clock.closes(now());
    }

    pub(super) fn end_of_stream(&mut self) {
        self.lost(io::ErrorKind::UnexpectedEof.into());
    }

    pub(super) fn lost(&mut self, error: io::Error) {
        if self.closing.is_none() {
            self.error.get_or_insert(ClientError::Lost(error));
        }
        self.is_over = true;
    }

    pub(super) fn fail(&mut self, error: ClientError) {
        self.error.get_or_insert(error);
        self.is_over = true;
    }

    /// The last word, once nothing is left to be done.
    pub(super) fn end(&mut self) -> End {
        let is_all_out = self.output.is_empty();
        self.unsent += self.output.abandon() + self.to_send.discard();
        self.unread += u64::from(self.waiting.take().is_some());
        let (code, reason, is_clean) = match self.closing.take() {
            Some(closing) => {
                let is_clean = closing.is_heard && closing.frame.is_none() && is_all_out;
                (closing.code, closing.reason, is_clean)
            }
            None => (close_code::ABNORMAL, String::new(), false),
        };
        let closed = Closed {
            code,
            reason,
            is_clean,
            unsent: self.unsent,
            unread: self.unread,
        };
        End::new(closed, self.error.take())
    }
}
