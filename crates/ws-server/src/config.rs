//! The settings of a WebSocket server, their defaults and where they are read from.

use std::time::Duration;

use core_executor::{ConnectionLimits, Env, EnvError, TlsConfig};

use crate::deflate::DeflateConfig;
use crate::outbox::OutboxPolicy;

/// Settings of a [`WsServer`](crate::WsServer). For every limit and time 0 means off.
///
/// ```
/// use ws_server::{OutboxConfig, OutboxPolicy, WsConfig};
///
/// let config = WsConfig {
///     port: 0, // any free one
///     outbox: OutboxConfig { policy: OutboxPolicy::DropOldest, ..OutboxConfig::default() },
///     ..WsConfig::default()
/// };
/// # drop(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct WsConfig {
    /// Bind address of the own listener: a host name, an IPv4 or an IPv6 address. Default `127.0.0.1`
    /// (`WEBSOCKET_HOST`).
    pub host: String,
    /// Port of the own listener, 0 = any free one. Default 9090 (`WEBSOCKET_PORT`).
    pub port: u16,
    /// Largest assembled message in bytes; a longer one is refused with Close 1009 as soon as its length is
    /// known, before it is buffered. Default 65536 (`WEBSOCKET_MAX_MESSAGE_SIZE`).
    pub max_message_size: usize,
    /// Frames one message may come in; one more is refused with Close 1008. Default 1024
    /// (`WEBSOCKET_MAX_FRAGMENTS`).
    pub max_fragments: usize,
    /// Frames of one fragmented message that may be empty; one more is refused with Close 1008. Default 16
    /// (`WEBSOCKET_MAX_EMPTY_FRAGMENTS`).
    pub max_empty_fragments: usize,
    /// Negotiate permessage-deflate (RFC 7692) with clients that offer it. Default true
    /// (`WEBSOCKET_ENABLE_DEFLATE`).
    pub enable_deflate: bool,
    /// How messages are compressed then.
    pub deflate: DeflateConfig,
    /// Subprotocols that are spoken (`Sec-WebSocket-Protocol`): the first that a client offers is taken, and one that
    /// it did not offer never is. Default empty.
    pub subprotocols: Vec<String>,
    /// How long a frame may take from its first byte to its last, for each 64 KiB begun; a slower one is refused with
    /// Close 1008. Default 10 s (`WEBSOCKET_FRAME_TIMEOUT`).
    pub frame_timeout: Duration,
    /// How long a peer may take no byte of what is being written to it; then the connection is reset and reported as
    /// slow. Default 30 s (`WEBSOCKET_WRITE_STALL_TIMEOUT`).
    pub write_stall_timeout: Duration,
    /// Control frames per second a peer may send in the long run; past the budget it is refused with Close 1008.
    /// Default 20 (`WEBSOCKET_CONTROL_RATE`).
    pub control_rate: u32,
    /// Control frames a peer may send at once. Default 100 (`WEBSOCKET_CONTROL_BURST`).
    pub control_burst: u32,
    /// A session from whose peer no byte came for this long is closed. Default 60 s (`WEBSOCKET_IDLE_TIMEOUT`).
    pub idle_timeout: Duration,
    /// Time between pings. Default 30 s (`WEBSOCKET_PING_INTERVAL`).
    pub ping_interval: Duration,
    /// A session is gone (`on_close` 1006 "no pong") when no byte comes for this long after a ping. Default 30 s
    /// (`WEBSOCKET_PONG_TIMEOUT`).
    pub pong_timeout: Duration,
    /// Answer the peer's pings. Default true (`WEBSOCKET_AUTO_PING_PONG`).
    pub auto_ping_pong: bool,
    /// How long to wait for the peer's Close after ours; also how long the way out may stand still while what is
    /// queued is written before it. 0 does not wait. Default 2 s (`WEBSOCKET_CLOSE_TIMEOUT`).
    pub close_timeout: Duration,
    /// What may wait for a slow reader.
    pub outbox: OutboxConfig,
    /// Origins that may connect beside the server's own host: `https://app.example.com`, a bare host name (any
    /// scheme and port), or `*`. Default empty (`WEBSOCKET_ALLOWED_ORIGINS`, separated by commas).
    pub allowed_origins: Vec<String>,
    /// Rooms one session may be in. Default 128 (`WEBSOCKET_MAX_ROOMS_PER_SESSION`).
    pub max_rooms_per_session: usize,
    /// Longest name of a room in bytes. Default 128 (`WEBSOCKET_MAX_ROOM_NAME`).
    pub max_room_name: usize,
    /// Deepest nesting of an envelope, the envelope itself counting 1; a deeper text is a raw message. Default 32
    /// (`WEBSOCKET_MAX_JSON_DEPTH`).
    pub max_json_depth: usize,
    /// How sessions are told to go when the server stops.
    pub goodbye: GoodbyeConfig,
    /// TLS for every connection of the own listener (`SERVER_TLS_…`, default none: plaintext). Never both.
    pub tls: Option<TlsConfig>,
    /// What a connection of the own listener may take of time and space until it is a session (`SERVER_HEAD_TIMEOUT`
    /// and others, named there).
    pub limits: ConnectionLimits,
}

