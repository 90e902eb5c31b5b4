//! A session that outlives its transport: what it still has to say is numbered and kept until it is acknowledged.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore};

use super::binding::Binding;
use super::carrier::Carrier;
use super::closing::Closing;
use super::error::ResumeError;
use super::id::ResumeId;
use super::places::Place;
use super::ring::{Limits, Ring};
use super::table::Table;
use crate::attachment::Attachment;
use crate::close::CloseInfo;
use crate::error::SessionError;
use crate::outbox::{Interest, Load};
use crate::session::{Session, TransportKind};

/// A session that goes on when its transport breaks or is replaced. Cloning counts a reference.
///
/// The hub owns the [`Session`]; this is the bond that a plain transport would be. Transports come and go as
/// [`Carrier`]s, one at a time; an example stands with them.
#[derive(Clone)]
pub struct ResumableSession(pub(super) Arc<Inner>);

/// The way from a session to its [`ResumableSession`], kept with its data.
pub(crate) struct ResumeLink(Weak<Inner>);

pub(super) struct Inner {
    pub(super) id: ResumeId,
    pub(super) session: Session,
    pub(super) table: Arc<Table>,
    pub(super) binding: Binding,
    /// Taken by whoever ends the session.
    pub(super) attachment: Mutex<Option<Attachment>>,
    state: Mutex<State>,
    /// Rung when anything in `state` changes that somebody may wait for.
    pub(super) changed: Notify,
    /// Held while a message of the client is handled: one after the other, whichever transport brought them.
    pub(super) inbound: tokio::sync::Mutex<()>,
    /// The client's messages up to this number are handled or being handled. Written under `inbound`.
    pub(super) received: AtomicU64,
    /// Rung when `received` moves.
    pub(super) heard: Notify,
    /// Places for batches of messages: the one that is handled, and one that was sent again meanwhile.
    pub(super) batches: Arc<Semaphore>,
}

pub(super) struct State {
    pub(super) ring: Ring,
    /// Number of the transport that carries the session; 0 is none.
    pub(super) carrier: u64,
    pub(super) carriers: u64,
    /// How many hold on to it: two, where a proxy sent one request twice.
    pub(super) holds: u32,
    /// The last request for messages that had a number: the number, and which transport it was.
    numbered: (u64, u64),
    /// Since when none does.
    pub(super) detached_at: Instant,
    pub(super) closing: Option<Closing>,
    /// The last version of the wish to close that was seen.
    pub(super) close_version: u8,
    pub(super) error: Option<SessionError>,
    pub(super) is_over: bool,
    /// Its place among those that are counted.
    place: Option<Place>,
    /// Dropped at the end.
    kept: Option<Box<dyn Any + Send>>,
}

impl State {
    /// What the client is to be told when it has everything.
    pub(super) fn last_word(&self) -> Option<CloseInfo> {
        let closing = self.closing.as_ref()?;
        closing.is_sealed.then(|| closing.info.clone())
    }
}

impl ResumableSession {
    pub(super) fn new(attachment: Attachment, table: &Arc<Table>, binding: Binding, place: Place) -> Self {
        let session = attachment.session().clone();
        let limits = Limits {
            messages: table.config.ring_messages,
            bytes: table.config.ring_bytes,
        };
        let state = State {
            ring: Ring::new(limits),
            carrier: 0,
            carriers: 0,
            holds: 0,
            numbered: (0, 0),
            detached_at: Instant::now(),
            closing: None,
            close_version: 0,
            error: None,
            is_over: false,
            place: Some(place),
            kept: None,
        };
        let inner = Arc::new(Inner {
            id: ResumeId::new(),
            table: Arc::clone(table),
            binding,
            attachment: Mutex::new(Some(attachment)),
            state: Mutex::new(state),
            changed: Notify::new(),
            inbound: tokio::sync::Mutex::new(()),
            received: AtomicU64::new(0),
            heard: Notify::new(),
            batches: Arc::new(Semaphore::new(2)),
            session,
        });
        inner.session.insert_data(ResumeLink(Arc::downgrade(&inner)));
        inner.take_over();
        Self(inner)
    }

    /// The session of an id that came with it.
    pub(crate) fn of(session: &Session) -> Option<Self> {
        session.data::<ResumeLink>()?.0.upgrade().map(Self)
    }

    /// The id by which the client comes back.
    pub fn id(&self) -> ResumeId {
        self.0.id
    }

    /// The session that is carried.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Keeps a value until the session ends, in place of the one before.
    pub fn keep(&self, value: impl Send + 'static) {
        let mut state = self.0.lock();
        let before = match state.is_over {
            true => None,
            false => state.kept.replace(Box::new(value)),
        };
        drop(state);
        drop(before);
    }

    /// Whether a transport carries it at this moment.
    pub fn is_carried(&self) -> bool {
        self.0.lock().carrier != 0
    }

