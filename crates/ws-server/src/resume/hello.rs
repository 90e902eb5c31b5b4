//! What every transport begins with.

use std::time::Duration;

use serde::Serialize;

use super::session::ResumableSession;

/// Where counting begins on a transport, and the limits a client has to know; its JSON is the `hello` of
/// `docs/wire-protocol.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hello {
    /// The id.
    pub session: String,
    /// The next message has this number + 1, unless a gap comes first.
    pub cursor: u64,
    /// The client's messages up to this number are taken over.
    pub received: u64,
    /// How long the session lives without a transport, in ms.
    pub resume_ms: u64,
    /// How long a poll is held open, in ms.
    pub wait_ms: u64,
    /// How often an SSE stream says something at least, in ms.
    pub heartbeat_ms: u64,
    /// Longest message that is taken, in bytes; 0 is no limit.
    pub max_message_bytes: usize,
}

impl ResumableSession {
    /// What a transport that begins at this cursor tells its client first.
    pub fn hello(&self, cursor: u64) -> Hello {
        let config = &self.0.table.config;
        Hello {
            session: self.id().to_string(),
            cursor,
            received: self.received(),
            resume_ms: millis(config.resume_time),
            wait_ms: millis(config.wait),
            heartbeat_ms: millis(config.heartbeat),
            max_message_bytes: self.session().hub().config().max_message_size,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
