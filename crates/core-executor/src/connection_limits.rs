//! What a connection may take of time and space, with the settings that carry it.

use crate::{Env, EnvError};
use std::time::Duration;

/// Largest head that can be allowed, also when the limit is off: no buffer is without a bound.
pub(crate) const LARGEST_HEAD: usize = 1 << 20;
/// Most header fields that can be allowed, also when the limit is off.
pub(crate) const MOST_HEADERS: usize = 4096;

/// What one HTTP/1 connection may take of time and space before it is refused. For each of them 0 means off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct ConnectionLimits {
    /// How long a new connection may be silent; then it is closed. Default 5 s (`SERVER_FIRST_BYTE_TIMEOUT`).
    pub first_byte_timeout: Duration,
    /// How long the head of a request may take from its first byte to its last; then the answer is 408 and the
    /// connection is closed. Default 10 s (`SERVER_HEAD_TIMEOUT`).
    pub head_timeout: Duration,
    /// How long no byte may come of a body that is waited for; then the answer is 408 and the connection is closed.
    /// Default 30 s (`SERVER_BODY_STALL_TIMEOUT`). On HTTP/2 the other streams go on.
    pub body_stall_timeout: Duration,
    /// How long a connection may stay without a request after an answer; then it is closed. Default 20 s
    /// (`SERVER_SESSION_TIMEOUT_SEC`).
    pub keep_alive: Duration,
    /// How long the peer may take no byte of what is written to it; then the connection is reset. Default 30 s
    /// (`SERVER_WRITE_STALL_TIMEOUT`).
    pub write_stall_timeout: Duration,
    /// Bytes of a request's head, and of its trailer section; past it the answer is 431 (414 within the request line)
    /// and the connection is closed, on HTTP/2 only the stream. Default 16384, at most 1 MiB, also when off
    /// (`SERVER_MAX_HEAD_SIZE`).
    pub max_head_size: usize,
    /// Header fields of a request; past it the answer is 431 and the connection is closed, on HTTP/2 only the stream.
    /// Default 64, at most 4096, also when off (`SERVER_MAX_HEADERS`).
    pub max_headers: usize,
    /// Requests that may be read and not yet answered; a connection with so many is not read further until one is.
    /// Default 16 (`SERVER_MAX_PIPELINED_REQUESTS`).
    pub max_pipelined_requests: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            first_byte_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(10),
            body_stall_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(20),
            write_stall_timeout: Duration::from_secs(30),
            max_head_size: 16384,
            max_headers: 64,
            max_pipelined_requests: 16,
        }
    }
}

impl ConnectionLimits {
    /// Reads the keys named at the fields; what is not set keeps its default.
    ///
    /// # Errors
    /// The first value that does not have its expected form.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let default = Self::default();
        let seconds = |key, default: Duration| env.seconds(key, default.as_secs());
        let count = |key, default: usize, most: usize| {
            let number = env.number(key, default as u64, 0..=most as u64)?;
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            first_byte_timeout: seconds("SERVER_FIRST_BYTE_TIMEOUT", default.first_byte_timeout)?,
            head_timeout: seconds("SERVER_HEAD_TIMEOUT", default.head_timeout)?,
            body_stall_timeout: seconds("SERVER_BODY_STALL_TIMEOUT", default.body_stall_timeout)?,
            keep_alive: seconds("SERVER_SESSION_TIMEOUT_SEC", default.keep_alive)?,
            write_stall_timeout: seconds("SERVER_WRITE_STALL_TIMEOUT", default.write_stall_timeout)?,
            max_head_size: count("SERVER_MAX_HEAD_SIZE", default.max_head_size, LARGEST_HEAD)?,
            max_headers: count("SERVER_MAX_HEADERS", default.max_headers, MOST_HEADERS)?,
            max_pipelined_requests: count(
                "SERVER_MAX_PIPELINED_REQUESTS",
                default.max_pipelined_requests,
                65536,
            )?,
        })
    }

    /// The largest head in bytes, never more than what is possible.
    pub(crate) fn head_bound(&self) -> usize {
        bound(self.max_head_size, LARGEST_HEAD)
    }

    /// The most header fields, never more than what is possible.
    pub(crate) fn headers_bound(&self) -> usize {
        bound(self.max_headers, MOST_HEADERS)
    }

    /// The most requests that are read and not answered.
    pub(crate) fn pipeline_bound(&self) -> u64 {
        match self.max_pipelined_requests {
            0 => u64::MAX,
            limit => limit as u64,
        }
    }
}

fn bound(limit: usize, most: usize) -> usize {
    if limit == 0 { most } else { limit.min(most) }
}
