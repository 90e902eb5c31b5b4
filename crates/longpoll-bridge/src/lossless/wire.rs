//! Messages as poll answers, SSE and the bodies of sends carry them: each with its number.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ws_server::{CloseInfo, Delivery, Encoded, Incoming};

use crate::refusal::Refusal;

/// Deepest nesting of a body, as of an envelope by default.
const MAX_DEPTH: usize = 32;

/// A message to the client.
#[derive(Debug, Serialize)]
pub(super) struct Numbered<'a> {
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> Numbered<'a> {
    pub(super) fn new(seq: u64, message: &'a Encoded) -> Self {
        let text = message.as_text();
        let base64 = text.is_none().then(|| STANDARD.encode(message.body()));
        Self { seq, text, base64 }
    }
}

/// Messages that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    lost: u64,
    cursor: u64,
}

impl Gap {
    /// The gap before these messages, if there is one.
    pub(super) fn before(delivery: &Delivery) -> Option<Self> {
        (delivery.lost > 0).then_some(Self {
            lost: delivery.lost,
            cursor: delivery.from,
        })
    }

    pub(super) fn cursor(self) -> u64 {
        self.cursor
    }
}

/// The end of a session.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Farewell {
    code: u16,
    reason: String,
    /// When the client may come back, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

impl From<CloseInfo> for Farewell {
    fn from(info: CloseInfo) -> Self {
        let retry = info.reason.strip_prefix("retry=").and_then(|ms| ms.parse().ok());
        Self {
            code: info.code,
            reason: info.reason,
            retry,
        }
    }
}

/// What a client sends.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    messages: Vec<SentMessage>,
    pub(super) cursor: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct SentMessage {
    seq: u64,
    text: Option<String>,
    base64: Option<String>,
}

impl Sent {
    /// Reads a body: the number of the first message and all of them.
    ///
    /// # Errors
    /// It is no JSON of this form, numbers are not in a row, or a message is longer than `max_message` (0: none is).
    pub(super) fn read(
        body: &[u8],
        max_message: usize,
    ) -> Result<(u64, Vec<Incoming>, Option<u64>), Refusal> {
        if is_deep(body) {
            return Err(Refusal::TooDeep);
        }
        let sent: Self = serde_json::from_slice(body).map_err(|_| Refusal::Sent)?;
        let first = sent.messages.first().map_or(1, |message| message.seq);
        let is_number = |number: u64| number < 1 << 53;
        if first == 0 || !is_number(first) || !sent.cursor.is_none_or(is_number) {
            return Err(Refusal::Sent);
        }
        let mut messages = Vec::with_capacity(sent.messages.len());
        for (expected, message) in (first..).zip(sent.messages) {
            if message.seq != expected {
                return Err(Refusal::NotInARow);
            }
            messages.push(message.check(max_message)?);
        }
        Ok((first, messages, sent.cursor))
    }
}

