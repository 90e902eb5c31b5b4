//! The gate between a connection's stream and hyper: nothing reaches hyper that is not a well-framed request, and
//! nobody holds the connection.

mod chunks;
mod clock;
mod codings;
mod ending;
mod framing;
#[cfg(test)]
mod framing_tests;
mod head;
mod inbox;
mod outbox;
mod preface;
mod reading;
mod refusal;
mod request_line;
mod rest;
mod scan;
mod stream;
mod writing;

pub(crate) use framing::{Bounds, Framing, Step};
pub(crate) use refusal::Refusal;
pub(crate) use stream::{Gate, Rules};
