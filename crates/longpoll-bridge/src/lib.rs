//! The same messages over plain HTTP: numbered rings, cursors and polls that wait.

mod bridge;
pub use bridge::LongPollBridge;

mod config;
mod error;
mod metrics;
pub use config::LongPollConfig;
pub use error::BridgeError;
pub use metrics::LongPollMetrics;

mod channel;
mod mailboxes;
mod readers;
mod ring;
mod sweeper;
mod waiters;

mod cookie;
mod poll;
mod posted;
mod refusal;
mod relay;
mod resolver;
mod routes;
mod send;
