//! The task of one attached connection: socket, handlers, outbox and clock, driven by hand in one poll.
//!
//! At each wake-up it handles every frame that is ready and then writes once. It always reads, so control frames are
//! answered while a handler runs; a data message that comes meanwhile waits, and reading stops until it has its turn.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use core_executor::IoStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::attachment::Attachment;
use crate::close::{CloseInfo, CloseRequest, ClosedBy, close_code};
use crate::closing::{Closing, Farewell};
use crate::codec::{Decoder, Event, Incoming, PeerClose, Violation, ping_frame, pong_frame};
use crate::config::{WsConfig, or_unlimited};
use crate::dispatch::{Dispatch, Panicked};
use crate::error::SessionError;
use crate::heartbeat::{Beat, Heartbeat};
use crate::outbox::Interest;
use crate::registry::{Ending, Outcome};
use crate::scratch::with_scratch;
use crate::writer::Writer;

/// Rounds of reading, handling and writing before other tasks of the worker get their turn.
const ROUNDS: usize = 8;
/// Messages handled before what they caused is written.
const MESSAGES_PER_WRITE: usize = 64;

/// Carries a session over `stream` until both have ended. `early` are bytes that came right behind the handshake.
pub(crate) async fn run(stream: IoStream, early: Bytes, attachment: Attachment) {
    attachment
        .session()
        .hub()
        .metrics()
        .bytes_in
        .inc_by(early.len() as u64);
    let mut connection = Connection::new(stream, &early, attachment);
    // It may be a slice of the buffer the handshake was read into.
    drop(early);
    let ending = poll_fn(|context| connection.poll(context)).await;
    let Connection { attachment, .. } = connection;
    attachment.end(ending).await;
}

struct Connection {
    attachment: Attachment,
    /// Gone once nothing is read or written any more; a handler may still run.
    stream: Option<IoStream>,
    decoder: Decoder,
    /// Bytes that were read and not decoded because a message waits.
    backlog: BytesMut,
    /// The message whose handlers run.
    handling: Option<Box<Dispatch>>,
    /// The message that waits for them.
    waiting: Option<Incoming>,
    writer: Writer,
    /// The socket took no more bytes at the last try.
    is_blocked: bool,
    heartbeat: Heartbeat,
    closing: Option<Closing>,
    close_seen: u8,
    /// When a handler is given up (a server that stops).
    handler_until: Option<Instant>,
    error: Option<SessionError>,
    /// How it ended, once the stream is gone.
    ended: Option<(CloseInfo, Outcome)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn new(stream: IoStream, early: &[u8], attachment: Attachment) -> Self {
        let limit = or_unlimited(attachment.session().hub().config().max_message_size);
        Self {
            stream: Some(stream),
            decoder: Decoder::new(limit),
            backlog: BytesMut::from(early),
            handling: None,
            waiting: None,
            writer: Writer::default(),
            is_blocked: false,
            heartbeat: Heartbeat::new(now()),
            closing: None,
            close_seen: 0,
            handler_until: None,
            error: None,
            ended: None,
            timer: None,
            attachment,
        }
    }

