//! The browser client in a real Chromium, behind a proxy that treats WebSocket and server-sent events as networks do.
//!
//! Where no Chromium is installed the tests say so and prove nothing; `.ci/run` sees to it that there is one.

mod page;
mod proxy;
mod scene;
mod server;

mod life;
mod networks;
mod scripted;
