//! A message that is not whole yet: its bytes so far, checked as they come, and what it has cost.

use bytes::Bytes;
use tungstenite::protocol::frame::coding::Data;

use super::event::{Incoming, Violation};
use super::limits::Limits;
use super::utf8::PartialText;
use crate::text::Text;

const BAD_TEXT: Violation = Violation::not_utf8("text is not UTF-8");

/// A message in the making.
#[derive(Debug)]
pub(super) struct Assembly {
    body: Body,
    /// Payload bytes of its frames, compressed where the message is.
    wire: u64,
    /// Its frames so far.
    fragments: u32,
    /// Those of them that were empty.
    empty_fragments: u32,
    /// Whether its first frame had RSV1 set (RFC 7692 §6).
    pub(super) is_compressed: bool,
}

#[derive(Debug)]
enum Body {
    Text(PartialText),
    Binary(Vec<u8>),
}

impl Assembly {
    /// A message of which nothing is there yet.
    pub(super) fn new(data: Data, is_compressed: bool) -> Self {
        let body = if data == Data::Text {
            Body::Text(PartialText::default())
        } else {
            Body::Binary(Vec::new())
        };
        Self {
            body,
            wire: 0,
            fragments: 0,
            empty_fragments: 0,
            is_compressed,
        }
    }

    /// Bytes of the message so far.
    pub(super) fn len(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Binary(bytes) => bytes.len() as u64,
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Whether no payload byte has come.
    pub(super) fn is_blank(&self) -> bool {
        self.wire == 0
    }

    /// One more frame of the message with a payload of this many bytes, none of which is there yet.
    pub(super) fn admit(&mut self, length: u64, is_only: bool, limits: &Limits) -> Result<(), Violation> {
        self.fragments += 1;
        if self.fragments > limits.fragments {
            return Err(Violation::policy("too many fragments"));
        }
        self.empty_fragments += u32::from(length == 0 && !is_only);
        if self.empty_fragments > limits.empty_fragments {
            return Err(Violation::policy("too many empty fragments"));
        }
        self.wire = self.wire.saturating_add(length);
        if self.wire > limits.wire(self.is_compressed) {
            return Err(Violation::TOO_BIG);
        }
        Ok(())
    }

    /// Appends bytes of the message, inflated where it is compressed.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match &mut self.body {
            Body::Text(text) => text.push(piece).map_err(|_| BAD_TEXT)?,
            Body::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    /// The message, all of whose bytes are there.
    pub(super) fn finish(self) -> Result<Incoming, Violation> {
        match self.body {
            Body::Text(text) => text
                .finish()
                .map(|text| Incoming::Text(text.into()))
                .map_err(|_| BAD_TEXT),
            Body::Binary(bytes) => Ok(Incoming::Binary(Bytes::from(bytes))),
        }
    }
}

/// A message that stands whole in one frame, uncompressed.
pub(super) fn whole_message(data: Data, payload: &[u8]) -> Result<Incoming, Violation> {
    if data == Data::Text {
        return Text::copy_from(payload).map(Incoming::Text).ok_or(BAD_TEXT);
    }
    Ok(Incoming::Binary(Bytes::copy_from_slice(payload)))
}