/// How sessions are told to go when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct GoodbyeConfig {
    /// The close code: 1001 for a server that goes away, 1012 for one that comes back. Default 1001
    /// (`SHUTDOWN_CLOSE_CODE`).
    pub code: u16,
    /// Sessions closed per second, 0 = all at once. Default 10 000 (`SHUTDOWN_BATCH`).
    pub batch_per_second: u64,
    /// Clients are asked, by the close reason `retry=<ms>`, to come back spread evenly over this time; 0 = no reason.
    /// Default 5 s (`SHUTDOWN_RETRY_WINDOW`).
    pub retry_window: Duration,
}

impl Default for GoodbyeConfig {
    fn default() -> Self {
        Self {
            code: 1001,
            batch_per_second: 10_000,
            retry_window: Duration::from_secs(5),
        }
    }
}

impl GoodbyeConfig {
    fn from_env(env: &Env) -> Result<Self, EnvError> {
        let default = Self::default();
        Ok(Self {
            code: env.choice(
                "SHUTDOWN_CLOSE_CODE",
                default.code,
                &[("1001", 1001), ("1012", 1012)],
            )?,
            batch_per_second: env.number("SHUTDOWN_BATCH", default.batch_per_second, 0..=10_000_000)?,
            retry_window: env.seconds("SHUTDOWN_RETRY_WINDOW", default.retry_window.as_secs())?,
        })
    }
}

/// Bounds of what may wait for one session, and what happens past them. What is being written counts as waiting
/// until it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct OutboxConfig {
    /// Messages that may wait. Default 1024 (`WEBSOCKET_OUTBOX_MESSAGES`).
    pub messages: usize,
    /// Bytes (of whole frames) that may wait; one longer message may enter an empty outbox. Default 1 MiB
    /// (`WEBSOCKET_OUTBOX_BYTES`).
    pub bytes: usize,
    /// What to do with a message that does not fit. Default [`OutboxPolicy::Close`] (`WEBSOCKET_OUTBOX_POLICY`:
    /// `close`, `drop-oldest` or `drop-newest`).
    pub policy: OutboxPolicy,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            messages: 1024,
            bytes: 1 << 20,
            policy: OutboxPolicy::Close,
        }
    }
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 9090,
            max_message_size: 65536,
            max_fragments: 1024,
            max_empty_fragments: 16,
            enable_deflate: true,
            deflate: DeflateConfig::default(),
            subprotocols: Vec::new(),
            frame_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(30),
            control_rate: 20,
            control_burst: 100,
            idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(30),
            auto_ping_pong: true,
            close_timeout: Duration::from_secs(2),
            outbox: OutboxConfig::default(),
            allowed_origins: Vec::new(),
            max_rooms_per_session: 128,
            max_room_name: 128,
            max_json_depth: 32,
            goodbye: GoodbyeConfig::default(),
            tls: None,
            limits: ConnectionLimits::default(),
        }
    }
}

