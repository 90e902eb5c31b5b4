//! What the WebSocket server tells its relays, put into mailboxes.

use std::sync::{Arc, Weak};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use ws_server::{Encoded, JsonMessage, Relay, Session, Target, TransportKind};

use crate::bridge::Shared;
use crate::resolver::{BROADCAST, room_mailbox};

/// Marks the session of a `POST /ws/send`: its message is in its mailbox already when the relays hear of it.
pub(crate) struct AlreadyQueued;

/// Queues what sessions say and what is broadcast, into mailboxes that are there.
///
/// A message makes no mailbox: rooms are named by clients, so their talk could make any number, and most of it is
/// read by nobody. A mailbox begins with its first poll or send.
pub(crate) struct MailboxRelay {
    /// Weak, because the bridge holds the hub, whose handlers hold this.
    shared: Weak<Shared>,
}

impl MailboxRelay {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
        }
    }

    /// Queues what `encode` gives into the mailbox, if there is one; else nothing is encoded.
    fn queue(&self, mailbox: &str, encode: impl FnOnce(&Shared) -> String) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if let Some(channel) = shared.mailboxes.find(mailbox) {
            // Closed means that it was removed between the two lines: it was not there.
            let _ = channel.push(Bytes::from(encode(&shared)));
        }
    }
}

impl Relay for MailboxRelay {
    fn session_message(&self, session: &Session, message: &JsonMessage) {
        if session.transport() == TransportKind::Detached && session.data::<AlreadyQueued>().is_some() {
            return;
        }
        match message.room.as_str() {
            "" => self.queue(BROADCAST, |_| message.to_text()),
            room => self.queue(&room_mailbox(room), |_| message.to_text()),
        }
    }

    fn broadcast(&self, target: Target<'_>, message: &Encoded) {
        match target {
            Target::Room(room) => self.queue(&room_mailbox(room), |shared| {
                envelope(message, Some(room), shared)
            }),
            Target::All => self.queue(BROADCAST, |shared| envelope(message, None, shared)),
            // A kind of target that is new to the server: it has no mailbox.
            _ => {}
        }
    }
}

#[derive(Serialize)]
struct TextPayload<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct BinaryPayload {
    base64: String,
}

/// A broadcast as pollers see it: an envelope as itself, a plain text or binary message in an envelope around it.
fn envelope(message: &Encoded, room: Option<&str>, shared: &Shared) -> String {
    let max_depth = shared.hub().map_or(0, |hub| hub.config().max_json_depth);
    let wrapped = match message.as_text() {
        Some(text) => match JsonMessage::parse(text, max_depth) {
            Some(envelope) => return as_it_was(envelope, text).to_text(),
            None => JsonMessage::new("text", &TextPayload { text }),
        },
        None => JsonMessage::new(
            "binary",
            &BinaryPayload {
                base64: STANDARD.encode(message.body()),
            },
        ),
    };
    wrapped
        .expect("a struct with a string is an object")
        .with_room(room.unwrap_or_default())
        .to_text()
}

/// Broadcasts carry no kind unless they were given one; reading fills in the default.
fn as_it_was(mut envelope: JsonMessage, text: &str) -> JsonMessage {
    if envelope.kind == "event" && !text.contains(r#""kind""#) {
        envelope.kind.clear();
    }
    envelope
}
