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
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use ws_server::{Encoded, JsonMessage, Relay, Session, Target, WsConfig, WsServer};
///
/// /// Counts what is said.
/// #[derive(Default)]
/// struct Said(AtomicU64);
///
/// impl Relay for Said {
///     fn session_message(&self, _session: &Session, _message: &JsonMessage) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
///
///     fn broadcast(&self, _target: Target<'_>, _message: &Encoded) {}
/// }
///
/// let server = WsServer::new(WsConfig::default()).relay(Arc::new(Said::default()));
/// # drop(server);
/// ```
pub trait Relay: Send + Sync + 'static {
    /// A session received an envelope; called after the raw handler and before the typed one.
    fn session_message(&self, session: &Session, message: &JsonMessage);

    /// A message was broadcast; called after the local members were served.
    fn broadcast(&self, target: Target<'_>, message: &Encoded);
}
