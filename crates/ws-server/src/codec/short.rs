//! Nearly all there is: a short message, whole in the input, while nothing else is under way. Everything else is left
//! to the general way, which would come to the same; but `FrameHeader::parse` alone costs 138 instructions a header
//! (callgrind, optimised), a fifth of a message with 16 in flight.

use std::mem;

use bytes::Bytes;

use super::event::Incoming;
use super::mask::unmask;
use super::{Decoder, MAX_CONTROL, Role};
use crate::text::Text;

/// Header of a short masked frame: two bytes and the mask (RFC 6455 §5.2).
const HEADER: usize = 6;
/// First bytes of messages that are one plain frame.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

impl Decoder {
    /// The longest message that may be taken on the short way now; nothing while something else is under way.
    pub(crate) fn short_limit(&self) -> Option<u8> {
        let is_at_rest = self.role == Role::Server
            && !self.done
            && self.head_len == 0
            && self.frame.is_none()
            && self.message.is_none();
        is_at_rest.then(|| self.limits.message.min(MAX_CONTROL) as u8)
    }

    /// Takes a message from the front of the input, if it is all as usual.
    pub(super) fn take_short(&self, input: &mut &mut [u8]) -> Option<Incoming> {
        let limit = self.short_limit()?;
        take_short_text(input, limit)
            .map(Incoming::Text)
            .or_else(|| take_short_binary(input, limit).map(Incoming::Binary))
    }
}

/// Whether the input may begin with a short text.
#[inline]
pub(crate) fn begins_with_text(input: &[u8]) -> bool {
    matches!(input, [TEXT, length, ..] if usize::from(length ^ 0x80) <= MAX_CONTROL as usize)
}

/// Takes a text from the front of the input, if it is one frame, whole, and no longer than [`Decoder::short_limit`].
#[inline(always)]
pub(crate) fn take_short_text(input: &mut &mut [u8], limit: u8) -> Option<Text> {
    let (payload, key) = short_payload(TEXT, input, limit)?;
    let length = payload.len();
    unmask(payload, key, 0);
    let Some(text) = Text::copy_from(payload) else {
        mask_again(input, limit);
        return None;
    };
    skip(input, length);
    Some(text)
}

/// The general way says what is wrong with a frame, so it gets it as it came.
#[cold]
fn mask_again(input: &mut [u8], limit: u8) {
    if let Some((payload, key)) = short_payload(TEXT, input, limit) {
        unmask(payload, key, 0);
    }
}

fn take_short_binary(input: &mut &mut [u8], limit: u8) -> Option<Bytes> {
    let (payload, key) = short_payload(BINARY, input, limit)?;
    unmask(payload, key, 0);
    let body = Bytes::copy_from_slice(payload);
    skip(input, body.len());
    Some(body)
}

#[inline(always)]
fn short_payload(first: u8, input: &mut [u8], limit: u8) -> Option<(&mut [u8], [u8; 4])> {
    let [begin, length, key @ ..] = *input.first_chunk::<HEADER>()?;
    let length = length ^ 0x80;
    if begin != first || length > limit {
        return None;
    }
    Some((input.get_mut(HEADER..HEADER + usize::from(length))?, key))
}

#[inline(always)]
fn skip(input: &mut &mut [u8], payload: usize) {
    *input = &mut mem::take(input)[HEADER + payload..];
}
