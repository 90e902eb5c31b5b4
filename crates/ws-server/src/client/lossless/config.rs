//! The settings of a conversation that outlives its connections.

use crate::client::{ClientConfig, QueueConfig, ReconnectConfig};

/// Settings of a [`LosslessClient`](super::LosslessClient).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct LosslessConfig {
    /// Each connection: headers, limits, heartbeat; its `subprotocols` are replaced by `lossless.v1`. Its `outbox` and
    /// `inbox` bound what waits to be sent and to be received, above the connections;
    /// [`handshake_timeout`](ClientConfig::handshake_timeout) also bounds the wait for the server's `hello`.
    pub connection: ClientConfig,
    /// When to come back. What [`attempts`](ReconnectConfig::attempts) allows is counted over connections that did not
    /// last.
    pub reconnect: ReconnectConfig,
    /// What is sent and not yet acknowledged by the server. It is kept for the next connection; past this bound nothing
    /// more is taken from the outbox. Default 1024 messages, 1 MiB.
    pub unacknowledged: QueueConfig,
}

impl Default for LosslessConfig {
    fn default() -> Self {
        Self {
            connection: ClientConfig::default(),
            reconnect: ReconnectConfig::default(),
            unacknowledged: QueueConfig {
                messages: 1024,
                bytes: 1 << 20,
            },
        }
    }
}
