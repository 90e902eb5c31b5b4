//! The lossless form over real sockets: a client written from `docs/wire-protocol.md` alone, and what it must find.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod bad_input;
mod http_form;
mod lossy;
mod simulated;
mod suite;
mod support;
mod switching;
mod twice;
