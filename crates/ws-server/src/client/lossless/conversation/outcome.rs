//! What the end of one connection means for the conversation.

use std::time::Duration;

use super::Conversation;
use crate::client::end::Ask;
use crate::client::lossless::numbers::Miscounted;
use crate::client::{ClientError, Closed};
use crate::close_code;

/// A session that the server does not know, or does not know any more: 4000 + the status of HTTP.
const GONE: [u16; 2] = [4404, 4410];
/// Another connection carries the session.
const REPLACED: u16 = 4409;
/// The first envelope came too late; too many sessions.
const LATER: [u16; 2] = [4408, 4429];

/// How a conversation ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) closed: Closed,
    pub(super) error: Option<ClientError>,
    /// The server has read everything before it answered our Close.
    pub(super) has_all: bool,
}

/// What comes after a connection.
#[derive(Debug)]
pub(super) enum Next {
    /// The conversation is over.
    Over(Outcome),
    /// Another connection, now: the session is gone, the server is there.
    AtOnce,
    /// Another connection after a while; with the hint of the server's, and the outcome if that is given up.
    Again {
        hint: Option<Duration>,
        outcome: Outcome,
    },
}

impl Outcome {
    pub(super) fn closed(closed: Closed) -> Self {
        Self {
            closed,
            error: None,
            has_all: false,
        }
    }

    pub(super) fn failed(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Protocol { code, .. } => *code,
            _ => close_code::ABNORMAL,
        };
        Self {
            error: Some(error),
            ..Self::closed(end(code, String::new()))
        }
    }

    /// We closed, and there was nobody to tell.
    pub(super) fn unheard(ask: Ask) -> Self {
        Self::closed(end(ask.code, ask.reason))
    }
}

fn end(code: u16, reason: String) -> Closed {
    Closed {
        code,
        reason,
        is_clean: false,
        unsent: 0,
        unread: 0,
    }
}

impl From<Miscounted> for Next {
    fn from(_: Miscounted) -> Self {
        Self::wrong("the numbers of the session do not fit")
    }
}

impl Next {
    /// The server does not keep to `lossless.v1`.
    pub(super) fn wrong(rule: &'static str) -> Self {
        let code = close_code::PROTOCOL;
        Self::Over(Outcome::failed(ClientError::Protocol { code, rule }))
    }
}

impl Conversation {
    /// The server said Close.
    pub(super) fn after_close(&mut self, closed: Closed) -> Next {
        let code = closed.code;
        if GONE.contains(&code) && self.numbers.session().is_some() {
            self.numbers.forget();
            return Next::AtOnce;
        }
        let is_late = code == REPLACED && std::mem::take(&mut self.may_be_late);
        let hint = closed.retry_after();
        if !is_late && !asks_back(code) {
            return Next::Over(Outcome::closed(closed));
        }
        if hint.is_some() {
            // A server that stops has ended its sessions.
            self.numbers.forget();
        }
        Next::Again {
            hint,
            outcome: Outcome::closed(closed),
        }
    }

    /// There is no connection, or it broke.
    pub(super) fn after_error(&mut self, error: ClientError) -> Next {
        if !error.is_temporary() {
            return Next::Over(Outcome::failed(error));
        }
        self.may_be_late = true;
        Next::Again {
            hint: error.retry_after(),
            outcome: Outcome::failed(error),
        }
    }
}

/// Whether coming back may end otherwise: no goodbye, no defect of ours, no refusal for good.
fn asks_back(code: u16) -> bool {
    matches!(code, 1001 | 1005 | 1006 | 1011..=1015 | 4500..=4599)
        || LATER.contains(&code)
        || GONE.contains(&code)
}
