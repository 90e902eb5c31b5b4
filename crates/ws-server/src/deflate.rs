//! permessage-deflate (RFC 7692): what is agreed on, and both directions of it.
//!
//! Without context takeover a session keeps nothing at rest: compressors and decompressors belong to the thread that
//! needs one. What is sent to many is compressed once for each window size and shared.

mod compression;
mod config;
mod extensions;
mod inflater;
mod negotiation;

pub(crate) use compression::{Compression, SharedEncodings};
pub use config::DeflateConfig;
pub(crate) use extensions::is_token;
pub(crate) use inflater::Inflater;
#[allow(unused_imports, reason = "the client and the fuzz targets use it")]
pub(crate) use negotiation::{OFFER, accept_answer, answer};

/// Largest LZ77 window, as an exponent of two: 32 KiB.
const MAX_WINDOW_BITS: u8 = 15;
/// Smallest window the compressor can keep to, as an exponent of two: 512 bytes. (RFC 7692 §7.1.2 also knows 8.)
const MIN_OUR_WINDOW_BITS: u8 = 9;

/// The parameters of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// Whether a message may refer to those before it (RFC 7692 §7.1.1).
    pub(crate) context_takeover: bool,
    /// Size of the LZ77 window as an exponent of two, 8 to 15 (RFC 7692 §7.1.2).
    pub(crate) window_bits: u8,
}

/// What one connection agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// What we send.
    pub(crate) outgoing: Direction,
    /// What the peer sends.
    pub(crate) incoming: Direction,
}
