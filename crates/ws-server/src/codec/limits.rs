//! What one message may cost before it is whole.

use crate::config::{WsConfig, or_unlimited};

/// Bounds of one incoming message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of the assembled message, after decompression.
    pub(crate) message: u64,
    /// Frames of one message.
    pub(crate) fragments: u32,
    /// Empty frames of one message.
    pub(crate) empty_fragments: u32,
}

impl Limits {
    /// The limits a server was given, where 0 means off.
    pub(crate) fn of(config: &WsConfig) -> Self {
        let count = |limit| u32::try_from(or_unlimited(limit)).unwrap_or(u32::MAX);
        Self {
            message: or_unlimited(config.max_message_size) as u64,
            fragments: count(config.max_fragments),
            empty_fragments: count(config.max_empty_fragments),
        }
    }

    /// Payload bytes the frames of one message may have. Compressing what cannot be compressed makes it longer, if
    /// only by a little; blocks without an end that hold nothing are not that.
    pub(super) fn wire(&self, is_compressed: bool) -> u64 {
        if is_compressed {
            self.message.saturating_add(self.message / 8).saturating_add(1024)
        } else {
            self.message
        }
    }
}
