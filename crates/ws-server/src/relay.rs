//! The seam through which messages reach other transports, without the server knowing them.

use crate::encoded::Encoded;
use crate::message::JsonMessage;
use crate::session::Session;

/// Whom a broadcast is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target<'a> {
    /// Every session.
    All,
    /// The members of a room.
    Room(&'a str),
}

/// Something that hears what sessions say and what is broadcast, such as a bridge to another transport.
///
/// Both methods are called on the task that received or published the message and must not block. A panic in one
/// is caught and counted; the message goes on.
pub trait Relay: Send + Sync + 'static {
    /// A session received an envelope; called after the raw handler and before the typed one.
    fn session_message(&self, session: &Session, message: &JsonMessage);

    /// A message was broadcast; called after the local members were served.
    fn broadcast(&self, target: Target<'_>, message: &Encoded);
}
