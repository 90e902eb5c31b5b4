//! Why a session cannot be resumed, or takes no message.

use http::StatusCode;

/// Why a transport or a message was not taken; each has the HTTP status that tells a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Not in the form of an id.
    #[error("malformed session id")]
    Malformed,
    /// Never given, forgotten, or bound to something that the request does not show.
    #[error("unknown session")]
    Unknown,
    /// The session has ended.
    #[error("the session has ended")]
    Gone,
    /// The cursor is ahead of the last message.
    #[error("the cursor is ahead of the session")]
    Ahead,
    /// The cursor is behind what was acknowledged: the request comes late.
    #[error("the cursor is behind what was acknowledged")]
    Behind,
    /// Messages before the given one are missing.
    #[error("messages before these are missing")]
    Missing,
    /// Two batches of messages of the session are under way already.
    #[error("another send of this session is under way")]
    Busy,
}

impl ResumeError {
    /// The status that tells a client.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Ahead => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::Behind | Self::Missing | Self::Busy => StatusCode::CONFLICT,
        }
    }
}
