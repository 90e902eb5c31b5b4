//! The client over real sockets: against our own server, and against servers made by hand that break the rules.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod ends;
mod flow;
mod frames;
mod hand_made;
mod handshake;
mod lossless;
mod lossless_faults;
#[path = "../support/mod.rs"]
mod support;
