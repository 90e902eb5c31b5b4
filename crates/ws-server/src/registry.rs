//! Beginning and end of every session: one `on_open`, one `on_close`, whatever happens between them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use crate::attachment::Attachment;
use crate::close::{CloseInfo, ClosedBy, close_code};
use crate::dispatch::{Panicked, guarded};
use crate::error::SessionError;
use crate::handlers::BoxFuture;
use crate::handshake::Admission;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::session::{End, Session, TransportKind};
use crate::sync::Mutex;

/// How well a session ended, for the report of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Close sent and received.
    Clean,
    /// Close sent, none received.
    Unanswered,
    /// The peer left before a Close could be sent.
    Left,
    /// No Close could be sent in time.
    Cut,
}

/// Everything there is to say about the end of a session.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) info: CloseInfo,
    pub(crate) outcome: Outcome,
    /// Given to `on_error` first.
    pub(crate) error: Option<SessionError>,
    /// Messages that never reached a transport, beside those in the outbox.
    pub(crate) undelivered: u64,
}

impl Ending {
    pub(crate) fn new(info: CloseInfo, outcome: Outcome) -> Self {
        Self {
            info,
            outcome,
            error: None,
            undelivered: 0,
        }
    }

    pub(crate) fn with_undelivered(mut self, messages: u64) -> Self {
        self.undelivered = messages;
        self
    }

    pub(crate) fn with_error(mut self, error: Option<SessionError>) -> Self {
        self.error = error;
        self
    }

    /// The deadline of a stop passed.
    pub(crate) fn cut() -> Self {
        let info = CloseInfo::new(
            close_code::ABNORMAL,
            "cut off at the deadline",
            ClosedBy::Shutdown,
        );
        Self::new(info, Outcome::Cut)
    }

    /// The transport's task was dropped.
    pub(crate) fn dropped(hub: &Hub) -> Self {
        let by = if hub.is_stopping() {
            ClosedBy::Shutdown
        } else {
            ClosedBy::Server
        };
        Self::new(
            CloseInfo::new(close_code::ABNORMAL, "the connection was dropped", by),
            Outcome::Cut,
        )
    }
}

/// Takes the session out of the table, however the future that holds it ends.
struct Unlist<'a>(&'a Session);

impl Drop for Unlist<'_> {
    fn drop(&mut self) {
        self.0.unlist();
    }
}

/// What the callbacks of a session are to be told of its end when `on_open` is over. Kept with the session's data.
struct Owed(Mutex<Option<Ending>>);

/// Held by whoever runs `on_open`, and let go when that is over, however.
struct Opening<'a>(Option<&'a Session>);

impl<'a> Opening<'a> {
    async fn over(mut self) {
        if let Some(session) = self.owing() {
            session.hub().tell_owed(session).await;
        }
    }

    /// The session, when an end came while `on_open` ran.
    fn owing(&mut self) -> Option<&'a Session> {
        self.0.take().filter(|session| session.life().opened())
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.owing() {
            let (hub, session) = (session.hub().clone(), session.clone());
            let teller = hub.clone();
            hub.go_on_without_us(Box::pin(async move { teller.tell_owed(&session).await }));
        }
    }
}

/// Ends a session that had not begun.
fn forget(session: &Session) {
    session.outbox().end();
    session.unlist();
}

impl Hub {
    /// Registers a session, runs `on_open`, and gives the attachment of the transport that carries it.
    ///
    /// From here on `on_close` is certain. The session is in the tables before `on_open` runs, so what `on_open`
    /// joins and sends is in effect before the peer hears anything.
    ///
    /// Cancel safe: dropping the future drops `on_open` where it stands and ends the session with 1006.
    ///
    /// # Errors
    /// The answer to give instead: the server does not run or stops (503), or `on_open` panicked (500; `on_close`
    /// has run).
    pub async fn open_session(&self, peer: Peer, transport: TransportKind) -> Result<Attachment, Refusal> {
        self.open_admitted_session(peer, transport, Admission::default())
            .await
    }

    /// The same with what [`admit`](Self::admit) gave: the value of `authorize` is the session's data before
    /// `on_open` runs. Cancel safe in the same way.
    ///
    /// # Errors
    /// As [`open_session`](Self::open_session).
    pub async fn open_admitted_session(
        &self,
        peer: Peer,
        transport: TransportKind,
        admission: Admission,
    ) -> Result<Attachment, Refusal> {
        let attachment = self.begin_session(peer, transport, admission)?;
        let session = attachment.session().clone();
        if self.run_on_open(&session).await.is_err() {
            attachment.end(Ending::handler_panicked()).await;
            return Err(Refusal::PANICKED);
        }
        if session.has_ended() {
            return Err(Refusal::STOPPING);
        }
        Ok(attachment)
    }

