//! What a conversation gives a receiver that wants values of one type.

use serde::de::DeserializeOwned;
use tungstenite::protocol::Message;

use super::incoming::Incoming;

/// What comes out of [`LosslessReceiver::receive_typed`](super::LosslessReceiver::receive_typed).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Typed<T> {
    /// A text message that was read into the type.
    Message(T),
    /// Everything else, as it came: a message that cannot be read into the type, a gap, a new session.
    Other(Incoming),
}

impl<T> Typed<T> {
    /// The value, if it is one.
    pub fn into_message(self) -> Option<T> {
        match self {
            Self::Message(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

impl<T: DeserializeOwned> From<Incoming> for Typed<T> {
    fn from(incoming: Incoming) -> Self {
        let value = match &incoming {
            Incoming::Message(Message::Text(text)) => serde_json::from_str(text.as_str()).ok(),
            _ => None,
        };
        value.map_or(Self::Other(incoming), Self::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Incoming, Typed};
    use serde::Deserialize;
    use tungstenite::protocol::Message;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "type", content = "payload")]
    enum Said {
        #[serde(rename = "chat")]
        Chat { text: String },
        #[serde(rename = "tick")]
        Tick {},
    }

    #[test]
    fn envelopes_are_read_and_the_rest_stays_as_it_came() {
        let typed = |text: &str| Typed::<Said>::from(Incoming::Message(Message::text(text)));
        let chat = typed(r#"{"id":"7","payload":{"text":"hi"},"room":"r","type":"chat"}"#);
        assert_eq!(chat.into_message(), Some(Said::Chat { text: "hi".into() }));
        assert_eq!(
            typed(r#"{"type":"tick","payload":{}}"#),
            Typed::Message(Said::Tick {})
        );
        let deep = format!(
            r#"{{"type":"tick","payload":{}1{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        for wrong in [
            "",
            "hi",
            r#"{"type":"other"}"#,
            r#"{"type":"chat","payload":{"text":1}}"#,
            &deep,
        ] {
            assert_eq!(
                typed(wrong),
                Typed::Other(Incoming::Message(Message::text(wrong)))
            );
        }
        for other in [
            Incoming::Gap { lost: 3 },
            Incoming::Message(Message::binary("{}")),
        ] {
            assert_eq!(Typed::<Said>::from(other.clone()), Typed::Other(other));
        }
    }
}
