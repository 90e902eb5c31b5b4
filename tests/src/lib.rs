//! What the workspace's tests share: examples as real processes, a small HTTP client, a WebSocket client,
//! a WebSocket peer of bare bytes, a browser, and what can be seen of a process from outside.
#![allow(clippy::exhaustive_structs, reason = "nobody depends on it")]

pub mod certificate;
pub mod chromium;
pub mod crowd;
pub mod descriptors;
pub mod devtools;
pub mod example;
pub mod held;
pub mod http;
pub mod http2;
pub mod observe;
pub mod raw;
pub mod report;
pub mod tab;
pub mod ws;

use std::time::Duration;

/// No wait of a test is longer than this; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);
