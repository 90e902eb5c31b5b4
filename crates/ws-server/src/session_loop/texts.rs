//! Short texts are nearly all there is, so they go from the input to their handler in one loop, with nothing around
//! each.

use std::mem;
use std::task::Context;

use super::Connection;
use crate::batch::Batch;
use crate::codec::{begins_with_text, take_short_text};
use crate::dispatch::Dispatch;
use crate::outbox::Load;
use crate::session::Session;
use crate::text::Text;

/// The short texts at the front of an input, as their handler takes them.
struct Texts<'a> {
    session: &'a Session,
    input: &'a mut [u8],
    /// The longest that is short.
    limit: u8,
    /// How many more may be taken.
    room: usize,
    /// How many might have been taken when the metrics knew of each: what is missing since is not in them yet.
    room_counted: usize,
}

impl Iterator for Texts<'_> {
    type Item = Text;

    #[inline]
    fn next(&mut self) -> Option<Text> {
        if self.room == 0 || self.session.outbox().is_closing() {
            return None;
        }
        let text = take_short_text(&mut self.input, self.limit)?;
        self.room -= 1;
        if !self.input.is_empty() {
            Batch::hold_all();
        } else if !Batch::holds_all() {
            // Before anything of what it causes is written.
            let received = mem::replace(&mut self.room_counted, self.room) - self.room;
            self.session.hub().metrics().messages_in.inc_by(received as u64);
        }
        Some(text)
    }
}

impl Connection {
    /// Handles the short texts at the front of the input, at most so many, when a text is only to be handled and
    /// nothing stands before it. Returns how many there were, and their bytes.
    #[inline]
    pub(super) fn handle_texts(&mut self, input: &mut [u8], room: usize, context: &mut Context<'_>) -> Load {
        let is_free = self.handling.is_none() && self.closing.is_none() && self.stall.is_none();
        if !is_free || !begins_with_text(input) {
            return Load::default();
        }
        let session = self.attachment.session();
        let (Some(handler), Some(limit)) = (session.handlers().texts_only(), self.decoder.short_limit())
        else {
            return Load::default();
        };
        let length = input.len();
        let mut texts = Texts {
            session,
            input,
            limit,
            room,
            room_counted: room + self.received as usize,
        };
        let begun = Dispatch::texts(session, handler, &mut texts, context);
        let taken = Load {
            messages: room - texts.room,
            bytes: length - texts.input.len(),
        };
        self.received = (texts.room_counted - texts.room) as u64;
        match begun {
            Ok(None) => {}
            Ok(Some(handling)) => self.handling = Some(Box::new(handling)),
            Err(panicked) => self.handled(Err(panicked)),
        }
        taken
    }
}
