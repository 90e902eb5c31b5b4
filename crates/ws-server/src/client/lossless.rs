//! A conversation that outlives its connections: numbers, what is kept, and the task that comes back.

mod config;
mod conversation;
mod envelope;
mod incoming;
mod link;
mod lossless_client;
mod numbers;
mod receiver;
mod typed;

pub use config::LosslessConfig;
pub use incoming::Incoming;
pub use lossless_client::LosslessClient;
pub use receiver::LosslessReceiver;
pub use typed::Typed;
