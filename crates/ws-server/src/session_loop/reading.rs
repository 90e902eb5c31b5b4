//! From the socket to the handlers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Connection, now};
use crate::closing::Closing;
use crate::codec::{Event, pong_frame};
use crate::scratch::with_scratch;

/// Messages handled before what they caused is written.
const MESSAGES_PER_WRITE: usize = 64;

impl Connection {
    /// A message waits, or the peer does not take what it has caused already.
    pub(super) fn may_read(&self) -> bool {
        self.stream.is_some() && self.waiting.is_none() && !self.is_congested()
    }

    /// More than half of the outbox waits for a socket that takes nothing: what the peer asks for can wait with it.
    pub(super) fn is_congested(&self) -> bool {
        self.is_blocked && self.closing.is_none() && {
            let limits = self.config().outbox;
            self.outbox().is_half_full(&limits)
        }
    }

    pub(super) fn read(&mut self, context: &mut Context<'_>) -> bool {
        if !self.may_read() {
            return false;
        }
        if !self.backlog.is_empty() {
            let mut backlog = std::mem::take(&mut self.backlog);
            let used = self.decode(&mut backlog, context);
            if used < backlog.len() {
                backlog.advance(used);
                self.backlog = backlog;
            }
            return true;
        }
        with_scratch(|scratch| self.read_socket(scratch, context))
    }

    pub(super) fn read_socket(&mut self, scratch: &mut [u8], context: &mut Context<'_>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(stream).poll_read(context, &mut buffer) {
            Poll::Pending => return false,
            Poll::Ready(Err(error)) => self.failed(error),
            Poll::Ready(Ok(())) => {
                let length = buffer.filled().len();
                if length == 0 {
                    self.end_of_stream();
                } else {
                    self.heartbeat.heard(now());
                    self.metrics().bytes_in.inc_by(length as u64);
                    let used = self.decode(&mut scratch[..length], context);
                    self.backlog = BytesMut::from(&scratch[used..length]);
                }
            }
        }
        true
    }

    /// Decodes and handles until the input is used up or a message has to wait. Returns how much was used.
    pub(super) fn decode(&mut self, input: &mut [u8], context: &mut Context<'_>) -> usize {
        let (mut used, mut messages) = (0, 0);
        while used < input.len() && self.may_read() {
            match self.decoder.decode(&mut input[used..]) {
                Ok((taken, event)) => {
                    used += taken;
                    if let Some(event) = event {
                        self.on_event(event, context);
                        messages += 1;
                    }
                }
                Err(violation) => {
                    self.violated(violation);
                    return input.len();
                }
            }
            if messages == MESSAGES_PER_WRITE {
                messages = 0;
                self.watch_outbox();
                self.write(context);
            }
        }
        used
    }

    pub(super) fn on_event(&mut self, event: Event, context: &mut Context<'_>) {
        match event {
            Event::Message(_) if self.refuses_messages() => self.unhandled(),
            Event::Message(message) if self.handling.is_some() => self.waiting = Some(message),
            Event::Message(message) => self.begin_handling(message, context),
            Event::Ping(payload) => {
                let answers = self.config().auto_ping_pong && !self.close_is_queued();
                if answers {
                    self.writer.push_pong(pong_frame(&payload));
                }
            }
            Event::Pong => {}
            Event::Close(close) => self.peer_closed(close),
        }
    }

    pub(super) fn close_is_queued(&self) -> bool {
        self.closing.as_ref().is_some_and(Closing::is_queued)
    }
}
