//! The task of one attached connection: socket, handlers, outbox and clock, driven by hand in one poll.
//!
//! At each wake-up it handles every frame that is ready and then writes once. It always reads, so control frames are
//! answered while a handler runs; a data message that comes meanwhile waits, and reading stops until it has its turn.

mod ending;
mod reading;
mod writing;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use core_executor::IoStream;
use tokio::time::Sleep;

use crate::attachment::Attachment;
use crate::close::{CloseInfo, ClosedBy, close_code};
use crate::closing::{Closing, Farewell};
use crate::codec::{Decoder, Incoming, Limits, Role, ping_frame};
use crate::config::WsConfig;
use crate::deflate::{Compression, Negotiated};
use crate::dispatch::{Dispatch, Panicked};
use crate::error::SessionError;
use crate::heartbeat::{Beat, Heartbeat};
use crate::metrics::WsMetrics;
use crate::outbox::{Interest, Outbox};
use crate::registry::{Ending, Outcome};
use crate::writer::Writer;

/// Rounds of reading, handling and writing before other tasks of the worker get their turn.
const ROUNDS: usize = 8;
/// Carries a session over `stream` until both have ended. `early` are bytes that came right behind the handshake.
pub(crate) fn run(
    stream: IoStream,
    early: &[u8],
    attachment: Attachment,
    deflate: Option<Negotiated>,
) -> impl Future<Output = ()> + use<> {
    let mut connection = Connection::new(stream, early, attachment, deflate);
    connection.metrics().bytes_in.inc_by(early.len() as u64);
    async move {
        let ending = poll_fn(|context| connection.poll(context)).await;
        let Connection { attachment, .. } = connection;
        // Boxed, because a session that lives should not keep room for what comes once, at its end.
        Box::pin(attachment.end(ending)).await;
    }
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
    fn new(stream: IoStream, early: &[u8], attachment: Attachment, deflate: Option<Negotiated>) -> Self {
        let config = attachment.session().hub().config();
        let decoder = Decoder::new(Role::Server, Limits::of(config)).with_deflate(deflate.as_ref());
        let compression = deflate.and_then(|deflate| Compression::new(deflate.outgoing, &config.deflate));
        Self {
            stream: Some(stream),
            decoder,
            backlog: BytesMut::from(early),
            handling: None,
            waiting: None,
            writer: Writer::with_compression(compression),
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

    fn metrics(&self) -> &WsMetrics {
        self.attachment.session().hub().metrics()
    }

    fn outbox(&self) -> &Outbox {
        self.attachment.session().outbox()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..ROUNDS {
            if self.outbox().has_ended() {
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
        self.outbox().sleep(interest, context)
    }

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
        self.metrics().messages_unhandled.inc();
    }

    /// We said, or are about to say, the first Close: what the peer still sends is not for the handlers any more.
    fn refuses_messages(&self) -> bool {
        match &self.closing {
            Some(closing) => !closing.is_answer(),
            None => self.outbox().is_closing(),
        }
    }

    fn handled(&mut self, outcome: Result<(), Panicked>) {
        if outcome.is_err() {
            let Ending { info, error, .. } = Ending::handler_panicked();
            self.error = error;
            self.request_close(info, Farewell::Await);
        }
    }

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
            if self.handling.take().is_some() {
                self.attachment.session().hub().tally().count_cut_handler();
            }
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
        let outbox = self.outbox();
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
