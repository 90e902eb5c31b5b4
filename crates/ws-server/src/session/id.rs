//! What tells a session from others: its number and its kind of transport.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of a session, unique within the process and never reused. It is no secret and grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number itself, from 1 upwards.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What carries a session's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// A WebSocket connection.
    WebSocket,
    /// Long-polling.
    LongPoll,
    /// Server-sent events.
    Sse,
    /// Nothing: a sender that cannot be answered, such as a single HTTP request.
    Detached,
}

/// In the words of the browser client: `websocket`, `poll`, `sse`; `none` for nothing.
impl fmt::Display for TransportKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::WebSocket => "websocket",
            Self::LongPoll => "poll",
            Self::Sse => "sse",
            Self::Detached => "none",
        })
    }
}

impl TransportKind {
    const ALL: [Self; 4] = [Self::WebSocket, Self::LongPoll, Self::Sse, Self::Detached];

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn of_code(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Self::Detached)
    }
}
