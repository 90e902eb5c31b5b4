//! Control envelopes: what both ends of a WebSocket say about numbers, apart from the messages that they number.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::hello::Hello;

/// Begins a control envelope. A message that begins with it is sent with one more in front.
const MARK: char = '\u{1e}';

/// What a client says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromClient {
    Open {},
    Resume { session: String, cursor: u64 },
    Ack(u64),
    Ping(u64),
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromServer<'a> {
    Hello(&'a Hello),
    Gap { lost: u64, cursor: u64 },
    Ack(u64),
    Pong(u64),
    Error { status: u16, error: &'a str },
}

/// What a text of the client's is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    Message(String),
    Control(FromClient),
    Malformed,
}

impl Text {
    pub(super) fn read(mut text: String) -> Self {
        let Some(rest) = text.strip_prefix(MARK) else {
            return Self::Message(text);
        };
        if rest.starts_with(MARK) {
            text.remove(0);
            return Self::Message(text);
        }
        serde_json::from_str(rest).map_or(Self::Malformed, Self::Control)
    }
}

impl FromServer<'_> {
    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers always serialise");
        format!("{MARK}{json}")
    }
}

/// The text of a message where it cannot be sent as it is.
pub(super) fn escaped(text: &str) -> Option<Cow<'_, str>> {
    text.starts_with(MARK)
        .then(|| Cow::Owned(format!("{MARK}{text}")))
}

#[cfg(test)]
mod tests {
    use super::{FromClient, FromServer, Text, escaped};

    #[test]
    fn what_a_client_may_say() {
        let id = "lps_0123456789abcdef0123456789abcdef";
        let resume = format!("\u{1e}{{\"resume\":{{\"session\":\"{id}\",\"cursor\":17,\"new\":1}}}}");
        for (text, read) in [
            ("\u{1e}{\"open\":{}}", FromClient::Open {}),
            ("\u{1e} {\"ack\":3}", FromClient::Ack(3)),
            (
                "\u{1e}{\"ping\":9007199254740991}",
                FromClient::Ping(9_007_199_254_740_991),
            ),
            (
                &resume,
                FromClient::Resume {
                    session: id.to_owned(),
                    cursor: 17,
                },
            ),
        ] {
            assert_eq!(Text::read(text.to_owned()), Text::Control(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_envelope() {
        for text in [
            "\u{1e}",
            "\u{1e}x",
            "\u{1e}{}",
            "\u{1e}{\"ack\":-1}",
            "\u{1e}{\"ack\":1.5}",
            "\u{1e}{\"ack\":\"1\"}",
            "\u{1e}{\"ack\":1,\"ping\":2}",
            "\u{1e}{\"resume\":{\"session\":\"x\"}}",
            "\u{1e}{\"hello\":{}}",
            "\u{1e}[]",
        ] {
            assert_eq!(Text::read(text.to_owned()), Text::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_message_that_looks_like_one_comes_through() {
        for message in [
            "",
            "x",
            "{\"ack\":1}",
            "\u{1e}",
            "\u{1e}{\"ack\":1}",
            "\u{1e}\u{1e}",
        ] {
            let sent = escaped(message).unwrap_or(message.into()).into_owned();
            assert_eq!(Text::read(sent), Text::Message(message.to_owned()), "{message:?}");
        }
    }

    #[test]
    fn what_the_server_says() {
        let gap = FromServer::Gap { lost: 2, cursor: 9 };
        assert_eq!(gap.to_text(), "\u{1e}{\"gap\":{\"lost\":2,\"cursor\":9}}");
        assert_eq!(FromServer::Ack(4).to_text(), "\u{1e}{\"ack\":4}");
        let error = FromServer::Error {
            status: 404,
            error: "x",
        };
        assert_eq!(
            error.to_text(),
            "\u{1e}{\"error\":{\"status\":404,\"error\":\"x\"}}"
        );
    }
}
