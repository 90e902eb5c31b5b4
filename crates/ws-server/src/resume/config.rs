//! What a server does for sessions that outlive their transport.

use std::time::Duration;

/// Limits of the sessions that outlive their transport; given to [`WsServer::resumable`](crate::WsServer::resumable).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct ResumeConfig {
    /// How long such a session lives without a transport. Default 60 s.
    pub resume_time: Duration,
    /// Messages kept for one session until they are acknowledged, at least 1; past that the oldest go, and a client
    /// that needs one of them is told of a gap. Default 256.
    pub ring_messages: usize,
    /// Bytes (of whole frames) kept likewise; one longer message may be kept alone. Default 1 MiB.
    pub ring_bytes: usize,
    /// Such sessions at one time; one more is refused with 503. Default 10000.
    pub max_sessions: usize,
    /// Such sessions opened from one IPv4 address or one IPv6 network of 64 bits; one more is refused with 429. 0 =
    /// off. Default 1000.
    pub max_sessions_per_address: usize,
    /// How long a poll is held open, told to clients in the `hello`. Default 25 s.
    pub wait: Duration,
    /// How often an SSE stream says something at least, told to clients in the `hello`. Default 15 s.
    pub heartbeat: Duration,
    /// How long a WebSocket client may take to say which session it wants; then it is closed with 4408. Default 10 s.
    pub open_timeout: Duration,
    /// Cookies whose values an id is bound to, by their names. Default none.
    pub bound_cookies: Vec<String>,
}

impl Default for ResumeConfig {
    fn default() -> Self {
        Self {
            resume_time: Duration::from_secs(60),
            ring_messages: 256,
            ring_bytes: 1 << 20,
            max_sessions: 10_000,
            max_sessions_per_address: 1000,
            wait: Duration::from_secs(25),
            heartbeat: Duration::from_secs(15),
            open_timeout: Duration::from_secs(10),
            bound_cookies: Vec::new(),
        }
    }
}
