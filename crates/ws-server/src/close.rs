//! How a session ended: code, reason and who said so.

use std::fmt;
use std::time::Instant;

/// The close codes this crate uses by itself (RFC 6455 §7.4.1 and the IANA registry).
pub mod close_code {
    /// 1000: an ordinary end; also said by the server when a session was idle for too long.
    pub const NORMAL: u16 = 1000;
    /// 1001: the server goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// 1005, never sent: the peer's Close had no code.
    pub const NO_STATUS: u16 = 1005;
    /// 1006, never sent: the connection ended without a Close.
    pub const ABNORMAL: u16 = 1006;
    /// 1007: a text that is not UTF-8.
    pub const INVALID: u16 = 1007;
    /// 1008: against a policy.
    pub const POLICY: u16 = 1008;
    /// 1009: a message over the size limit.
    pub const TOO_BIG: u16 = 1009;
    /// 1011: a handler panicked.
    pub const INTERNAL: u16 = 1011;
    /// 1012: the server restarts.
    pub const RESTART: u16 = 1012;
    /// 1013: the peer reads too slowly for what it is sent.
    pub const TRY_AGAIN: u16 = 1013;
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The peer sent a Close, or its connection ended.
    Peer,
    /// [`Session::close`](crate::Session::close) was called.
    Server,
    /// Nothing was heard for the idle limit, or no pong came.
    Timeout,
    /// The outbox was full under the policy `close`.
    Slow,
    /// The peer broke the protocol or a limit, or a handler panicked.
    Error,
    /// The server stopped.
    Shutdown,
}

impl ClosedBy {
    /// The word used for this cause in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Shutdown => "shutdown",
        }
    }

    pub(crate) const ALL: [Self; 6] = [
        Self::Peer,
        Self::Server,
        Self::Timeout,
        Self::Slow,
        Self::Error,
        Self::Shutdown,
    ];
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The last word about a session, given to `on_close` exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The close code: the peer's when it spoke first, else ours; 1005 for a Close without a code, 1006 for a
    /// connection that ended without a Close (RFC 6455 §7.1.5).
    pub code: u16,
    /// The reason beside the code, or our own words for 1006; may be empty, at most 123 bytes when the peer
    /// wrote it. Not to be logged unescaped: the peer chooses it.
    pub reason: String,
    /// Who ended it.
    pub by: ClosedBy,
}

impl CloseInfo {
    /// A last word.
    pub fn new(code: u16, reason: impl Into<String>, by: ClosedBy) -> Self {
        Self {
            code,
            reason: reason.into(),
            by,
        }
    }

    /// The connection ended without a Close frame.
    pub(crate) fn gone(reason: &str) -> Self {
        Self::new(close_code::ABNORMAL, reason, ClosedBy::Peer)
    }
}

/// A wish to close a session, kept in its outbox until the transport has carried it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CloseRequest {
    /// Code, reason and cause to be told to the peer and to `on_close`.
    pub(crate) info: CloseInfo,
    /// Throw away what is queued instead of writing it first.
    pub(crate) discard: bool,
    /// A handler that runs may go on until then and its messages are still sent; `None`: it may go on, and what
    /// it sends is refused.
    pub(crate) handler_until: Option<Instant>,
}

impl CloseRequest {
    pub(crate) fn new(info: CloseInfo) -> Self {
        Self {
            info,
            discard: false,
            handler_until: None,
        }
    }

    pub(crate) fn discarding(info: CloseInfo) -> Self {
        Self {
            info,
            discard: true,
            handler_until: None,
        }
    }
}
