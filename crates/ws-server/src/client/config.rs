//! The settings of a client's connection.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;

use crate::codec::Limits;
use crate::config::or_unlimited;

/// Settings of a client's connection; they can be used for any number of connections. For every limit and time 0
/// means off, but for the queues, which hold at least one message.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct ClientConfig {
    /// Headers sent with the handshake: `Authorization`, `Cookie`, `Origin` and the like; those of the handshake
    /// itself are refused. Default empty.
    pub headers: HeaderMap,
    /// Subprotocols to offer, the most wanted first. The server may take one of them or none
    /// ([`WsClient::subprotocol`](super::WsClient::subprotocol)). Default empty.
    pub subprotocols: Vec<String>,
    /// Offer permessage-deflate (RFC 7692): where the server takes it, messages from 128 bytes on go compressed, none
    /// of ours refers to those before it, and the server's may, for 48 KiB of memory. Default false: between services
    /// that are near each other bandwidth is cheaper than time.
    pub enable_deflate: bool,
    /// How long name lookup, TCP connection and handshake may take together. Default 10 s.
    pub handshake_timeout: Duration,
    /// Longest head of the server's answer in bytes. Default 16384.
    pub max_head_size: usize,
    /// Largest assembled message in bytes; a longer one is refused with Close 1009 before it is buffered. Default
    /// 1 MiB.
    pub max_message_size: usize,
    /// Frames one message may come in; one more is refused with Close 1008. Default 1024.
    pub max_fragments: usize,
    /// Frames of one fragmented message that may be empty; one more is refused with Close 1008. Default 16.
    pub max_empty_fragments: usize,
    /// Time between pings. Default 30 s.
    pub ping_interval: Duration,
    /// The connection is lost when no byte comes for this long after a ping. Default 30 s.
    pub pong_timeout: Duration,
    /// The connection is lost when the server takes no byte of what is being written for this long. Default 30 s.
    pub write_stall_timeout: Duration,
    /// How long to wait for the server's Close after ours, and for the end of the connection after both; 0 does not
    /// wait. Default 2 s.
    pub close_timeout: Duration,
    /// What may wait to be sent. Default 1024 messages, 1 MiB.
    pub outbox: QueueConfig,
    /// What may wait to be received; past it the connection is not read, so that the server has to wait. Default
    /// 64 messages, 1 MiB.
    pub inbox: QueueConfig,
}

/// Bounds of what may wait in a queue. One message over the limit of bytes may enter an empty queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers say both bounds")]
pub struct QueueConfig {
    /// Messages that may wait, at least 1.
    pub messages: usize,
    /// Bytes of messages that may wait, at least 1.
    pub bytes: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            enable_deflate: false,
            handshake_timeout: Duration::from_secs(10),
            max_head_size: 16384,
            max_message_size: 1 << 20,
            max_fragments: 1024,
            max_empty_fragments: 16,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(2),
            outbox: QueueConfig {
                messages: 1024,
                bytes: 1 << 20,
            },
            inbox: QueueConfig {
                messages: 64,
                bytes: 1 << 20,
            },
        }
    }
}

impl ClientConfig {
    pub(super) fn limits(&self) -> Limits {
        let count = |limit| u32::try_from(or_unlimited(limit)).unwrap_or(u32::MAX);
        Limits {
            message: or_unlimited(self.max_message_size) as u64,
            fragments: count(self.max_fragments),
            empty_fragments: count(self.max_empty_fragments),
        }
    }
}

/// Headers may hold credentials, so they are left out.
impl fmt::Debug for ClientConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientConfig")
            .field("subprotocols", &self.subprotocols)
            .field("enable_deflate", &self.enable_deflate)
            .field("max_message_size", &self.max_message_size)
            .finish_non_exhaustive()
    }
}