impl WsConfig {
    /// Reads the `WEBSOCKET_…` settings, those of `SERVER_TLS_…` and of `SHUTDOWN_…` that are about sessions, and the
    /// keys of [`ConnectionLimits`]; what is absent has its default.
    ///
    /// # Errors
    /// A value that does not have the form its key needs.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let default = Self::default();
        let seconds = |key, default: Duration| env.seconds(key, default.as_secs());
        let size = |key, default| size(env, key, default);
        let count = |key, default| count(env, key, default);
        Ok(Self {
            host: env.host("WEBSOCKET_HOST", &default.host)?,
            port: env.port("WEBSOCKET_PORT", default.port)?,
            max_message_size: size("WEBSOCKET_MAX_MESSAGE_SIZE", default.max_message_size)?,
            max_fragments: size("WEBSOCKET_MAX_FRAGMENTS", default.max_fragments)?,
            max_empty_fragments: size("WEBSOCKET_MAX_EMPTY_FRAGMENTS", default.max_empty_fragments)?,
            enable_deflate: env.flag("WEBSOCKET_ENABLE_DEFLATE", default.enable_deflate)?,
            deflate: default.deflate,
            subprotocols: default.subprotocols,
            frame_timeout: seconds("WEBSOCKET_FRAME_TIMEOUT", default.frame_timeout)?,
            write_stall_timeout: seconds("WEBSOCKET_WRITE_STALL_TIMEOUT", default.write_stall_timeout)?,
            control_rate: count("WEBSOCKET_CONTROL_RATE", default.control_rate)?,
            control_burst: count("WEBSOCKET_CONTROL_BURST", default.control_burst)?,
            idle_timeout: seconds("WEBSOCKET_IDLE_TIMEOUT", default.idle_timeout)?,
            ping_interval: seconds("WEBSOCKET_PING_INTERVAL", default.ping_interval)?,
            pong_timeout: seconds("WEBSOCKET_PONG_TIMEOUT", default.pong_timeout)?,
            auto_ping_pong: env.flag("WEBSOCKET_AUTO_PING_PONG", default.auto_ping_pong)?,
            close_timeout: seconds("WEBSOCKET_CLOSE_TIMEOUT", default.close_timeout)?,
            outbox: OutboxConfig::from_env(env)?,
            allowed_origins: env.list("WEBSOCKET_ALLOWED_ORIGINS")?,
            max_rooms_per_session: size("WEBSOCKET_MAX_ROOMS_PER_SESSION", default.max_rooms_per_session)?,
            max_room_name: size("WEBSOCKET_MAX_ROOM_NAME", default.max_room_name)?,
            max_json_depth: size("WEBSOCKET_MAX_JSON_DEPTH", default.max_json_depth)?,
            goodbye: GoodbyeConfig::from_env(env)?,
            tls: TlsConfig::from_env(env)?,
            limits: ConnectionLimits::from_env(env)?,
        })
    }
}

impl OutboxConfig {
    fn from_env(env: &Env) -> Result<Self, EnvError> {
        let default = Self::default();
        let policies = [
            ("close", OutboxPolicy::Close),
            ("drop-oldest", OutboxPolicy::DropOldest),
            ("drop-newest", OutboxPolicy::DropNewest),
        ];
        Ok(Self {
            messages: size(env, "WEBSOCKET_OUTBOX_MESSAGES", default.messages)?,
            bytes: size(env, "WEBSOCKET_OUTBOX_BYTES", default.bytes)?,
            policy: env.choice("WEBSOCKET_OUTBOX_POLICY", default.policy, &policies)?,
        })
    }
}

