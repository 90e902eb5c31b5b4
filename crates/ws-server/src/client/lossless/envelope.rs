//! Control envelopes as a client says and hears them (`docs/wire-protocol.md`).

use serde::{Deserialize, Serialize};
use tungstenite::protocol::Message;

/// Begins a control envelope. A message that begins with it is sent with one more in front.
const MARK: char = '\u{1e}';

/// What a client says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said<'a> {
    Open {},
    Resume { session: &'a str, cursor: u64 },
    Ack(u64),
}

/// What a client hears. Of what it does not know nothing is an error.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Heard {
    pub(super) hello: Option<Hello>,
    pub(super) gap: Option<Gap>,
    pub(super) ack: Option<u64>,
}

/// Where counting begins on a connection.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Hello {
    pub(super) session: String,
    pub(super) cursor: u64,
    pub(super) received: u64,
}

/// Messages are lost; the next one has the number after `cursor`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Gap {
    pub(super) cursor: u64,
}

/// What came over a connection.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Message(Message),
    Control(Heard),
    /// Begins like an envelope and is none.
    Malformed,
}

impl Said<'_> {
    pub(super) fn to_message(&self) -> Message {
        let json = serde_json::to_string(self).expect("strings and numbers always serialise");
        Message::text(format!("{MARK}{json}"))
    }
}

impl Frame {
    pub(super) fn read(message: Message) -> Self {
        let Message::Text(text) = &message else {
            return Self::Message(message);
        };
        let Some(rest) = text.strip_prefix(MARK) else {
            return Self::Message(message);
        };
        if rest.starts_with(MARK) {
            return Self::Message(Message::text(rest));
        }
        // Serde would take a list for an object whose fields may all be absent.
        let is_object = rest.trim_start().starts_with('{');
        let heard = serde_json::from_str(rest).ok().filter(|_| is_object);
        heard.map_or(Self::Malformed, Self::Control)
    }
}

/// The message as it goes over the wire.
pub(super) fn escaped(message: &Message) -> Message {
    match message {
        Message::Text(text) if text.starts_with(MARK) => Message::text(format!("{MARK}{text}")),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Gap, Heard, Hello, Said, escaped};
    use tungstenite::protocol::Message;

    #[test]
    fn what_is_said() {
        let resume = Said::Resume {
            session: "lps_0",
            cursor: 17,
        };
        for (said, text) in [
            (Said::Open {}, "\u{1e}{\"open\":{}}"),
            (resume, "\u{1e}{\"resume\":{\"session\":\"lps_0\",\"cursor\":17}}"),
            (Said::Ack(3), "\u{1e}{\"ack\":3}"),
        ] {
            assert_eq!(said.to_message(), Message::text(text));
        }
    }

    #[test]
    fn what_is_heard() {
        let read = |text: &str| Frame::read(Message::text(text));
        let hello = Hello {
            session: "lps_0".to_owned(),
            cursor: 5,
            received: 7,
        };
        let rows = [
            (
                r#"{"hello":{"session":"lps_0","cursor":5,"received":7,"resume_ms":60000}}"#,
                Heard {
                    hello: Some(hello),
                    ..Heard::default()
                },
            ),
            (
                r#"{"gap":{"lost":2,"cursor":9}}"#,
                Heard {
                    gap: Some(Gap { cursor: 9 }),
                    ..Heard::default()
                },
            ),
            (
                r#"{"ack":4}"#,
                Heard {
                    ack: Some(4),
                    ..Heard::default()
                },
            ),
            (r#"{"error":{"status":404,"error":"x"}}"#, Heard::default()),
            (r#"{"of":"later"}"#, Heard::default()),
        ];
        for (text, heard) in rows {
            assert_eq!(read(&format!("\u{1e}{text}")), Frame::Control(heard), "{text}");
        }
        for text in ["", "x", "{\"ack\":-1}", "{\"hello\":{}}", "[]"] {
            assert_eq!(read(&format!("\u{1e}{text}")), Frame::Malformed, "{text}");
        }
    }

    #[test]
    fn a_message_that_looks_like_an_envelope_comes_through() {
        let texts = ["", "x", "\u{1e}", "\u{1e}{\"ack\":1}", "\u{1e}\u{1e}"].map(Message::text);
        for message in texts.into_iter().chain([Message::binary(vec![0x1e, 1])]) {
            assert_eq!(Frame::read(escaped(&message)), Frame::Message(message));
        }
    }
}
