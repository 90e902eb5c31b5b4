//! Small frames put together to be written by one call: to copy a few bytes costs less than a buffer for each frame.

use std::cell::Cell;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::Data;

use crate::codec::{append_data_frame, data_frame_len, first_frame_len};
use crate::outbox::{Load, Offer};

/// Bytes after which no more is put to the others before they are written.
const FULL: usize = 16 * 1024;
/// Frames up to this length join without a question.
const SHORT: usize = 127;
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
    /// What may still be added without asking anybody; nothing once something else stands behind these frames, or they
    /// could not be written.
    room: Load,
}

impl Gathered {
    /// Frames up to this length are worth a copy.
    pub(crate) const SMALL: usize = 1024;

    pub(crate) fn new() -> Box<Self> {
        SPARE.take().unwrap_or_else(|| {
            Box::new(Self {
                frames: Vec::with_capacity(ROOM),
                messages: 0,
                room: Load::default(),
            })
        })
    }

    pub(crate) fn push(&mut self, message: &Offer<'_>) {
        let before = self.frames.len();
        message.append_to(&mut self.frames);
        self.messages += 1;
        self.room.messages = self.room.messages.saturating_sub(1);
        self.room.bytes = self.room.bytes.saturating_sub(self.frames.len() - before);
    }

    /// So much may be added from now on by [`join`](Self::join).
    pub(crate) fn set_room(&mut self, messages: usize, bytes: usize) {
        self.room = Load {
            messages,
            bytes: bytes.min(FULL.saturating_sub(self.frames.len())),
        };
    }

    /// Adds the frame of a short message, if there is room. Returns its length, or 0.
    #[inline]
    pub(crate) fn join(&mut self, data: Data, body: &[u8]) -> usize {
        let length = data_frame_len(body.len());
        if length > SHORT || self.room.messages == 0 || self.room.bytes < length {
            return 0;
        }
        append_data_frame(data, body, &mut self.frames);
        self.messages += 1;
        self.room.messages -= 1;
        self.room.bytes -= length;
        length
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
        self.room = Load::default();
        SPARE.replace(Some(self));
    }
}
