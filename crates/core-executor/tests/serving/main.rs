//! Serving over real sockets: binding, requests, drains, upgrades, and what the state listener hears.
#![allow(clippy::unwrap_used)]

mod bind;
mod budget;
mod certificates;
mod client;
mod drain;
mod drain_counts;
mod ends;
mod http2;
mod http2_ends;
mod http2_limits;
mod limits;
mod listening;
mod pipelining;
mod requests;
mod resting;
mod site;
mod tls;
mod tls_handshakes;
mod tls_reload;
mod transports;
mod upgrade;

#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
