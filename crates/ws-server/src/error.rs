//! What can go wrong: for who calls the server ([`WsError`]), and inside a session ([`SessionError`]).

use std::io;

use core_executor::{BindError, ExecutorError, TlsError};

/// Why the server, the hub or a session did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WsError {
    /// The listener's address cannot be bound.
    #[error("WebSocket server: cannot bind its listener")]
    Bind(#[source] BindError),
    /// TLS is asked for and its files cannot be used.
    #[error("WebSocket server: cannot set up TLS")]
    Tls(#[source] TlsError),
    /// The executor takes no task.
    #[error("WebSocket server: the executor refused its task")]
    Executor(#[source] ExecutorError),
    /// A stop was asked for before the start.
    #[error("WebSocket server: a stop was asked for before it was started")]
    StopRequested,
    /// The server is not running: it has not been started, or it has ended.
    #[error("the WebSocket server is not running")]
    NotRunning,
    /// The name of a room is empty.
    #[error("a room needs a name")]
    RoomNameEmpty,
    /// The name of a room is too long.
    #[error("a room's name has {length} bytes, {limit} are allowed")]
    RoomNameTooLong {
        /// Bytes of the name.
        length: usize,
        /// The limit, `WsConfig::max_room_name`.
        limit: usize,
    },
    /// The session is in as many rooms as it may.
    #[error("the session is in {limit} rooms already")]
    TooManyRooms {
        /// The limit, `WsConfig::max_rooms_per_session`.
        limit: usize,
    },
    /// The session has ended, or never was one of the hub's.
    #[error("the session has ended")]
    SessionClosed,
    /// A control frame is no message an application can send.
    #[error("only text and binary messages can be sent")]
    NotAMessage,
    /// A callback or relay panicked; it has been counted.
    #[error("a handler panicked")]
    HandlerPanicked,
}

/// What went wrong in one session; given to `on_error` before `on_close`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer broke a rule of RFC 6455 or a limit.
    #[error("the peer broke the protocol: {rule} (close code {code})")]
    Protocol {
        /// The close code it was sent.
        code: u16,
        /// The rule.
        rule: &'static str,
    },
    /// A callback panicked; the session was closed with 1011.
    #[error("a handler panicked")]
    HandlerPanicked,
    /// The peer reads too slowly; the session was closed with 1013.
    #[error("the peer reads too slowly, its outbox is full")]
    SlowReader,
    /// The connection failed other than by ending.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}
