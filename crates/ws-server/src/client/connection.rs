//! The task of one connection: socket, queues and clock. At each step it takes what is ready and then writes.

mod ending;
mod step;

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use core_executor::{IoStream, ShutdownSignal};
use tokio::io::{ReadHalf, WriteHalf};
use tungstenite::protocol::Message;

use self::step::Step;
use super::clock::{Clock, Due};
use super::config::ClientConfig;
use super::end::Held;
use super::error::ClientError;
use super::output::Output;
use super::queue::{NotQueued, QueueReceiver, QueueSender};
use crate::codec::{Decoder, Event, Incoming, Role, ping_frame, pong_frame};
use crate::deflate::{Compression, DeflateConfig, Negotiated};
use crate::encoded::Encoded;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    reader: ReadHalf<IoStream>,
    writer: WriteHalf<IoStream>,
    /// Bytes that were read and not decoded because a message waits.
    input: BytesMut,
    decoder: Decoder,
    /// Present when the server takes compressed messages.
    compression: Option<Compression>,
    output: Output,
    /// What the senders want to send.
    to_send: QueueReceiver,
    /// What the receiver has not taken yet.
    received: QueueSender,
    /// The message that found no room there; nothing is read until it does.
    waiting: Option<Message>,
    clock: Clock,
    close_timeout: Duration,
    pong_timeout: Duration,
    write_stall_timeout: Duration,
    closing: Option<Closing>,
    failing: Option<Failing>,
    error: Option<ClientError>,
    unsent: u64,
    unread: u64,
    /// Nothing can be written any more.
    is_mute: bool,
    /// Nothing is left to be done.
    is_over: bool,
}

/// A connection that will fail when the receiver has handled what came before the violation, so that its answers
/// are not lost; it is not waited for beyond `until`.
#[derive(Debug)]
struct Failing {
    code: u16,
    rule: &'static str,
    until: tokio::time::Instant,
}

/// A connection on its way to the end.
#[derive(Debug)]
struct Closing {
    code: u16,
    reason: String,
    /// Our Close, until it is queued.
    frame: Option<Bytes>,
    /// The server said Close.
    is_heard: bool,
}

impl Connection {
    /// `early` are bytes that came right behind the handshake; the queues are what is to be sent and what was
    /// received.
    pub(super) fn new(
        stream: IoStream,
        early: BytesMut,
        deflate: Option<Negotiated>,
        (to_send, received): (QueueReceiver, QueueSender),
        config: &ClientConfig,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            input: early,
            decoder: Decoder::new(Role::Client, config.limits()).with_deflate(deflate.as_ref()),
            compression: deflate
                .and_then(|deflate| Compression::new(deflate.outgoing, &DeflateConfig::default())),
            output: Output::default(),
            to_send,
            received,
            waiting: None,
            clock: Clock::new(now(), config),
            close_timeout: config.close_timeout,
            pong_timeout: config.pong_timeout,
            write_stall_timeout: config.write_stall_timeout,
            closing: None,
            failing: None,
            error: None,
            unsent: 0,
            unread: 0,
            is_mute: false,
            is_over: false,
        }
    }

    /// Carries the connection to its end.
    pub(super) async fn run(mut self, mut held: Held, signal: ShutdownSignal) {
        self.decode();
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        while !self.is_over {
            self.refill();
            let step = self.step(&mut held, &signal, timer.as_mut()).await;
            self.take(step);
        }
        let end = self.end();
        // Before the queue of received messages goes, so that who finds it at its end finds this.
        held.ended.send_replace(Some(end.into()));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Read(Ok(0)) => self.end_of_stream(),
            Step::Read(Ok(_)) => {
                self.clock.heard();
                self.decode();
            }
            Step::Wrote(Ok(())) => self.clock.wrote(now(), self.output.is_empty()),
            Step::Wrote(Err(error)) => self.cannot_write(error),
            Step::Read(Err(error)) => self.lost(error),
            Step::ToSend(Some(message)) => self.push(&message),
            // The next refill notices that nothing more can come.
            Step::ToSend(None) => {}
            Step::Delivered(is_read) => {
                self.unread += u64::from(!is_read);
                // What was not read meanwhile says nothing about the server.
                self.clock.heard();
                self.decode();
            }
            Step::CaughtUp => self.fail_now(),
            Step::Asked(ask) => self.begin_close(ask.code, ask.reason),
            Step::Clock => self.do_due(),
            Step::Cut => {
                self.error.get_or_insert(ClientError::ExecutorEnded);
                self.is_over = true;
            }
        }
    }

    /// A message that waits keeps what is behind it waiting; behind a violation nothing is read.
    fn may_read(&self) -> bool {
        self.waiting.is_none() && self.failing.is_none()
    }

    /// Whether our Close is queued, behind which nothing may go.
    fn said_close(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.frame.is_none())
    }

    /// Whether messages of the senders still go out.
    fn sends(&self) -> bool {
        !self.is_mute && !self.said_close() && self.output.has_room()
    }

    /// Takes what the senders have queued, and the Close behind the last of it.
    fn refill(&mut self) {
        while self.sends() {
            let Some(message) = self.to_send.try_recv() else {
                break;
            };
            self.push(&message);
        }
        if self.to_send.is_finished() && self.sends() {
            self.say_close();
        }
        if !self.output.is_empty() {
            self.clock.writes(now());
        }
    }

    fn push(&mut self, message: &Message) {
        let message = match message {
            Message::Text(text) => Encoded::text(text),
            Message::Binary(body) => Encoded::binary(body),
            // The senders refuse them.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        match &mut self.compression {
            Some(compression) => self.output.push_message(&compression.frame(&message)),
            None => self.output.push_message(message.frame()),
        }
    }

    /// Decodes until the input is used up or a message has to wait.
    fn decode(&mut self) {
        while !self.input.is_empty() && self.may_read() {
            match self.decoder.decode(&mut self.input) {
                Ok((used, event)) => {
                    self.input.advance(used);
                    if let Some(event) = event {
                        self.on_event(event);
                    }
                }
                Err(violation) => {
                    self.input.clear();
                    self.violated(violation);
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Message(Incoming::Text(text)) => self.deliver(Message::Text(text.into_string().into())),
            Event::Message(Incoming::Binary(body)) => self.deliver(Message::Binary(body)),
            Event::Ping(payload) => {
                if !self.said_close() && !self.is_mute {
                    self.output.push_pong(&pong_frame(&payload));
                }
            }
            Event::Pong => {}
            Event::Close(close) => self.server_closed(close),
        }
    }

    fn deliver(&mut self, message: Message) {
        match self.received.try_send(message) {
            Ok(()) => {}
            // The receiver must not keep us from reading the server's Close.
            Err(NotQueued::Full(_)) if self.closing.is_some() => self.unread += 1,
            Err(NotQueued::Full(message)) => self.waiting = Some(message),
            Err(NotQueued::Closed) => self.unread += 1,
        }
    }

    fn do_due(&mut self) {
        match self.clock.due(now(), self.may_read()) {
            None => {}
            Some(Due::Ping) => self.output.push_ping(&ping_frame()),
            Some(Due::NoPong) => self.fail(ClientError::NoPong {
                limit: self.pong_timeout,
            }),
            Some(Due::Stalled) => self.fail(ClientError::Stalled {
                limit: self.write_stall_timeout,
            }),
            Some(Due::CloseTimeout) => self.is_over = true,
        }
    }
}

/// The time as the runtime has it, which a test or a simulation may move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
