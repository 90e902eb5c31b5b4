//! From the socket to the handlers.

use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};

use super::Connection;
use crate::batch::Batch;
use crate::clock::now;
use crate::closing::Closing;
use crate::codec::{Event, Violation, pong_frame};
use crate::outbox::Load;
use crate::scratch::with_scratch;

/// Messages and control frames handled before what they caused is written.
const EVENTS_PER_WRITE: usize = 64;

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    /// Less than there was room for, so it was most likely all.
    Short,
    /// As much as there was room for, or the end.
    Full,
}

impl Connection {
    /// Not while a message waits, what was caused is not written yet, or the peer does not take it.
    #[inline]
    pub(super) fn may_read(&self) -> bool {
        self.link.is_some() && self.waiting.is_none() && self.held.is_empty() && !self.is_congested()
    }

    /// More than half of the outbox waits for a socket that takes nothing: what the peer asks for can wait with it.
    #[inline]
    pub(super) fn is_congested(&self) -> bool {
        self.stall.is_some() && self.closing.is_none() && {
            let limits = self.config().outbox;
            self.outbox().is_half_full(&limits)
        }
    }

    pub(super) fn read(&mut self, context: &mut Context<'_>) -> bool {
        if !self.may_read() {
            return false;
        }
        if let Some(mut backlog) = self.backlog.take() {
            let used = self.decode(&mut backlog, context);
            if used < backlog.len() {
                backlog.advance(used);
                self.backlog = Some(backlog);
            }
            return true;
        }
        with_scratch(|scratch| self.read_socket(scratch, context)) != Read::Nothing
    }

    pub(super) fn read_socket(&mut self, scratch: &mut [u8], context: &mut Context<'_>) -> Read {
        let Some(link) = &mut self.link else {
            return Read::Nothing;
        };
        match link.poll_read(scratch, context) {
            Poll::Pending => return Read::Nothing,
            Poll::Ready(Err(error)) => self.failed(error),
            Poll::Ready(Ok(0)) => self.end_of_stream(),
            Poll::Ready(Ok(length)) => {
                self.heard();
                self.metrics().bytes_in.inc_by(length as u64);
                let used = self.decode(&mut scratch[..length], context);
                if used < length {
                    self.backlog = Some(Box::new(BytesMut::from(&scratch[used..length])));
                }
                if length < scratch.len() {
                    return Read::Short;
                }
            }
        }
        Read::Full
    }

    /// Bytes came. Their time is known to a tick, so it is noted once a tick.
    fn heard(&mut self) {
        let clock = self.alarm.clock();
        if clock.last_tick() != self.heard_at || self.heartbeat.awaits_byte() {
            let (tick, about_now) = clock.about_now();
            self.heartbeat.heard(about_now);
            self.heard_at = tick;
        }
    }

    /// Decodes and handles until the input is used up or a message has to wait. Returns how much was used.
    fn decode(&mut self, input: &mut [u8], context: &mut Context<'_>) -> usize {
        let (mut used, mut events) = (0, 0);
        // Only what may be read gets here, and it is something.
        loop {
            let rest = &mut input[used..];
            let mut done = self.handle_texts(rest, EVENTS_PER_WRITE - events, context);
            if done.messages == 0 {
                done = self.decode_one(rest, context);
            }
            used += done.bytes;
            events += done.messages;
            if events == EVENTS_PER_WRITE {
                events = 0;
                self.watch_outbox();
                self.write(context);
            }
            if used == input.len() || !self.may_read() {
                break;
            }
        }
        Batch::hold_repeated();
        self.settle_received();
        self.watch_frame(used);
        used
    }

    /// Decodes and handles the next event. Returns whether there was one, and how many bytes were used.
    // Inlined, it would cost every short text something.
    #[inline(never)]
    fn decode_one(&mut self, input: &mut [u8], context: &mut Context<'_>) -> Load {
        let (bytes, event) = match self.decoder.decode(input) {
            Ok(decoded) => decoded,
            Err(violation) => {
                self.violated(violation);
                (input.len(), None)
            }
        };
        let messages = usize::from(event.is_some());
        if let Some(event) = event {
            if bytes < input.len() {
                Batch::hold_all();
            }
            self.on_event(event, context);
        }
        Load { messages, bytes }
    }

    /// Minds the time of a frame that is under way after `used` bytes were decoded.
    fn watch_frame(&mut self, used: usize) {
        let Some(unfinished) = self.decoder.unfinished() else {
            if let Some(patience) = &mut self.patience {
                patience.frame_finished();
            }
            return;
        };
        let config = self.attachment.session().hub().config();
        let is_new = unfinished.read < used as u64;
        self.is_clock_stale |=
            self.patience
                .get_or_insert_default()
                .frame_unfinished(now(), unfinished.length, is_new, config);
    }

    fn on_event(&mut self, event: Event, context: &mut Context<'_>) {
        match event {
            Event::Message(_) if self.refuses_messages() => self.unhandled(),
            Event::Message(message) if self.handling.is_some() => self.waiting = Some(Box::new(message)),
            Event::Message(message) => self.begin_handling(message, context),
            Event::Ping(payload) => {
                let answers = self.bear_control() && self.config().auto_ping_pong && !self.close_is_queued();
                if answers {
                    let written = self.outbox().send_pong(pong_frame(&payload));
                    self.metrics().wrote(written);
                }
            }
            Event::Pong => self.on_pong(),
            Event::Close(close) => self.peer_closed(close),
        }
    }

    fn on_pong(&mut self) {
        if !self.heartbeat.awaits_pong() {
            self.bear_control();
        } else if let Some(round_trip) = self.heartbeat.answered(now()) {
            self.metrics().ping_rtt.observe(round_trip.as_secs_f64());
        }
    }

    /// Whether one more control frame is borne; pongs that we asked for are.
    fn bear_control(&mut self) -> bool {
        let config = self.attachment.session().hub().config();
        let is_borne = self.patience.get_or_insert_default().control(now(), config);
        if !is_borne && self.closing.is_none() {
            self.violated(Violation::policy("too many control frames"));
        }
        is_borne
    }

    pub(super) fn close_is_queued(&self) -> bool {
        self.closing.as_deref().is_some_and(Closing::is_queued)
    }
}