    /// The client's messages up to this number are taken over.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Acquire)
    }

    /// Lets a transport carry the session from here on; the one that did is detached, and finds [`Next::Replaced`].
    /// The cursor is the number of the last message the client has; it is acknowledged.
    ///
    /// # Errors
    /// The session has ended, or the cursor is from the past or the future: then nothing has changed.
    ///
    /// [`Next::Replaced`]: super::Next::Replaced
    pub fn attach(&self, kind: TransportKind, cursor: u64) -> Result<Carrier, ResumeError> {
        self.attach_in(self.0.lock(), kind, cursor, None)
    }

    /// The same for a request that has a number, from 1, higher than that of the request before: a poll or a stream. One
    /// that came twice is the same transport twice: neither replaces the other, and both get the same messages.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), and [`ResumeError::Behind`] for a request that a later one has overtaken.
    pub fn attach_numbered(
        &self,
        kind: TransportKind,
        number: u64,
        cursor: u64,
    ) -> Result<Carrier, ResumeError> {
        let mut state = self.0.lock();
        let (last, carrier) = state.numbered;
        let is_again = number == last;
        // Its messages are had, or another transport has come since.
        if number < last || (is_again && carrier != state.carriers) {
            return Err(ResumeError::Behind);
        }
        if is_again && state.carrier == carrier && !state.is_over {
            state.ring.check(cursor)?;
            state.holds += 1;
            drop(state);
            return Ok(Carrier::new(Arc::clone(&self.0), carrier, cursor, kind));
        }
        self.attach_in(state, kind, cursor, Some(number))
    }

    fn attach_in(
        &self,
        mut state: MutexGuard<'_, State>,
        kind: TransportKind,
        cursor: u64,
        request: Option<u64>,
    ) -> Result<Carrier, ResumeError> {
        let inner = &self.0;
        if state.is_over {
            return Err(ResumeError::Gone);
        }
        state.ring.check(cursor)?;
        let kept = state.ring.len();
        state.ring.acknowledge(cursor)?;
        inner.forgot(kept - state.ring.len());
        state.carriers += 1;
        state.carrier = state.carriers;
        state.holds = 1;
        let number = state.carrier;
        if let Some(request) = request {
            state.numbered = (request, number);
        }
        inner.session.carried_by(kind);
        drop(state);
        inner.changed.notify_waiters();
        if number > 1 {
            inner.table.metrics.attached.inc();
        }
        Ok(Carrier::new(Arc::clone(inner), number, cursor, kind))
    }

    /// The client has the messages up to this number.
    ///
    /// # Errors
    /// [`ResumeError::Ahead`]: there was no such message.
    pub fn acknowledge(&self, cursor: u64) -> Result<(), ResumeError> {
        let mut state = self.0.lock();
        let kept = state.ring.len();
        state.ring.acknowledge(cursor)?;
        self.0.forgot(kept - state.ring.len());
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// What the client has not acknowledged.
    pub(crate) fn held(&self) -> Load {
        self.0.lock().ring.held()
    }

    /// Waits until the client has acknowledged everything. Returns whether the session still lives.
    pub(crate) async fn drained(&self) -> bool {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.lock();
                if state.is_over {
                    return false;
                }
                if state.ring.is_settled() {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// A message found the way to the ring stopped up: it is lost, and the client will know.
    pub(crate) fn lost_one(&self) {
        self.0.take_over();
        self.0.lock().ring.lose();
        self.0.changed.notify_waiters();
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what was sent from the outbox to the ring. Called by whoever sends, through the waker that the outbox has,
    /// so no task has to run for it.
    pub(super) fn take_over(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let outbox = self.session.outbox();
        loop {
            if outbox.has_ended() {
                self.over();
                break;
            }
            let Some(close_version) = self.empty_outbox() else {
                break;
            };
            let interest = Interest {
                messages: true,
                close_version,
            };
            if outbox.sleep(interest, &Context::from_waker(&waker)) {
                break;
            }
        }
        self.changed.notify_waiters();
    }

    /// Gives the version of the wish to close that was seen; nothing when the session is over: what is in the outbox
    /// then is counted there as undelivered.
    fn empty_outbox(self: &Arc<Self>) -> Option<u8> {
        let outbox = self.session.outbox();
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let (mut taken, mut unsent) = (Load::default(), 0);
        let before = state.ring.len();
        let all = Load {
            messages: usize::MAX,
            bytes: usize::MAX,
        };
        outbox.take(all, |message| {
            taken.messages += 1;
            taken.bytes += message.len();
            unsent += state.ring.push(message);
        });
        outbox.written(taken);
        let metrics = &self.table.metrics;
        metrics.kept.add(state.ring.len() as i64 - before as i64);
        self.session.hub().metrics().messages_dropped.inc_by(unsent);
        let (request, version) = outbox.close_request();
        if let Some(request) = request
            && version != state.close_version
        {
            state.close_version = version;
            self.begin_closing(&mut state, request);
        }
        Some(version)
    }

    /// So many messages are not kept any more.
    pub(super) fn forgot(&self, count: usize) {
        self.table.metrics.kept.sub(count as i64);
    }

    /// The session has ended: nothing is kept, nobody finds it. Gives how many messages no transport was given.
    pub(super) fn over(&self) -> u64 {
        let mut state = self.lock();
        if state.is_over {
            return 0;
        }
        state.is_over = true;
        self.forgot(state.ring.len());
        let unsent = state.ring.clear();
        let kept = (state.place.take(), state.kept.take());
        drop(state);
        self.table.remove(self.id);
        drop(kept);
        // Ended already, or about to be by whoever has taken it.
        let attachment = self
            .attachment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|attachment| attachment.session().has_ended());
        drop(attachment);
        self.changed.notify_waiters();
        unsent
    }

    /// Ends the session where nothing can be awaited.
    pub(super) fn abandon(&self) {
        let attachment = self
            .attachment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.over();
        drop(attachment);
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.take_over();
    }
}

impl fmt::Debug for ResumableSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResumableSession")
            .field("session", &self.0.session)
            .finish_non_exhaustive()
    }
}
