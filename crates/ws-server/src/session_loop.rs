//! The task of one attached connection: socket, handlers, outbox and clock, driven by hand in one poll.
//!
//! At each wake-up it handles every frame that is ready and then writes once. It always reads, so control frames are
//! answered while a handler runs; a data message that comes meanwhile waits, and reading stops until it has its turn.

mod ending;
mod link;
mod reading;
mod texts;
mod timing;
mod writing;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use core_executor::IoStream;

use self::link::Link;
use self::reading::Read;
use crate::attachment::Attachment;
use crate::batch::{Batch, Held};
use crate::clock::{Alarm, Tick, now};
use crate::close::CloseInfo;
use crate::closing::{Closing, Farewell};
use crate::codec::{Decoder, Incoming, Limits, Role};
use crate::config::WsConfig;
use crate::deflate::{Compression, Negotiated};
use crate::dispatch::{Dispatch, Panicked};
use crate::error::SessionError;
use crate::handlers::BoxFuture;
use crate::heartbeat::Heartbeat;
use crate::metrics::WsMetrics;
use crate::outbox::{Interest, Outbox};
use crate::patience::Patience;
use crate::registry::{Ending, Outcome};
use crate::scratch::with_scratch;
use crate::stalled::Stall;

/// Rounds of reading, handling and writing before other tasks of the worker get their turn; a round reads 64 KiB.
const ROUNDS: usize = 2;
/// Other sessions that are written to in one round.
const OTHERS: usize = 32;

/// Carries a session over `stream` until both have ended. `early` are bytes that came right behind the handshake.
pub(crate) fn run(
    stream: IoStream,
    early: &[u8],
    attachment: Attachment,
    deflate: Option<Negotiated>,
) -> impl Future<Output = ()> + use<> {
    let connection = Connection::new(stream, early, attachment, deflate);
    connection.metrics().bytes_in.inc_by(early.len() as u64);
    Stage::Live(connection)
}

/// A session on its connection. By hand, because an async block costs each wake-up more.
// Which stage it is stands in front, on the cache line that a wake-up needs anyway.
#[repr(u8)]
#[expect(clippy::large_enum_variant, reason = "a session is live nearly all the time")]
enum Stage {
    Live(Connection),
    /// Boxed, because a session that lives should not keep room for what comes once, at its end.
    Ending(BoxFuture<()>),
    Over,
}

impl Future for Stage {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let ending = match this {
            Self::Live(connection) => ready!(connection.poll(context)),
            Self::Ending(ended) => return ended.as_mut().poll(context),
            Self::Over => return Poll::Ready(()),
        };
        this.leave(ending, context)
    }
}

impl Stage {
    /// Lets go of the connection, then of the session.
    #[cold]
    fn leave(&mut self, ending: Ending, context: &mut Context<'_>) -> Poll<()> {
        let Self::Live(Connection { attachment, .. }) = mem::replace(self, Self::Over) else {
            return Poll::Ready(());
        };
        let mut ended: BoxFuture<()> = Box::pin(attachment.end(ending));
        let polled = ended.as_mut().poll(context);
        if polled.is_pending() {
            *self = Self::Ending(ended);
        }
        polled
    }
}

/// In this order, because with thousands of sessions each of these cache lines has to be fetched at a wake-up: what
/// every one looks at lies together.
#[repr(C)]
struct Connection {
    attachment: Attachment,
    /// Gone once nothing is read or written any more; a handler may still run.
    link: Option<Link>,
    /// The message whose handlers run.
    handling: Option<Box<Dispatch>>,
    /// The message that waits for them.
    waiting: Option<Box<Incoming>>,
    /// Bytes that were read and not decoded because a message waits.
    backlog: Option<Box<BytesMut>>,
    closing: Option<Box<Closing>>,
    /// When a handler is given up (a server that stops).
    handler_until: Option<Instant>,
    /// Sessions to which handlers of this one have sent, and which are not written to yet.
    held: Held,
    /// The socket took no more bytes at the last try.
    stall: Option<Stall>,
    close_seen: u8,
    /// Something may be due earlier than the alarm rings.
    is_clock_stale: bool,
    alarm: Alarm,
    /// When the alarm rings.
    alarm_at: Option<Tick>,
    /// The tick in which a byte was heard of last.
    heard_at: Tick,
    heartbeat: Heartbeat,
    /// Messages received that are not in the metrics yet.
    received: u64,
    /// Absent while the peer does nothing that tries it.
    patience: Option<Box<Patience>>,
    decoder: Decoder,
    error: Option<Box<SessionError>>,
    /// How it ended, once the stream is gone.
    ended: Option<Box<(CloseInfo, Outcome)>>,
}