    fn config(&self) -> &WsConfig {
        self.attachment.session().hub().config()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..ROUNDS {
            if self.attachment.session().outbox().has_ended() {
                self.stream = None;
                return Poll::Ready(Ending::cut());
            }
            let mut progress = self.handle(context);
            self.watch_outbox();
            let could_read = self.may_read();
            progress |= self.read(context);
            self.watch_outbox();
            self.write(context);
            progress |= self.watch_clock(context);
            progress |= self.may_read() && !could_read;
            if let Some(ending) = self.ending() {
                return Poll::Ready(ending);
            }
            if !progress && self.sleep(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// The end, once the stream is gone and no handler runs.
    fn ending(&mut self) -> Option<Ending> {
        if self.handling.is_some() || self.waiting.is_some() {
            return None;
        }
        let (info, outcome) = self.ended.take()?;
        Some(Ending::new(info, outcome).with_error(self.error.take()))
    }

    /// Goes to sleep until the outbox has news for us; everything else has our waker already.
    fn sleep(&self, context: &Context<'_>) -> bool {
        let messages = self.stream.is_some() && !self.is_blocked && self.closing.is_none();
        let interest = Interest {
            messages,
            close_version: self.close_seen,
        };
        self.attachment.session().outbox().sleep(interest, context)
    }

    // ---- handlers ------------------------------------------------------------------------------------------------

    /// Lets the running handler go on, then the message that waits. Returns whether a message was finished.
    fn handle(&mut self, context: &mut Context<'_>) -> bool {
        let Some(mut handling) = self.handling.take() else {
            return false;
        };
        match Pin::new(&mut *handling).poll(context) {
            Poll::Pending => {
                self.handling = Some(handling);
                return false;
            }
            Poll::Ready(outcome) => self.handled(outcome),
        }
        if let Some(waiting) = self.waiting.take() {
            if self.refuses_messages() {
                self.unhandled();
            } else {
                self.begin_handling(waiting, context);
            }
            // What was not read while it waited says nothing about the peer.
            self.heartbeat.heard(now());
        }
        true
    }

    fn begin_handling(&mut self, message: Incoming, context: &mut Context<'_>) {
        let mut dispatch = self.attachment.dispatch(message);
        match Pin::new(&mut dispatch).poll(context) {
            Poll::Pending => self.handling = Some(Box::new(dispatch)),
            Poll::Ready(outcome) => self.handled(outcome),
        }
    }

    /// The session closes: a message that was read is not handled, and the peer may never learn that.
    fn unhandled(&self) {
        self.attachment.session().hub().metrics().messages_unhandled.inc();
    }

    /// We said, or are about to say, the first Close: what the peer still sends is not for the handlers any more.
    fn refuses_messages(&self) -> bool {
        match &self.closing {
            Some(closing) => !closing.is_answer(),
            None => self.attachment.session().outbox().is_closing(),
        }
    }

    fn handled(&mut self, outcome: Result<(), Panicked>) {
        if outcome.is_err() {
            let Ending { info, error, .. } = Ending::handler_panicked();
            self.error = error;
            self.request_close(info, Farewell::Await);
        }
    }

    // ---- reading -------------------------------------------------------------------------------------------------

    /// A message waits, or the peer does not take what it has caused already.
    fn may_read(&self) -> bool {
        self.stream.is_some() && self.waiting.is_none() && !self.is_congested()
    }

    /// More than half of the outbox waits for a socket that takes nothing: what the peer asks for can wait with it.
    fn is_congested(&self) -> bool {
        self.is_blocked && self.closing.is_none() && {
            let limits = self.config().outbox;
            self.attachment.session().outbox().is_half_full(&limits)
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> bool {
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

    fn read_socket(&mut self, scratch: &mut [u8], context: &mut Context<'_>) -> bool {
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
                    self.attachment
                        .session()
                        .hub()
                        .metrics()
                        .bytes_in
                        .inc_by(length as u64);
                    let used = self.decode(&mut scratch[..length], context);
                    self.backlog = BytesMut::from(&scratch[used..length]);
                }
            }
        }
        true
    }

    /// Decodes and handles until the input is used up or a message has to wait. Returns how much was used.
    fn decode(&mut self, input: &mut [u8], context: &mut Context<'_>) -> usize {
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

    fn on_event(&mut self, event: Event, context: &mut Context<'_>) {
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

    fn close_is_queued(&self) -> bool {
        self.closing.as_ref().is_some_and(Closing::is_queued)
    }

    fn violated(&mut self, violation: Violation) {
        let Violation { code, rule } = violation;
        let code = u16::from(code);
        self.error.get_or_insert(SessionError::Protocol { code, rule });
        self.request_close(CloseInfo::new(code, rule, ClosedBy::Error), Farewell::HangUp);
    }

    fn peer_closed(&mut self, close: Option<PeerClose>) {
        if let Some(closing) = &mut self.closing {
            closing.answered();
            return;
        }
        let (code, reason) = close.map_or((None, String::new()), |close| (Some(close.code), close.reason));
        let info = CloseInfo::new(code.unwrap_or(close_code::NO_STATUS), reason, ClosedBy::Peer);
        self.request_close(info, Farewell::Answer);
    }

    // ---- closing -------------------------------------------------------------------------------------------------

    /// Notices a wish to close that came through the session, and carries it out unless a handler is waited for.
    fn watch_outbox(&mut self) {
        let outbox = self.attachment.session().outbox();
        if outbox.close_version() == self.close_seen && self.handler_until.is_none() {
            return;
        }
        let (request, version) = outbox.close_request();
        self.close_seen = version;
        let Some(request) = request else {
            return;
        };
        if request.discard {
            let gone = self.writer.discard();
            self.attachment.abandoned(gone);
        }
        self.handler_until = request.handler_until.filter(|_| self.handling.is_some());
        if self.handler_until.is_none() {
            self.attachment.session().outbox().seal();
            self.begin_close(request.info, Farewell::Await);
        }
    }

    /// Closes for a reason of the connection's own, at once.
    fn request_close(&mut self, info: CloseInfo, farewell: Farewell) {
        self.attachment
            .session()
            .request_close(CloseRequest::new(info.clone()));
        self.attachment.session().outbox().seal();
        self.close_seen = self.attachment.session().outbox().close_version();
        self.handler_until = None;
        self.begin_close(info, farewell);
    }

    fn begin_close(&mut self, info: CloseInfo, farewell: Farewell) {
        if self.closing.is_none() && self.ended.is_none() {
            self.closing = Some(Closing::new(info, farewell, now(), self.config().close_timeout));
            // What waits will not be handled, and must not keep us from reading the peer's answer.
            if self.refuses_messages() && self.waiting.take().is_some() {
                self.unhandled();
            }
        }
    }

    /// The connection is over: the stream goes, a handler may run to its end.
    fn over(&mut self, info: CloseInfo, outcome: Outcome) {
        self.attachment
            .session()
            .request_close(CloseRequest::new(info.clone()));
        self.attachment.session().outbox().seal();
        self.close_seen = self.attachment.session().outbox().close_version();
        self.backlog = BytesMut::new();
        self.ended.get_or_insert((info, outcome));
        self.stream = None;
    }

    fn end_of_stream(&mut self) {
        match self.closing.as_ref().map(Closing::ending_without_peer) {
            Some((info, outcome)) => self.over(info, outcome),
            None => self.over(CloseInfo::gone("connection ended"), Outcome::Left),
        }
    }

    fn failed(&mut self, error: io::Error) {
        let is_ordinary = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        );
        if !is_ordinary {
            self.error.get_or_insert(SessionError::Io(error));
        }
        self.end_of_stream();
    }

    // ---- writing -------------------------------------------------------------------------------------------------

    fn write(&mut self, context: &mut Context<'_>) {
        loop {
            self.refill();
            let Some(stream) = &mut self.stream else {
                return;
            };
            if self.writer.is_empty() {
                break;
            }
            match self.writer.poll_write(stream, context) {
                Poll::Pending => {
                    self.is_blocked = true;
                    return;
                }
                Poll::Ready(Err(error)) => return self.failed(error),
                Poll::Ready(Ok(progress)) => {
                    self.is_blocked = false;
                    if progress.messages.messages > 0 {
                        self.attachment.delivered(progress.messages);
                    }
                    self.attachment
                        .session()
                        .hub()
                        .metrics()
                        .bytes_out
                        .inc_by(progress.bytes as u64);
                    if let Some(closing) = &mut self.closing {
                        closing.moved(now());
                    }
                }
            }
        }
        self.is_blocked = false;
        if let Some(stream) = &mut self.stream {
            // Streams that buffer (TLS) go on flushing at the next wake-up; a failure shows at the next write.
            let _ = Pin::new(stream).poll_flush(context);
        }
        self.written_all(context);
    }

    /// Takes what waits in the outbox, and the Close behind the last of it.
    fn refill(&mut self) {
        if self.close_is_queued() {
            return;
        }
        let Self {
            attachment, writer, ..
        } = self;
        let outbox = attachment.session().outbox();
        outbox.take(writer.room(), |message| writer.push_message(&message));
        if let Some(closing) = &mut self.closing
            && outbox.is_empty()
        {
            self.writer.push_close(closing.frame());
        }
    }

    /// Everything is out; if the Close is among it, the connection ends or waits for the peer.
    fn written_all(&mut self, context: &mut Context<'_>) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        if !closing.is_queued() {
            return;
        }
        if closing.sent(now())
            && let Some(stream) = &mut self.stream
        {
            // The FIN tells the peer that nothing follows; for TCP it is done at once.
            let _ = Pin::new(stream).poll_shutdown(context);
        }
        if let Some((info, outcome)) = closing.ending_when_complete() {
            self.over(info, outcome);
        }
    }

    // ---- clock ---------------------------------------------------------------------------------------------------

    /// Does what is due and sets the timer for what comes next. Returns whether something was done.
    fn watch_clock(&mut self, context: &mut Context<'_>) -> bool {
        let now = now();
        let done = self.do_due(now);
        let Some(next) = self.next_due() else {
            self.timer = None;
            return done;
        };
        let next = tokio::time::Instant::from_std(next);
        match &mut self.timer {
            // A timer that rings too early is set anew when it rings: cheaper than at every message.
            Some(timer) if timer.deadline() <= next && !timer.is_elapsed() => {}
            Some(timer) => timer.as_mut().reset(next),
            timer => *timer = Some(Box::pin(tokio::time::sleep_until(next))),
        }
        let timer = self.timer.as_mut().expect("it was just set");
        done || timer.as_mut().poll(context).is_ready()
    }

    fn do_due(&mut self, now: Instant) -> bool {
        if self.handler_until.is_some_and(|until| until <= now) {
            // The server stops and the handler has had its time.
            self.handling = None;
            self.handler_until = None;
            self.watch_closing_request();
            return true;
        }
        if self.stream.is_none() {
            return false;
        }
        if let Some(closing) = &self.closing {
            let Some((info, outcome)) = closing.ending_at(now) else {
                return false;
            };
            self.over(info, outcome);
            return true;
        }
        self.beat(now)
    }

    fn watch_closing_request(&mut self) {
        let outbox = self.attachment.session().outbox();
        outbox.seal();
        let (request, version) = outbox.close_request();
        self.close_seen = version;
        if let Some(request) = request {
            self.begin_close(request.info, Farewell::Await);
        }
    }

    fn beat(&mut self, now: Instant) -> bool {
        if self.waiting.is_some() {
            // We do not listen, so silence says nothing.
            return false;
        }
        let config = self.attachment.session().hub().config();
        match self.heartbeat.due(now, config) {
            None => return false,
            Some(Beat::Ping) => self.writer.push_ping(ping_frame()),
            Some(Beat::NoPong) => {
                let info = CloseInfo::new(close_code::ABNORMAL, "no pong", ClosedBy::Timeout);
                self.over(info, Outcome::Left);
            }
            Some(Beat::Idle) => {
                let info = CloseInfo::new(close_code::NORMAL, "idle timeout", ClosedBy::Timeout);
                self.request_close(info, Farewell::Await);
            }
        }
        true
    }

    fn next_due(&self) -> Option<Instant> {
        let of_stream = match (&self.stream, &self.closing) {
            (None, _) => None,
            (Some(_), Some(closing)) => Some(closing.until()),
            (Some(_), None) if self.waiting.is_some() => None,
            (Some(_), None) => self.heartbeat.next(self.config()),
        };
        [of_stream, self.handler_until].into_iter().flatten().min()
    }
}

/// The time as the runtime has it, which a test or a simulation may move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
