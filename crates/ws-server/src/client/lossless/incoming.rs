//! What a conversation gives its receiver.

use tungstenite::protocol::Message;

use crate::client::queue::Weighs;

/// What comes out of a [`LosslessReceiver`](super::LosslessReceiver).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Incoming {
    /// A text or binary message, each once and in order.
    Message(Message),
    /// The server could keep no more: these messages before the next one are lost.
    Gap {
        /// How many, at least 1.
        lost: u64,
    },
    /// The server ended or forgot the session, and a new one is open, with an `on_open` of its own.
    Reopened {
        /// Messages of the former session that were under way: the server may have handled each of them or not, so they
        /// are not sent again on a guess. What had not gone out goes to the new session.
        unsure: Vec<Message>,
    },
}

impl Incoming {
    /// The message, if it is one.
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Gap { .. } | Self::Reopened { .. } => None,
        }
    }
}

impl Weighs for Incoming {
    fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.weight(),
            Self::Gap { .. } => 0,
            Self::Reopened { unsure } => unsure.iter().map(Weighs::weight).sum(),
        }
    }
}