impl Connection {
    fn new(stream: IoStream, early: &[u8], attachment: Attachment, deflate: Option<Negotiated>) -> Self {
        let session = attachment.session();
        let config = session.hub().config();
        let decoder = Decoder::new(Role::Server, Limits::of(config)).with_deflate(deflate.as_ref());
        let compression = deflate.and_then(|deflate| Compression::new(deflate.outgoing, &config.deflate));
        let (link, socket) = Link::new(stream);
        session.outbox().connect(socket, compression);
        let alarm = Alarm::new(session.hub().clock().clone());
        Self {
            link: Some(link),
            decoder,
            backlog: (!early.is_empty()).then(|| Box::new(BytesMut::from(early))),
            handling: None,
            waiting: None,
            received: 0,
            held: Held::default(),
            stall: None,
            heartbeat: Heartbeat::new(now()),
            heard_at: Tick::NEVER,
            patience: None,
            alarm,
            alarm_at: None,
            is_clock_stale: true,
            closing: None,
            close_seen: 0,
            handler_until: None,
            error: None,
            ended: None,
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
        let _batch = Batch::begin(self.attachment.session().id());
        if let Some(Link::Other(_)) = self.link {
            // Only this task writes: what its own handlers send need not wake it.
            self.outbox().awake();
        }
        for _ in 0..ROUNDS {
            let progress = if self.is_at_ease() {
                let progress = self.read_at_ease(context);
                if !progress && self.outbox().is_asleep(context) {
                    return Poll::Pending;
                }
                progress
            } else if self.outbox().has_ended() {
                self.link = None;
                return Poll::Ready(Ending::cut());
            } else {
                self.round(context)
            };
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

    /// Nothing is under way but reading: no handler runs, nothing waits to be decoded, written or closed.
    #[inline]
    fn is_at_ease(&self) -> bool {
        let outbox = self.outbox();
        matches!(self.link, Some(Link::Tcp { .. }))
            && self.handling.is_none()
            && self.waiting.is_none()
            && self.backlog.is_none()
            && self.closing.is_none()
            && self.handler_until.is_none()
            && self.held.is_empty()
            && self.stall.is_none()
            && outbox.is_quiet(self.close_seen)
    }

    /// What a round comes to then. Whatever it brings about is seen to by the next; nothing when there was nothing.
    fn read_at_ease(&mut self, context: &mut Context<'_>) -> bool {
        let read = with_scratch(|scratch| self.read_socket(scratch, context));
        self.held.write(self.attachment.session(), OTHERS);
        if self.watch_clock(context) || !self.held.is_empty() {
            return true;
        }
        match read {
            Read::Nothing => false,
            Read::Full => true,
            // Most often that was all, and a round only to find so would cost a tenth of a message.
            Read::Short => !(self.is_at_ease() && self.is_silent(context)),
        }
    }

    fn is_silent(&self, context: &mut Context<'_>) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_silent(context))
    }

    /// Handles, reads and writes what is ready. Returns whether there may be more.
    fn round(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = self.handle(context);
        self.watch_outbox();
        let could_read = self.may_read();
        progress |= self.read(context);
        self.held.write(self.attachment.session(), OTHERS);
        self.watch_outbox();
        self.write(context);
        progress |= self.watch_clock(context) || !self.held.is_empty();
        progress | (self.may_read() && !could_read)
    }

    /// The end, once the stream is gone and no handler runs.
    fn ending(&mut self) -> Option<Ending> {
        if self.handling.is_some() || self.waiting.is_some() {
            return None;
        }
        let (info, outcome) = *self.ended.take()?;
        let error = self.error.take().map(|error| *error);
        Some(Ending::new(info, outcome).with_error(error))
    }

    /// Goes to sleep until the outbox has news for us; everything else has our waker already.
    fn sleep(&self, context: &Context<'_>) -> bool {
        let messages = self.link.is_some() && self.stall.is_none() && self.closing.is_none();
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
                self.begin_handling(*waiting, context);
            }
            // What was not read while it waited says nothing about the peer.
            let now = now();
            self.heartbeat.heard(now);
            if let Some(patience) = &mut self.patience {
                patience.forgive_frame(now);
            }
            self.is_clock_stale = true;
        }
        true
    }

    #[inline]
    fn begin_handling(&mut self, message: Incoming, context: &mut Context<'_>) {
        self.received += 1;
        if !Batch::holds_all() {
            self.settle_received();
        }
        match Dispatch::begin(self.attachment.session(), message, context) {
            Ok(None) => {}
            Ok(Some(handling)) => self.handling = Some(Box::new(handling)),
            Err(panicked) => self.handled(Err(panicked)),
        }
    }

    /// Puts what was received into the metrics, before anything of what it causes is written.
    fn settle_received(&mut self) {
        let received = mem::take(&mut self.received);
        if received > 0 {
            self.metrics().messages_in.inc_by(received);
        }
    }

    /// The session closes: a message that was read is not handled, and the peer may never learn that.
    fn unhandled(&self) {
        self.metrics().messages_unhandled.inc();
    }

    /// We said, or are about to say, the first Close: what the peer still sends is not for the handlers any more.
    #[inline]
    fn refuses_messages(&self) -> bool {
        match &self.closing {
            Some(closing) => !closing.is_answer(),
            None => self.outbox().is_closing(),
        }
    }

    fn handled(&mut self, outcome: Result<(), Panicked>) {
        if outcome.is_err() {
            let Ending { info, error, .. } = Ending::handler_panicked();
            self.error = error.map(Box::new);
            self.request_close(info, Farewell::Await);
        }
    }
}
