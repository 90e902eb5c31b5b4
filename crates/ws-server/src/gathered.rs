//! Small frames put together to be written by one call: to copy a few bytes costs less than a buffer for each frame.

use std::cell::Cell;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::Data;

use crate::codec::{MAX_SHORT, append_short_frame, first_frame_len, short_frame_len};
use crate::outbox::{Load, Offer};

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
    /// What the outbox has been told of.
    counted: Load,
    /// Up to here messages may join without asking anybody; nowhere once something else stands behind these frames, or
    /// they could not be written.
    limit: Load,
}

impl Gathered {
    /// Frames up to this length are worth a copy.
    pub(crate) const SMALL: usize = 1024;

    pub(crate) fn new() -> Box<Self> {
        SPARE.take().unwrap_or_else(|| {
            Box::new(Self {
                frames: Vec::with_capacity(ROOM),
                messages: 0,
                counted: Load::default(),
                limit: Load::default(),
            })
        })
    }

    pub(crate) fn push(&mut self, message: &Offer<'_>) {
        message.append_to(&mut self.frames);
        self.messages += 1;
    }

    /// So much may be added from now on by [`join`](Self::join).
    pub(crate) fn set_room(&mut self, room: Load) {
        let held = self.load();
        self.limit = Load {
            messages: held.messages.saturating_add(room.messages),
            bytes: held.bytes.saturating_add(room.bytes).min(FULL),
        };
    }

    /// No more may be added without asking.
    pub(crate) fn close(&mut self) {
        self.limit = Load::default();
    }

    /// Adds the frame of a short message, if there is room. The outbox has to be told: [`uncounted`](Self::uncounted).
    #[inline]
    pub(crate) fn join(&mut self, data: Data, body: &[u8]) -> bool {
        let length = self.frames.len() + short_frame_len(body.len());
        let fits =
            body.len() <= MAX_SHORT && length <= self.limit.bytes && self.messages < self.limit.messages;
        if fits {
            append_short_frame(data, body, &mut self.frames);
            self.messages += 1;
        }
        fits
    }

    fn load(&self) -> Load {
        Load {
            messages: self.messages,
            bytes: self.frames.len(),
        }
    }

    /// What the outbox has not been told of.
    pub(crate) fn uncounted(&self) -> Load {
        Load {
            messages: self.messages - self.counted.messages,
            bytes: self.frames.len() - self.counted.bytes,
        }
    }

    /// The same, and now it is told.
    pub(crate) fn count(&mut self) -> Load {
        let uncounted = self.uncounted();
        self.counted = self.load();
        uncounted
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
        self.counted = Load::default();
        self.limit = Load::default();
        SPARE.replace(Some(self));
    }
}
