//! The list of every setting of every crate of the workspace.
//!
//! It is held here so that a program which uses one crate does not refuse the keys of the others.

/// A setting: its name in a settings file or the process environment, its default, its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Name, as written in `.env` and in the process environment.
    pub name: &'static str,
    /// The value used when the key is absent, written as a user would write it.
    pub default: &'static str,
    /// What it does, with its unit.
    pub meaning: &'static str,
    /// Whether its value is shown nowhere, not even in the error about it.
    pub is_secret: bool,
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        default,
        meaning,
        is_secret: false,
    }
}

const fn secret(name: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        default: "",
        meaning,
        is_secret: true,
    }
}

/// What the names of our settings begin with. A key in a file that begins so and is not in [`KEYS`] is an error.
pub const PREFIXES: &[&str] = &[
    "SERVER_",
    "WEBSOCKET_",
    "LOGGING_",
    "WAF_",
    "LONGPOLL_",
    "METRICS_",
    "OPS_",
    "SHUTDOWN_",
];

/// Every setting that some crate of the workspace reads.
pub const KEYS: &[Key] = &[
    key("SERVER_HOST", "127.0.0.1", "HTTP bind address"),
    key("SERVER_PORT", "8080", "HTTP port, 0 = any free one"),
    key("SERVER_IO_THREADS", "0", "worker threads, 0 = one per core"),
    key(
        "SERVER_REQUEST_TIMEOUT",
        "2000",
        "ms until an unanswered request gets 503, 0 = off",
    ),
    key(
        "SERVER_SESSION_TIMEOUT_SEC",
        "20",
        "s a keep-alive connection may be idle, 0 = off",
    ),
    key(
        "SERVER_FIRST_BYTE_TIMEOUT",
        "5",
        "s a new connection may be silent, beyond it closed, 0 = off",
    ),
    key(
        "SERVER_HEAD_TIMEOUT",
        "10",
        "s for the head of a request, beyond it 408, 0 = off",
    ),
    key(
        "SERVER_BODY_STALL_TIMEOUT",
        "30",
        "s without a byte of a request's body, beyond it 408, 0 = off",
    ),
    key(
        "SERVER_WRITE_STALL_TIMEOUT",
        "30",
        "s a peer may take nothing of its answer, beyond it a reset, 0 = off",
    ),
    key(
        "SERVER_MAX_HEAD_SIZE",
        "16384",
        "bytes of a request's head, beyond it 431, 0 = off",
    ),
    key(
        "SERVER_MAX_HEADERS",
        "64",
        "header fields of a request, beyond it 431, 0 = off",
    ),
    key(
        "SERVER_MAX_PIPELINED_REQUESTS",
        "16",
        "requests read ahead of their answers, 0 = off",
    ),
    key(
        "SERVER_MAX_CONNECTIONS",
        "auto",
        "connections of both servers, beyond it 503; auto = descriptors - 64, 0 = off",
    ),
    key(
        "SERVER_MAX_CONNECTIONS_PER_ADDRESS",
        "0",
        "connections from one address, beyond it 503, 0 = off",
    ),
    key(
        "SERVER_TRUSTED_PROXIES",
        "",
        "comma-separated addresses and networks of proxies that are believed",
    ),
    key(
        "SERVER_TLS_ENABLED",
        "false",
        "TLS for HTTP and WebSocket, never plaintext",
    ),
    key("SERVER_TLS_CERT_FILE", "", "PEM file of the certificate chain"),
    key("SERVER_TLS_KEY_FILE", "", "PEM file of the private key"),
    key(
        "SERVER_TLS_HANDSHAKE_TIMEOUT",
        "10",
        "s a TLS handshake may take, 0 = off",
    ),
    key(
        "WAF_MODE",
        "basic",
        "basic = limits on target and body, off = none",
    ),
    key(
        "WAF_MAX_TARGET_LEN",
        "4096",
        "bytes of a request target, beyond it 414",
    ),
    key(
        "WAF_MAX_BODY_BYTES",
        "1048576",
        "bytes of a request body, beyond it 413",
    ),
    key("WEBSOCKET_HOST", "127.0.0.1", "WebSocket bind address"),
    key("WEBSOCKET_PORT", "9090", "WebSocket port, 0 = any free one"),
    key(
        "WEBSOCKET_MAX_MESSAGE_SIZE",
        "65536",
        "bytes of one message, beyond it Close 1009",
    ),
    key(
        "WEBSOCKET_MAX_FRAGMENTS",
        "1024",
        "frames of one message, beyond it Close 1008",
    ),
    key(
        "WEBSOCKET_MAX_EMPTY_FRAGMENTS",
        "16",
        "empty frames of one message, beyond it Close 1008",
    ),
    key(
        "WEBSOCKET_ENABLE_DEFLATE",
        "true",
        "negotiate permessage-deflate with clients that offer it",
    ),
    key(
        "WEBSOCKET_FRAME_TIMEOUT",
        "10",
        "s for each 64 KiB of a frame, beyond it Close 1008, 0 = off",
    ),
    key(
        "WEBSOCKET_WRITE_STALL_TIMEOUT",
        "30",
        "s a peer may take nothing of what is written to it, 0 = off",
    ),
    key(
        "WEBSOCKET_CONTROL_RATE",
        "20",
        "control frames per s in the long run, beyond it Close 1008",
    ),
    key(
        "WEBSOCKET_CONTROL_BURST",
        "100",
        "control frames at once, beyond it Close 1008",
    ),
    key(
        "WEBSOCKET_IDLE_TIMEOUT",
        "60",
        "s without a byte from the peer until it is closed, 0 = off",
    ),
    key("WEBSOCKET_PING_INTERVAL", "30", "s between pings, 0 = off"),
    key(
        "WEBSOCKET_PONG_TIMEOUT",
        "30",
        "s after a ping without any byte until the session is gone, 0 = off",
    ),
    key("WEBSOCKET_AUTO_PING_PONG", "true", "answer pings by itself"),
    key("WEBSOCKET_CLOSE_TIMEOUT", "2", "s to wait for the peer's Close"),
    key(
        "WEBSOCKET_OUTBOX_MESSAGES",
        "1024",
        "messages that may wait for one slow reader",
    ),
    key(
        "WEBSOCKET_OUTBOX_BYTES",
        "1048576",
        "bytes that may wait for one slow reader",
    ),
    key(
        "WEBSOCKET_OUTBOX_POLICY",
        "close",
        "close, drop-oldest or drop-newest when an outbox is full",
    ),
    key(
        "WEBSOCKET_ALLOWED_ORIGINS",
        "",
        "comma-separated origins, empty = same host",
    ),
    key(
        "WEBSOCKET_MAX_ROOMS_PER_SESSION",
        "128",
        "rooms one session may be in",
    ),
    key("WEBSOCKET_MAX_ROOM_NAME", "128", "bytes of a room's name"),
    key(
        "WEBSOCKET_MAX_JSON_DEPTH",
        "32",
        "nesting of an envelope, deeper texts are raw messages",
    ),
    key("LONGPOLL_WAIT", "25", "s an empty poll is held open, below 30"),
    key(
        "LONGPOLL_SESSION_TTL",
        "60",
        "s an unused mailbox is kept, and a session without a transport",
    ),
    key(
        "LONGPOLL_MAX_SESSIONS",
        "10000",
        "mailboxes at once, and resumable sessions, beyond it 503",
    ),
    key(
        "LONGPOLL_MAX_SESSIONS_PER_ADDRESS",
        "1000",
        "resumable sessions opened from one address, beyond it 429, 0 = off",
    ),
    key(
        "LONGPOLL_RING_MESSAGES",
        "256",
        "messages a mailbox keeps, or a session until acknowledged",
    ),
    key(
        "LONGPOLL_RING_BYTES",
        "1048576",
        "bytes a mailbox keeps, or a session until acknowledged",
    ),
    key(
        "LONGPOLL_OPEN_MAILBOXES",
        "false",
        "serve mailboxes that clients name",
    ),
    key("METRICS_HOST", "127.0.0.1", "metrics bind address"),
    key("METRICS_PORT", "9100", "metrics port, 0 = any free one"),
    key(
        "METRICS_PREFIX",
        "",
        "put before every metric's name, with an underscore",
    ),
    secret(
        "OPS_TOKEN",
        "16 to 256 visible ASCII characters that open the operator's page, empty = no such page",
    ),
    key("LOGGING_ASYNC", "true", "write the log from a thread of its own"),
    key(
        "LOGGING_QUEUE_MAX",
        "20000",
        "lines that may wait for that thread",
    ),
    key(
        "LOGGING_DROP_ON_OVERFLOW",
        "true",
        "drop lines beyond that instead of waiting",
    ),
    key("SHUTDOWN_DEADLINE", "30", "s from the wish to stop to the end"),
    key(
        "SHUTDOWN_READY_DELAY",
        "0",
        "s the listeners stay open after the wish to stop",
    ),
    key(
        "SHUTDOWN_CLOSE_CODE",
        "1001",
        "code of the Close that sessions get, 1001 or 1012",
    ),
    key(
        "SHUTDOWN_BATCH",
        "10000",
        "sessions closed per second, 0 = all at once",
    ),
    key(
        "SHUTDOWN_RETRY_WINDOW",
        "5",
        "s over which clients are asked to come back",
    ),
];
