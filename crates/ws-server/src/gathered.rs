//! Small frames put together to be written by one call: to copy a few bytes costs less than a buffer for each frame.

use std::cell::Cell;

use bytes::Bytes;

use crate::codec::first_frame_len;
use crate::outbox::Offer;

/// Bytes after which no more is put to the others before they are written.
const FULL: usize = 16 * 1024;
/// Room made at first.
const ROOM: usize = 1024;

thread_local! {
    /// Written, and kept for the next.
    static SPARE: Cell<Option<Box<Gathered>>> = const { Cell::new(None) };
}

/// Whole frames of messages, in order. Its memory is borrowed from the thread and given back when they are written.
#[derive(Debug)]
pub(crate) struct Gathered {
    frames: Vec<u8>,
    messages: usize,
}

impl Gathered {
    /// Frames up to this length are worth a copy.
    pub(crate) const SMALL: usize = 1024;

    pub(crate) fn new() -> Box<Self> {
        SPARE.take().unwrap_or_else(|| {
            Box::new(Self {
                frames: Vec::with_capacity(ROOM),
                messages: 0,
            })
        })
    }

    pub(crate) fn push(&mut self, message: &Offer<'_>) {
        message.append_to(&mut self.frames);
        self.messages += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.frames.len() >= FULL
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frames
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Gives each frame for itself.
    pub(crate) fn split(self: Box<Self>, mut give: impl FnMut(Bytes)) {
        let mut rest = Bytes::copy_from_slice(&self.frames);
        while !rest.is_empty() {
            give(rest.split_to(first_frame_len(&rest)));
        }
        self.recycle();
    }

    /// They are written.
    pub(crate) fn recycle(mut self: Box<Self>) {
        self.frames.clear();
        self.messages = 0;
        SPARE.set(Some(self));
    }
}