/// Whether arrays and objects are nested deeper than any body of ours, in fields that are not ours too.
fn is_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    body.iter().any(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

impl SentMessage {
    fn check(self, max_message: usize) -> Result<Incoming, Refusal> {
        let message = match (self.text, self.base64) {
            (Some(text), None) => Incoming::Text(text.into()),
            (None, Some(base64)) => {
                Incoming::Binary(STANDARD.decode(base64).map_err(|_| Refusal::Sent)?.into())
            }
            _ => return Err(Refusal::Sent),
        };
        let length = match &message {
            Incoming::Text(text) => text.len(),
            Incoming::Binary(body) => Bytes::len(body),
        };
        match max_message {
            0 => Ok(message),
            max if length <= max => Ok(message),
            _ => Err(Refusal::MessageTooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Farewell, Numbered, Refusal, Sent};
    use ws_server::{CloseInfo, ClosedBy, Encoded, Incoming};

    #[test]
    fn a_message_out() {
        let json = |message: &Encoded| serde_json::to_string(&Numbered::new(18, message)).unwrap();
        assert_eq!(json(&Encoded::text("a\n\"b")), r#"{"seq":18,"text":"a\n\"b"}"#);
        assert_eq!(json(&Encoded::text("")), r#"{"seq":18,"text":""}"#);
        assert_eq!(json(&Encoded::binary([0, 1, 2])), r#"{"seq":18,"base64":"AAEC"}"#);
    }

    #[test]
    fn an_end_with_and_without_a_return_time() {
        let json = |code, reason: &str| {
            let info = CloseInfo::new(code, reason, ClosedBy::Server);
            serde_json::to_string(&Farewell::from(info)).unwrap()
        };
        assert_eq!(
            json(1001, "retry=1500"),
            r#"{"code":1001,"reason":"retry=1500","retry":1500}"#
        );
        assert_eq!(json(4000, "retry=x"), r#"{"code":4000,"reason":"retry=x"}"#);
    }

    #[test]
    fn messages_in() {
        let read = |body: &str| Sent::read(body.as_bytes(), 4);
        let (first, messages, cursor) = read(
            r#"{"messages":[{"seq":5,"text":"hi"},{"seq":6,"base64":"AAEC","x":1}],"cursor":19,"y":[]}"#,
        )
        .unwrap();
        assert_eq!((first, cursor), (5, Some(19)));
        assert_eq!(
            messages,
            [
                Incoming::Text("hi".to_owned().into()),
                Incoming::Binary(vec![0, 1, 2].into())
            ]
        );
        for nothing in ["{}", r#"{"messages":[]}"#, r#"{"cursor":null}"#] {
            assert!(read(nothing).unwrap().1.is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_can_be_wrong_with_messages() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let rows = [
            ("", Refusal::Sent),
            ("[1]", Refusal::Sent),
            ("null", Refusal::Sent),
            (r#"{"messages":{}}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":0,"text":""}]}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":-1,"text":""}]}"#, Refusal::Sent),
            (r#"{"messages":[{"text":""}]}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":1}]}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":1,"text":"","base64":""}]}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":1,"base64":"?"}]}"#, Refusal::Sent),
            (r#"{"messages":[{"seq":1,"text":"\ud800"}]}"#, Refusal::Sent),
            (r#"{"messages":[],"messages":[]}"#, Refusal::Sent),
            (r#"{"cursor":9007199254740992}"#, Refusal::Sent),
            (r#"{"cursor":"1"}"#, Refusal::Sent),
            (&deep, Refusal::TooDeep),
            (
                r#"{"messages":[{"seq":1,"text":""},{"seq":3,"text":""}]}"#,
                Refusal::NotInARow,
            ),
            (
                r#"{"messages":[{"seq":18446744073709551615,"text":""},{"seq":1,"text":""}]}"#,
                Refusal::Sent,
            ),
            (
                r#"{"messages":[{"seq":1,"text":"12345"}]}"#,
                Refusal::MessageTooLarge,
            ),
            (
                r#"{"messages":[{"seq":1,"base64":"AAECAwQ="}]}"#,
                Refusal::MessageTooLarge,
            ),
        ];
        for (body, expected) in rows {
            assert_eq!(
                Sent::read(body.as_bytes(), 4).err(),
                Some(expected),
                "{}",
                &body[..body.len().min(80)]
            );
        }
        let brackets = format!(r#"{{"messages":[{{"seq":1,"text":"{}\"["}}]}}"#, "[".repeat(100));
        assert!(Sent::read(brackets.as_bytes(), 0).is_ok());
        assert!(Sent::read(br#"{"messages":[{"seq":1,"text":"12345"}]}"#, 0).is_ok());
        assert_eq!(
            Sent::read(b"{\"messages\":[{\"seq\":1,\"text\":\"\xff\"}]}", 0).err(),
            Some(Refusal::Sent)
        );
    }
}
