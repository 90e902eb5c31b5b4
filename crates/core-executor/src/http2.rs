//! HTTP/2 (RFC 9113): hyper's server on the same service, with the limits of a connection that hyper does not keep.

mod body;
mod clock;
mod driver;
mod fault;
mod patience;
mod service;
mod streams;
mod wire;

pub(crate) use driver::{Http2, Http2Limits};
pub(crate) use fault::reason_of;
pub(crate) use patience::Patience;
