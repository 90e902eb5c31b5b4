//! The body of `POST /ws/send`: an envelope and the mailbox it is for.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use ws_server::JsonMessage;

use crate::refusal::Refusal;
use crate::resolver::MailboxName;

/// A message that was sent over HTTP.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) message: JsonMessage,
    pub(crate) target: MailboxName,
}

impl Posted {
    /// Reads a body. Stricter than a text message of a session, which is then just no envelope: the sender of a
    /// request can be told what is wrong with it.
    ///
    /// # Errors
    /// One refusal for each thing that can be wrong.
    pub(crate) fn parse(body: &[u8], max_depth: usize) -> Result<Self, Refusal> {
        let text = str::from_utf8(body).map_err(|_| Refusal::InvalidJson)?;
        let any: &RawValue = serde_json::from_str(text).map_err(|_| Refusal::InvalidJson)?;
        if !any.get().trim_ascii_start().starts_with('{') {
            return Err(Refusal::NotAnObject);
        }
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|_| Refusal::InvalidJson)?;
        let session_id = fields.check()?;
        let message = JsonMessage::parse(text, max_depth).ok_or(Refusal::TooDeep)?;
        Self::new(message, &session_id)
    }

    /// The target is the session id, else the message's room, else `broadcast`. The message of a room says so.
    fn new(message: JsonMessage, session_id: &str) -> Result<Self, Refusal> {
        let target = match (session_id, message.room.as_str()) {
            ("", "") => MailboxName::parse("")?,
            ("", room) => MailboxName::room(room)?,
            (id, _) => MailboxName::parse(id)?,
        };
        let message = match target.as_room() {
            Some(room) if room != message.room => message.with_room(room),
            _ => message,
        };
        Ok(Self { message, target })
    }
}

/// The values of the known fields as they stand in the body.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    room: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    type_: Option<&'a RawValue>,
    /// The first field that came a second time.
    twice: Option<&'static str>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Id,
    Kind,
    Payload,
    Room,
    SessionId,
    Ts,
    Type,
    #[serde(other)]
    Other,
}

impl<'a> Fields<'a> {
    /// Checks the fields against their types; gives the session id.
    fn check(&self) -> Result<String, Refusal> {
        if let Some(field) = self.twice {
            return Err(Refusal::Duplicate { field });
        }
        if string("type", self.type_)?.is_empty() {
            return Err(Refusal::MissingType);
        }
        string("id", self.id)?;
        string("kind", self.kind)?;
        string("room", self.room)?;
        string("ts", self.ts)?;
        match self.payload.map(RawValue::get) {
            Some(payload) if !payload.starts_with('{') && payload != "null" => Err(Refusal::WrongType {
                field: "payload",
                expected: "an object",
            }),
            _ => string("session_id", self.session_id),
        }
    }

    fn slot(&mut self, key: Key) -> Option<(&'static str, &mut Option<&'a RawValue>)> {
        match key {
            Key::Id => Some(("id", &mut self.id)),
            Key::Kind => Some(("kind", &mut self.kind)),
            Key::Payload => Some(("payload", &mut self.payload)),
            Key::Room => Some(("room", &mut self.room)),
            Key::SessionId => Some(("session_id", &mut self.session_id)),
            Key::Ts => Some(("ts", &mut self.ts)),
            Key::Type => Some(("type", &mut self.type_)),
            Key::Other => None,
        }
    }

    fn read<A: MapAccess<'a>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let Some((name, slot)) = self.slot(key) else {
            return map.next_value::<IgnoredAny>().map(|_| ());
        };
        if slot.replace(map.next_value()?).is_some() {
            self.twice = Some(name);
        }
        Ok(())
    }
}

