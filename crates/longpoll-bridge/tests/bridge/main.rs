//! The bridge over real sockets: the real WebSocket server, the real router, raw HTTP clients.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser_client;
mod life;
mod metrics;
mod polling;
mod refusals;
mod rooms;
mod sending;
mod support;
