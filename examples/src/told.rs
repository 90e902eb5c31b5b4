//! What the examples tell a page.

use attached_runtime::{Encoded, JsonMessage};
use serde::Serialize;

/// An envelope for the members of a room, or for everybody when `room` is empty, encoded once.
pub fn told(kind: &str, room: &str, payload: &impl Serialize) -> Encoded {
    let message = JsonMessage::new(kind, payload).unwrap_or_else(|error| {
        tracing::error!(%error, kind, "the payload is no JSON object");
        JsonMessage::empty(kind)
    });
    Encoded::json(&message.with_room(room))
}
