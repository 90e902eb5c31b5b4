//! What comes out of the decoder: whole messages, control frames, or the reason to fail the connection.

use bytes::Bytes;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::text::Text;

/// One message of a peer, whole and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6455 section 5.6 has these two")]
pub enum Incoming {
    /// A text message; its UTF-8 has been checked.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

impl Incoming {
    /// Length of the message's body in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A whole data message, assembled from one or more frames.
    Message(Incoming),
    /// A ping with its payload, at most 125 bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer's Close; nothing is decoded after it.
    Close(Option<PeerClose>),
}

/// Code and reason of the peer's Close frame, both checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerClose {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// The peer broke a rule of RFC 6455, or a limit: the connection fails with this close code (§7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) rule: &'static str,
}

impl Violation {
    pub(crate) const fn protocol(rule: &'static str) -> Self {
        Self {
            code: CloseCode::Protocol,
            rule,
        }
    }

    pub(crate) const fn not_utf8(rule: &'static str) -> Self {
        Self {
            code: CloseCode::Invalid,
            rule,
        }
    }

    pub(crate) const fn policy(rule: &'static str) -> Self {
        Self {
            code: CloseCode::Policy,
            rule,
        }
    }

    pub(crate) const TOO_BIG: Self = Self {
        code: CloseCode::Size,
        rule: "message too big",
    };
}
