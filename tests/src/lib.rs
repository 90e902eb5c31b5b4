//! What the workspace's tests share: examples as real processes, a small HTTP client, a WebSocket client.

pub mod example;
pub mod http;
pub mod ws;

use std::time::Duration;

/// No wait of a test is longer than this; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);
