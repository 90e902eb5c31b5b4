//! `JsonMessage`, the envelope of typed messages: its payload stays raw JSON until the user asks for a type.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON object of `id, kind, payload, room, ts, type`, sent as a text message.
///
/// The payload is kept as it was written, so integers, nesting, big numbers and key order survive; it is read
/// once, into the type the application asks for.
///
/// ```
/// use serde::Deserialize;
/// use ws_server::JsonMessage;
///
/// #[derive(Deserialize)]
/// struct Chat { text: String }
///
/// let message = JsonMessage::parse(r#"{"type":"chat","payload":{"text":"hi"}}"#, 32).expect("an envelope");
/// assert_eq!(message.type_, "chat");
/// assert_eq!(message.payload::<Chat>()?.text, "hi");
/// assert_eq!(message.to_text(), r#"{"kind":"event","payload":{"text":"hi"},"type":"chat"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "its keys are those of the wire protocol"
)]
pub struct JsonMessage {
    /// An id the sender chose; empty when there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What sort of message it is; `event` when a received message does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// A JSON object, verbatim.
    pub payload: Box<RawValue>,
    /// The room it is about; empty when there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// A time stamp in the sender's own form; empty when there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ts: String,
    /// The type that handlers tell messages apart by; never empty in a received message.
    #[serde(rename = "type")]
    pub type_: String,
}

impl JsonMessage {
    /// An envelope of this type around `payload`, which must serialise to a JSON object.
    ///
    /// # Errors
    /// The payload cannot be serialised, or is not an object.
    pub fn new<T: Serialize + ?Sized>(
        type_: impl Into<String>,
        payload: &T,
    ) -> Result<Self, serde_json::Error> {
        let payload = serde_json::value::to_raw_value(payload)?;
        if !is_object(&payload) {
            return Err(serde::ser::Error::custom(
                "the payload of an envelope must be a JSON object",
            ));
        }
        Ok(Self::with_raw(type_.into(), payload))
    }

    /// An envelope of this type with the payload `{}`.
    pub fn empty(type_: impl Into<String>) -> Self {
        Self::with_raw(type_.into(), empty_object())
    }

    fn with_raw(type_: String, payload: Box<RawValue>) -> Self {
        Self {
            id: String::new(),
            kind: String::new(),
            payload,
            room: String::new(),
            ts: String::new(),
            type_,
        }
    }

    /// Reads a text as an envelope; `None` when it is none, which is not an error: the text is then a raw message.
    ///
    /// An envelope is a JSON object with a non-empty string `type`, whose `id`, `kind`, `ts` and `room` are
    /// strings where present, which names none of its own keys twice, and which is nested at most `max_depth`
    /// deep (the object itself counts 1; 0 = no limit, up to the parser's own 128 for skipped keys). Unknown keys
    /// are skipped; a payload that is not an object counts as `{}`.
    pub fn parse(text: &str, max_depth: usize) -> Option<Self> {
        if !text.trim_ascii_start().starts_with('{') || is_deeper_than(text, max_depth) {
            return None;
        }
        serde_json::from_str::<Envelope>(text).ok()?.0
    }

    /// The envelope as compact JSON, keys in the order `id, kind, payload, room, ts, type`, empty ones left out.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and a checked JSON value always serialise")
    }

    /// The payload as a `T`.
    ///
    /// # Errors
    /// The payload does not have the shape of `T`.
    pub fn payload<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload.get())
    }

    /// The same envelope for a room.
    #[must_use]
    pub fn with_room(mut self, room: impl Into<String>) -> Self {
        self.room = room.into();
        self
    }

    /// The same envelope with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The same envelope with a kind.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }
}

/// Two envelopes are equal when they are written the same way.
impl PartialEq for JsonMessage {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            kind,
            payload,
            room,
            ts,
            type_,
        } = self;
        *id == other.id
            && *kind == other.kind
            && payload.get() == other.payload.get()
            && *room == other.room
            && *ts == other.ts
            && *type_ == other.type_
    }
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("`{}` is JSON")
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Whether brackets outside of strings nest deeper than `limit`; looks at each byte once, keeps no stack.
fn is_deeper_than(text: &str, limit: usize) -> bool {
    if limit == 0 {
        return false;
    }
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

/// JSON that is an object; inside, the envelope if its keys have the right types.
struct Envelope(Option<JsonMessage>);

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Id,
    Kind,
    Payload,
    Room,
    Ts,
    Type,
    #[serde(other)]
    Other,
}

/// What has been read of an envelope's keys; each may come once.
#[derive(Default)]
struct Fields {
    id: Option<String>,
    kind: Option<String>,
    payload: Option<Box<RawValue>>,
    room: Option<String>,
    ts: Option<String>,
    type_: Option<String>,
}

impl Fields {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &Key, map: &mut A) -> Result<(), A::Error> {
        match key {
            Key::Id => once(&mut self.id, map),
            Key::Kind => once(&mut self.kind, map),
            Key::Payload => once(&mut self.payload, map),
            Key::Room => once(&mut self.room, map),
            Key::Ts => once(&mut self.ts, map),
            Key::Type => once(&mut self.type_, map),
            Key::Other => map.next_value::<IgnoredAny>().map(|_| ()),
        }
    }

    fn into_message(self) -> Option<JsonMessage> {
        let Self {
            id,
            kind,
            payload,
            room,
            ts,
            type_,
        } = self;
        Some(JsonMessage {
            id: id.unwrap_or_default(),
            kind: kind
                .filter(|kind| !kind.is_empty())
                .unwrap_or_else(|| "event".to_owned()),
            payload: payload
                .filter(|payload| is_object(payload))
                .unwrap_or_else(empty_object),
            room: room.unwrap_or_default(),
            ts: ts.unwrap_or_default(),
            type_: type_.filter(|type_| !type_.is_empty())?,
        })
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(serde::de::Error::custom("a key of the envelope comes twice"));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Key>()? {
            fields.read(&key, &mut map)?;
        }
        Ok(Envelope(fields.into_message()))
    }
}

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
