//! All sessions that outlive their transport, by their ids.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::Notify;

use super::binding::Binding;
use super::config::ResumeConfig;
use super::error::ResumeError;
use super::id::ResumeId;
use super::metrics::ResumeMetrics;
use super::places::Places;
use super::session::{Inner, ResumableSession};
use crate::attachment::Attachment;
use crate::close::CloseInfo;
use crate::handshake::Admission;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::registry::{Ending, Outcome};
use crate::session::TransportKind;

/// Ended sessions whose ids are still known as such.
const REMEMBERED: usize = 10_000;
/// A session outlives its resume time by at most this much.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The sessions of one hub that outlive their transport: where they are opened and found again. Cloning counts a
/// reference.
#[derive(Clone)]
pub struct Resumption {
    hub: Hub,
    table: Arc<Table>,
}

pub(crate) struct Table {
    pub(super) config: ResumeConfig,
    pub(super) metrics: ResumeMetrics,
    places: Arc<Places>,
    known: Mutex<Known>,
    /// Rung when there is a first session, and at the end.
    changed: Notify,
}

/// Bounded by the places, and by what is remembered.
#[derive(Default)]
struct Known {
    alive: HashMap<ResumeId, Arc<Inner>>,
    ended: HashSet<ResumeId>,
    /// `ended`, the oldest first.
    order: VecDeque<ResumeId>,
}

impl Known {
    fn forget(&mut self, id: ResumeId) {
        if self.alive.remove(&id).is_none() {
            return;
        }
        if self.alive.capacity() > 64 && self.alive.len() < self.alive.capacity() / 4 {
            self.alive.shrink_to(self.alive.len() * 2);
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        self.order.push_back(id);
        self.ended.insert(id);
    }
}

impl Resumption {
    pub(crate) fn new(hub: Hub, table: Arc<Table>) -> Self {
        Self { hub, table }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The limits.
    pub fn config(&self) -> &ResumeConfig {
        &self.table.config
    }

    /// What a request shows of who sends it.
    pub fn binding(&self, headers: &HeaderMap) -> Binding {
        Binding::of(headers, &self.table.config.bound_cookies)
    }

    /// Sessions there are.
    pub fn count(&self) -> usize {
        self.table.places.count()
    }

    /// Opens a session that outlives its transport: it is registered, `on_open` runs, and it lives for its resume time
    /// until a first transport comes.
    ///
    /// Cancel safe: dropping the future drops `on_open` where it stands and ends the session.
    ///
    /// # Errors
    /// The answer to give instead: as [`Hub::open_admitted_session`], 503 when there are too many of them, 429 when
    /// there are too many from the peer's address.
    pub async fn open(
        &self,
        peer: Peer,
        transport: TransportKind,
        admission: Admission,
        binding: Binding,
    ) -> Result<ResumableSession, Refusal> {
        let address: Option<IpAddr> = peer.remote_addr().map(|address| address.ip());
        let place = self.table.places.take(address)?;
        let attachment = self.hub.begin_session(peer, transport, admission)?;
        let opening = Opening(Some(self.register(attachment, binding, place)));
        let session = opening.session();
        let failed = self.hub.run_on_open(session.session()).await.is_err();
        let opened = opening.done();
        if failed {
            opened.0.finish(Ending::handler_panicked()).await;
            return Err(Refusal::PANICKED);
        }
        Ok(opened)
    }

    fn register(
        &self,
        attachment: Attachment,
        binding: Binding,
        place: super::places::Place,
    ) -> ResumableSession {
        let session = ResumableSession::new(attachment, &self.table, binding, place);
        self.table
            .lock()
            .alive
            .insert(session.id(), Arc::clone(&session.0));
        // It may have been cut meanwhile, and then nobody else takes it out again.
        if session.session().has_ended() {
            session.0.over();
        }
        self.table.changed.notify_waiters();
        session
    }

    /// The session of an id, for who shows what it is bound to.
    ///
    /// # Errors
    /// [`ResumeError::Gone`] for one that has ended, [`ResumeError::Unknown`] for every other.
    pub fn find(&self, id: ResumeId, shown: &Binding) -> Result<ResumableSession, ResumeError> {
        let known = self.table.lock();
        match known.alive.get(&id) {
            Some(session) if session.binding.admits(shown) => Ok(ResumableSession(Arc::clone(session))),
            None if known.ended.contains(&id) => Err(ResumeError::Gone),
            _ => Err(ResumeError::Unknown),
        }
    }

    /// Every session there is.
    pub fn all(&self) -> Vec<ResumableSession> {
        let known = self.table.lock();
        known
            .alive
            .values()
            .map(|session| ResumableSession(Arc::clone(session)))
            .collect()
    }

    /// Ends, until the server stops, every session to which no transport has come in its resume time. While there is
    /// none it sleeps without a timer.
    pub(crate) async fn sweep(self) {
        let time = self.table.config.resume_time;
        let pause = (time / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        while !self.hub.is_stopping() {
            let changed = self.table.changed.notified();
            if self.count() == 0 && !self.hub.is_stopping() {
                changed.await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stopping() => {}
            }
            self.end_forsaken(Instant::now(), time).await;
        }
    }

    /// Resolves when the server stops.
    pub(super) async fn stopping(&self) {
        loop {
            let changed = self.table.changed.notified();
            if self.hub.is_stopping() {
                return;
            }
            changed.await;
        }
    }

    async fn end_forsaken(&self, now: Instant, time: Duration) {
        let forsaken: Vec<_> = self
            .all()
            .into_iter()
            .filter(|session| session.0.is_forsaken(now, time))
            .collect();
        let Some(spawner) = self.hub.spawner().filter(|_| !self.hub.is_stopping()) else {
            return;
        };
        for session in forsaken {
            self.table.metrics.expired.inc();
            let ending = Ending::new(CloseInfo::gone("not resumed in time"), Outcome::Left);
            // On a task of its own: `on_close` may wait, and the others shall not wait with it.
            let _ = spawner.spawn_service(async move { session.0.finish(ending).await });
        }
    }
}

impl Table {
    pub(crate) fn new(config: ResumeConfig, metrics: ResumeMetrics) -> Self {
        let places = Places::new(
            config.max_sessions,
            config.max_sessions_per_address,
            metrics.active.clone(),
        );
        Self {
            config,
            metrics,
            places: Arc::new(places),
            known: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remove(&self, id: ResumeId) {
        self.lock().forget(id);
    }

    /// The server stops.
    pub(crate) fn stop(&self) {
        self.changed.notify_waiters();
    }
}

/// A session whose `on_open` runs. Dropped before it is done, it ends.
struct Opening(Option<ResumableSession>);

impl Opening {
    fn session(&self) -> ResumableSession {
        self.0.clone().expect("it is taken when it is done")
    }

    fn done(mut self) -> ResumableSession {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            // Its attachment is dropped with it, which calls `on_close`.
            session.0.abandon();
        }
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Resumption")
            .field("sessions", &self.count())
            .finish_non_exhaustive()
    }
}