/// The text of a string field; an absent one is empty.
fn string(field: &'static str, value: Option<&RawValue>) -> Result<String, Refusal> {
    let Some(value) = value.map(RawValue::get) else {
        return Ok(String::new());
    };
    if !value.starts_with('"') {
        return Err(Refusal::WrongType {
            field,
            expected: "a string",
        });
    }
    // Half a surrogate pair is JSON by its grammar and no text.
    serde_json::from_str(value).map_err(|_| Refusal::InvalidJson)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(FieldsVisitor)
            .map(|fields: Fields<'de>| fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Key>()? {
            fields.read(key, &mut map)?;
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::{Posted, Refusal};

    fn parse(body: &str) -> Result<Posted, Refusal> {
        Posted::parse(body.as_bytes(), 5)
    }

    #[test]
    fn what_can_be_wrong_with_a_body() {
        let wrong = |field, expected| Refusal::WrongType { field, expected };
        let deep = format!(
            r#"{{"type":"x","payload":{{"a":{}1{}}}}}"#,
            "[".repeat(4),
            "]".repeat(4)
        );
        let abyss = format!(
            r#"{{"type":"x","y":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let rows = [
            ("", Refusal::InvalidJson),
            ("{", Refusal::InvalidJson),
            (r#"{"type":"x"} y"#, Refusal::InvalidJson),
            ("{'type':'x'}", Refusal::InvalidJson),
            (r#"{"type":"\ud800"}"#, Refusal::InvalidJson),
            ("[]", Refusal::NotAnObject),
            (" \"type\" ", Refusal::NotAnObject),
            ("null", Refusal::NotAnObject),
            ("{}", Refusal::MissingType),
            (r#"{"type":""}"#, Refusal::MissingType),
            (r#"{"type":1}"#, wrong("type", "a string")),
            (r#"{"type":null}"#, wrong("type", "a string")),
            (r#"{"type":"x","id":1}"#, wrong("id", "a string")),
            (r#"{"type":"x","kind":[]}"#, wrong("kind", "a string")),
            (r#"{"type":"x","room":{}}"#, wrong("room", "a string")),
            (r#"{"type":"x","ts":1.5}"#, wrong("ts", "a string")),
            (
                r#"{"type":"x","session_id":true}"#,
                wrong("session_id", "a string"),
            ),
            (r#"{"type":"x","payload":"y"}"#, wrong("payload", "an object")),
            (r#"{"type":"x","payload":[1]}"#, wrong("payload", "an object")),
            (r#"{"type":"x","type":"y"}"#, Refusal::Duplicate { field: "type" }),
            (
                r#"{"type":"x","session_id":"a","session_id":"b"}"#,
                Refusal::Duplicate { field: "session_id" },
            ),
            (
                r#"{"type":"x","t\u0079pe":"y"}"#,
                Refusal::Duplicate { field: "type" },
            ),
            (r#"{"type":"x","session_id":"a b"}"#, Refusal::MailboxName),
            (r#"{"type":"x","room":"a\nb"}"#, Refusal::MailboxName),
            (&deep, Refusal::TooDeep),
            (&abyss, Refusal::TooDeep),
        ];
        for (body, expected) in rows {
            assert_eq!(
                parse(body).unwrap_err(),
                expected,
                "{}",
                &body[..body.len().min(80)]
            );
        }
        assert_eq!(
            Posted::parse(b"{\"type\":\"\xff\"}", 5).unwrap_err(),
            Refusal::InvalidJson
        );
    }

    #[test]
    fn the_target_is_the_session_then_the_room_then_everybody() {
        for (fields, target) in [
            ("", "broadcast"),
            (r#","session_id":"""#, "broadcast"),
            (r#","session_id":"","room":"general""#, "room:general"),
            (r#","room":"general""#, "room:general"),
            (r#","room":"general","session_id":"lp-1""#, "lp-1"),
            (r#","room":"other","session_id":"room:general""#, "room:general"),
        ] {
            let posted = parse(&format!(r#"{{"type":"x"{fields}}}"#)).unwrap();
            assert_eq!(posted.target.as_str(), target, "{fields}");
            if let Some(room) = posted.target.as_room() {
                assert_eq!(posted.message.room, room);
            }
        }
    }

    #[test]
    fn the_message_is_as_a_session_would_have_sent_it() {
        let body = r#" {"type":"x","session_id":"lp-1","payload":{"n":18446744073709551616,"a":{"b":[]}},"more":1} "#;
        let posted = parse(body).unwrap();
        let expected = r#"{"kind":"event","payload":{"n":18446744073709551616,"a":{"b":[]}},"type":"x"}"#;
        assert_eq!(posted.message.to_text(), expected);
        assert_eq!(
            parse(r#"{"type":"x","payload":null}"#)
                .unwrap()
                .message
                .payload
                .get(),
            "{}"
        );
    }
}