    /// Runs `on_open`. An end that comes meanwhile is told when it is over or has been dropped.
    pub(crate) async fn run_on_open(&self, session: &Session) -> Result<(), Panicked> {
        let Some(open) = &session.handlers().open else {
            return Ok(());
        };
        let opening = Opening(Some(session));
        let outcome = guarded(session, async { open(session.clone(), ()).await }).await;
        opening.over().await;
        outcome
    }

    /// Registers a session; `on_open` is still to run.
    pub(crate) fn begin_session(
        &self,
        peer: Peer,
        transport: TransportKind,
        admission: Admission,
    ) -> Result<Attachment, Refusal> {
        let handlers = self.handlers().ok_or(Refusal::STOPPING)?;
        let session = Session::new(self, handlers, peer, transport);
        session.admitted(admission);
        self.register(&session)?;
        Ok(Attachment::new(session))
    }

    /// Puts a session into the table and looks for a wish to stop only then: a stop that comes later finds it there.
    fn register(&self, session: &Session) -> Result<(), Refusal> {
        session.enlist();
        // The deadline of a stop may find it in the table, and end it, before it has begun.
        if self.is_stopping() || !session.life().begin(session.handlers().open.is_some()) {
            if session.life().end() != End::Over {
                forget(session);
            }
            return Err(Refusal::STOPPING);
        }
        self.metrics().connections_total.inc();
        self.metrics().connections_active.inc();
        Ok(())
    }

    /// Ends a session unless that has begun already: rooms, outbox, counts, `on_error`, `on_close`, table.
    pub(crate) async fn end(&self, session: &Session, ending: Ending) {
        match session.life().end() {
            End::Open => {
                self.account(session, &ending);
                self.tell(session, ending).await;
            }
            End::Opening => {
                self.account(session, &ending);
                session.insert_data(Owed(Mutex::new(Some(ending))));
                if !session.life().owe() {
                    self.tell_owed(session).await;
                }
            }
            // It is being refused, and nobody has heard of it.
            End::Unheard => forget(session),
            End::Over => {}
        }
    }

    async fn tell_owed(&self, session: &Session) {
        let owed = session.data::<Owed>().and_then(|owed| owed.0.lock().take());
        if let Some(ending) = owed {
            self.tell(session, ending).await;
        }
    }

    /// The callbacks of a session that ends, and its place in the table.
    async fn tell(&self, session: &Session, ending: Ending) {
        let _unlist = Unlist(session);
        let Ending {
            info, outcome, error, ..
        } = ending;
        if let Some(ended) = &session.handlers().ended {
            ended(session, &info, outcome);
        }
        let error = error.or_else(|| (info.by == ClosedBy::Slow).then_some(SessionError::SlowReader));
        self.report_error(session, error).await;
        if let Some(close) = &session.handlers().close {
            // A panic has been counted; there is nobody left to close.
            let _ = guarded(session, async { close(session.clone(), info).await }).await;
        }
    }

    fn account(&self, session: &Session, ending: &Ending) {
        let Ending { info, outcome, .. } = ending;
        session.leave_all();
        let undelivered = session.outbox().end() + ending.undelivered;
        self.metrics().messages_undelivered.inc_by(undelivered);
        self.metrics().closed(info);
        if self.is_stopping() {
            self.tally().count(*outcome, undelivered);
        }
        tracing::debug!(
            session = %session.id(), code = info.code, by = %info.by, ?outcome, undelivered, "session ended"
        );
    }

    async fn report_error(&self, session: &Session, error: Option<SessionError>) {
        let Some(error) = error else {
            return;
        };
        // A panic was counted where it was caught.
        if !matches!(error, SessionError::HandlerPanicked) {
            self.metrics().errors.inc();
        }
        tracing::debug!(session = %session.id(), %error, "session failed");
        if let Some(callback) = &session.handlers().error {
            let _ = guarded(session, async { callback(session.clone(), error).await }).await;
        }
    }

    /// The same where nothing can be awaited: `on_close` runs up to its first wait here, the rest on the executor.
    pub(crate) fn end_at_once(&self, session: &Session, ending: Ending) {
        let (hub, session) = (self.clone(), session.clone());
        self.go_on_without_us(Box::pin(async move { hub.end(&session, ending).await }));
    }

    fn go_on_without_us(&self, mut ended: BoxFuture<()>) {
        let spawner = self.spawner();
        let first = || {
            ended
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        };
        let is_done = catch_unwind(AssertUnwindSafe(first)).unwrap_or(true);
        if let (false, Some(spawner)) = (is_done, spawner) {
            // Refused only while the executor ends, and then nothing waits for it.
            let _ = spawner.spawn_service(ended);
        }
    }
}

impl Ending {
    /// A callback panicked.
    pub(crate) fn handler_panicked() -> Self {
        let info = CloseInfo::new(close_code::INTERNAL, "internal error", ClosedBy::Error);
        Self::new(info, Outcome::Clean).with_error(Some(SessionError::HandlerPanicked))
    }
}
