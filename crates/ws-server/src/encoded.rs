//! A message framed once, and compressed at most once for each window size, to be sent to any number of sessions.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tungstenite::protocol::Message;
use tungstenite::protocol::frame::coding::Data;

use crate::codec::data_frame;
use crate::deflate::SharedEncodings;
use crate::error::WsError;
use crate::message::JsonMessage;

/// A text or binary message as one unmasked, unfragmented server frame; cloning it counts references.
///
/// To sessions that agreed on permessage-deflate its clones go compressed, and the compressing is done when the first
/// of them needs it.
///
/// ```
/// use ws_server::Encoded;
///
/// let greeting = Encoded::text("hello");
/// assert_eq!(greeting.as_text(), Some("hello"));
/// assert_eq!(greeting.body().as_ref(), b"hello");
/// assert_eq!(greeting.frame().as_ref(), b"\x81\x05hello");
/// ```
pub struct Encoded {
    frame: Bytes,
    /// Where the body begins: a header has 2 to 10 bytes.
    body_at: u8,
    is_text: bool,
    may_be_compressed: bool,
    /// What clones share, from the first clone on: a message to one session needs none.
    encodings: Encodings,
}

enum Encodings {
    Own(OnceLock<Arc<SharedEncodings>>),
    /// Of a clone: to find that there are some already would cost it more than all the rest.
    Shared(Arc<SharedEncodings>),
}

impl Encodings {
    fn get(&self) -> Option<&SharedEncodings> {
        match self {
            Self::Own(own) => own.get().map(|shared| &**shared),
            Self::Shared(shared) => Some(shared),
        }
    }

    fn share(&self) -> Self {
        let shared = match self {
            Self::Own(own) => own.get_or_init(Arc::default),
            Self::Shared(shared) => shared,
        };
        Self::Shared(Arc::clone(shared))
    }
}

impl Encoded {
    /// Frames a text message.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::framed(Data::Text, text.as_ref().as_bytes())
    }

    /// Frames a binary message.
    pub fn binary(body: impl AsRef<[u8]>) -> Self {
        Self::framed(Data::Binary, body.as_ref())
    }

    /// Frames an envelope as a text message.
    pub fn json(message: &JsonMessage) -> Self {
        Self::text(message.to_text())
    }

    /// The same, to be sent as it is to everybody: for what is compressed already, or secret beside what an attacker
    /// chooses (RFC 7692 §10).
    #[must_use = "the message itself is not changed"]
    pub fn without_compression(mut self) -> Self {
        self.may_be_compressed = false;
        self
    }

    /// Frames a message of this kind.
    pub(crate) fn framed(data: Data, body: &[u8]) -> Self {
        let (frame, body_at) = data_frame(data, body);
        Self {
            frame,
            body_at: body_at as u8,
            is_text: data == Data::Text,
            may_be_compressed: true,
            encodings: Encodings::Own(OnceLock::new()),
        }
    }

    /// Whether it is a text message.
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// The whole frame as it stands on the wire.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The frame alone, without counting a reference.
    pub(crate) fn into_frame(self) -> Bytes {
        self.frame
    }

    /// The message without the frame header; shares the frame's memory.
    pub fn body(&self) -> Bytes {
        self.frame.slice(usize::from(self.body_at)..)
    }

    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.frame[usize::from(self.body_at)..]
    }

    pub(crate) fn may_be_compressed(&self) -> bool {
        self.may_be_compressed
    }

    pub(crate) fn encodings(&self) -> Option<&SharedEncodings> {
        self.encodings.get()
    }

    /// The body of a text message.
    pub fn as_text(&self) -> Option<&str> {
        if !self.is_text {
            return None;
        }
        str::from_utf8(self.body_bytes()).ok()
    }

    /// Length of the frame in bytes: what it counts in an outbox.
    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }

    /// The same message in the type the WebSocket client libraries speak.
    pub fn to_message(&self) -> Message {
        match self.as_text() {
            Some(text) => Message::text(text),
            None => Message::Binary(self.body()),
        }
    }
}

impl Clone for Encoded {
    fn clone(&self) -> Self {
        Self {
            frame: self.frame.clone(),
            body_at: self.body_at,
            is_text: self.is_text,
            may_be_compressed: self.may_be_compressed,
            encodings: self.encodings.share(),
        }
    }
}

/// Equal messages have the same kind and body; how they may be sent is not compared.
impl PartialEq for Encoded {
    fn eq(&self, other: &Self) -> bool {
        self.frame == other.frame
    }
}

impl Eq for Encoded {}

impl fmt::Debug for Encoded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_text { "text" } else { "binary" };
        write!(formatter, "Encoded({kind}, {} bytes)", self.body_bytes().len())
    }
}

impl From<&JsonMessage> for Encoded {
    fn from(message: &JsonMessage) -> Self {
        Self::json(message)
    }
}

/// Text and binary messages; control frames belong to the server and are refused.
impl TryFrom<Message> for Encoded {
    type Error = WsError;

    fn try_from(message: Message) -> Result<Self, WsError> {
        match message {
            Message::Text(text) => Ok(Self::text(text)),
            Message::Binary(body) => Ok(Self::binary(body)),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                Err(WsError::NotAMessage)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encoded;
    use crate::error::WsError;
    use tungstenite::protocol::Message;

    #[test]
    fn a_clone_shares_the_bytes() {
        let first = Encoded::binary([1; 4096]);
        let second = first.clone();
        assert_eq!(first.frame().as_ptr(), second.frame().as_ptr());
        assert_eq!(first.body().len(), 4096);
        assert_eq!(first.as_text(), None);
    }

    #[test]
    fn to_and_from_the_public_message_type() {
        for message in [Message::text("grüß"), Message::binary(vec![0, 159, 146, 150])] {
            let encoded = Encoded::try_from(message.clone()).unwrap();
            assert_eq!(encoded.to_message(), message);
        }
        let refused = Encoded::try_from(Message::Ping("x".into()));
        assert!(matches!(refused, Err(WsError::NotAMessage)));
    }
}
