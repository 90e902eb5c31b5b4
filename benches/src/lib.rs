//! What the measuring programs share: a load client of raw, pre-built frames, and the reading of other processes' costs.
//!
//! `load` puts one server under one load; `compare` puts several servers under many loads, side by side in one run;
//! `instructions` counts what the hot paths cost under valgrind. How they are used stands in `docs/performance.md`.
#![allow(clippy::exhaustive_structs, reason = "nobody depends on it")]

mod arguments;
pub use arguments::{Arguments, UsageError};

pub mod cells;
pub mod statistics;

mod process;
pub use process::{Process, own_cpu};

mod frames;
pub use frames::{STAMP, Template, WIDEST_STAMP, pong};

mod histogram;
pub use histogram::Histogram;

mod connection;
pub use connection::{Connection, Received};

mod client;
pub use client::{Client, LoadError, Script};

mod measured;
pub use measured::{Measured, Measurement};

pub mod modes;