fn size(env: &Env, key: &'static str, default: usize) -> Result<usize, EnvError> {
    let number = env.number(key, default as u64, 0..=u64::from(u32::MAX))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn count(env: &Env, key: &'static str, default: u32) -> Result<u32, EnvError> {
    let number = env.number(key, default.into(), 0..=u64::from(u32::MAX))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The limit as a number to compare with: 0 means there is none.
pub(crate) const fn or_unlimited(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

#[cfg(test)]
mod tests {
    use super::{DeflateConfig, GoodbyeConfig, OutboxConfig, WsConfig};
    use crate::outbox::OutboxPolicy;
    use core_executor::{ConnectionLimits, Env, TlsConfig};
    use std::time::Duration;

    fn read(pairs: &[(&str, &str)]) -> Result<WsConfig, core_executor::EnvError> {
        WsConfig::from_env(&Env::from_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config, WsConfig::default());
        assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 9090));
    }

    #[test]
    fn every_key_is_read() {
        let config = read(&[
            ("WEBSOCKET_HOST", "::1"),
            ("WEBSOCKET_PORT", "0"),
            ("WEBSOCKET_MAX_MESSAGE_SIZE", "1"),
            ("WEBSOCKET_MAX_FRAGMENTS", "13"),
            ("WEBSOCKET_MAX_EMPTY_FRAGMENTS", "14"),
            ("WEBSOCKET_ENABLE_DEFLATE", "false"),
            ("WEBSOCKET_FRAME_TIMEOUT", "15"),
            ("WEBSOCKET_WRITE_STALL_TIMEOUT", "16"),
            ("WEBSOCKET_CONTROL_RATE", "17"),
            ("WEBSOCKET_CONTROL_BURST", "18"),
            ("WEBSOCKET_IDLE_TIMEOUT", "2"),
            ("WEBSOCKET_PING_INTERVAL", "3"),
            ("WEBSOCKET_PONG_TIMEOUT", "4"),
            ("WEBSOCKET_AUTO_PING_PONG", "false"),
            ("WEBSOCKET_CLOSE_TIMEOUT", "5"),
            ("WEBSOCKET_OUTBOX_MESSAGES", "6"),
            ("WEBSOCKET_OUTBOX_BYTES", "7"),
            ("WEBSOCKET_OUTBOX_POLICY", "drop-oldest"),
            ("WEBSOCKET_ALLOWED_ORIGINS", "https://a.example, b.example"),
            ("WEBSOCKET_MAX_ROOMS_PER_SESSION", "8"),
            ("WEBSOCKET_MAX_ROOM_NAME", "9"),
            ("WEBSOCKET_MAX_JSON_DEPTH", "10"),
            ("SHUTDOWN_CLOSE_CODE", "1012"),
            ("SHUTDOWN_BATCH", "11"),
            ("SHUTDOWN_RETRY_WINDOW", "12"),
            ("SERVER_TLS_ENABLED", "true"),
            ("SERVER_TLS_CERT_FILE", "c.pem"),
            ("SERVER_TLS_KEY_FILE", "k.pem"),
            ("SERVER_HEAD_TIMEOUT", "17"),
        ]);
        let expected = WsConfig {
            host: "::1".to_owned(),
            port: 0,
            max_message_size: 1,
            max_fragments: 13,
            max_empty_fragments: 14,
            enable_deflate: false,
            deflate: DeflateConfig::default(),
            subprotocols: Vec::new(),
            frame_timeout: Duration::from_secs(15),
            write_stall_timeout: Duration::from_secs(16),
            control_rate: 17,
            control_burst: 18,
            idle_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(3),
            pong_timeout: Duration::from_secs(4),
            auto_ping_pong: false,
            close_timeout: Duration::from_secs(5),
            outbox: OutboxConfig {
                messages: 6,
                bytes: 7,
                policy: OutboxPolicy::DropOldest,
            },
            allowed_origins: vec!["https://a.example".to_owned(), "b.example".to_owned()],
            max_rooms_per_session: 8,
            max_room_name: 9,
            max_json_depth: 10,
            goodbye: GoodbyeConfig {
                code: 1012,
                batch_per_second: 11,
                retry_window: Duration::from_secs(12),
            },
            tls: Some(TlsConfig::new("c.pem", "k.pem")),
            limits: ConnectionLimits {
                head_timeout: Duration::from_secs(17),
                ..ConnectionLimits::default()
            },
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn a_wrong_policy_names_the_key_and_the_choices() {
        let error = read(&[("WEBSOCKET_OUTBOX_POLICY", "maybe")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("WEBSOCKET_OUTBOX_POLICY") && error.contains("drop-newest"),
            "{error}"
        );
    }
}
