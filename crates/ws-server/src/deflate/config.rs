//! The settings of compression beside its switch.

/// How messages are compressed where a client offers permessage-deflate (RFC 7692).
///
/// With the defaults a session costs no memory for compression while it is idle: neither side refers to earlier
/// messages, compressors are the thread's, and what is sent to a room is compressed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct DeflateConfig {
    /// Let messages refer to earlier ones of their session, in both directions, where the client allows it: smaller
    /// messages for about 400 KiB of memory per session, and each member of a room is compressed for on its own.
    /// Default false.
    pub context_takeover: bool,
    /// Largest window we compress with, as an exponent of two, 9 to 15 (512 bytes to 32 KiB). Default 15.
    pub window_bits: u8,
    /// Effort, 1 (fast) to 9 (small). Default 1.
    pub level: u8,
    /// Shorter messages, in bytes, are sent as they are. Default 128.
    pub min_length: usize,
    /// Bytes one session may keep for context takeover; what does not fit is negotiated without. Default 512 KiB.
    pub session_memory: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            context_takeover: false,
            window_bits: 15,
            level: 1,
            min_length: 128,
            session_memory: 512 * 1024,
        }
    }
}

impl DeflateConfig {
    pub(super) fn bounded_window(&self) -> u8 {
        self.window_bits
            .clamp(super::MIN_OUR_WINDOW_BITS, super::MAX_WINDOW_BITS)
    }
}

/// Bytes a compressor holds: window and chains for each position of it, and what does not depend on its size (hash
/// heads, pending output, state).
pub(super) const fn compressor_memory(window_bits: u8) -> usize {
    (4 << window_bits) + 128 * 1024 + 64 * 1024 + 16 * 1024
}

/// Bytes a decompressor holds: the window and its state.
pub(super) const DECOMPRESSOR_MEMORY: usize = 48 * 1024;
