//! What the layers inside a request and the one that waits for its answer tell each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use core_executor::{ClientGone, ConnectionInfo};
use http::Extensions;

use crate::disconnect::OnDisconnect;
use crate::service::Rules;

/// One request's notes; with its [`ConnectionInfo`] while it is answered.
pub(crate) struct Ticket {
    arrived: Instant,
    rules: Arc<Rules>,
    client: ClientGone,
    /// Limit in nanoseconds counted from the request's arrival, 0 = none. A route may change it on the way in.
    limit: AtomicU64,
    /// The body went past its limit while it was read: the answer is 413, whatever the handler makes of it.
    body_too_large: AtomicBool,
    /// What becomes of the handler when the client leaves. A route may change it on the way in.
    policy: Mutex<OnDisconnect>,
    /// The handler runs on a task of its own already.
    is_detached: AtomicBool,
    /// Method and path.
    line: Vec<u8>,
}

impl Ticket {
    /// For a request that arrives now.
    pub(crate) fn new(rules: Arc<Rules>, client: ClientGone, line: Vec<u8>) -> Self {
        Self {
            arrived: Instant::now(),
            client,
            limit: AtomicU64::new(nanos(rules.request_timeout)),
            rules,
            body_too_large: AtomicBool::new(false),
            policy: Mutex::default(),
            is_detached: AtomicBool::new(false),
            line,
        }
    }

    /// For the next request of a connection, which is told of the same client. The notes of the one before are used
    /// again when nobody else has them any more, so a request costs no memory of its own.
    pub(crate) fn renewed(
        before: &mut Option<Arc<Self>>,
        rules: &Arc<Rules>,
        client: &ClientGone,
        line: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Arc<Self> {
        match before.as_mut().and_then(Arc::get_mut) {
            Some(ticket) if ticket.client == *client => ticket.renew(line),
            _ => {
                *before = Some(Arc::new(Self::new(
                    Arc::clone(rules),
                    client.clone(),
                    line(Vec::new()),
                )))
            }
        }
        before.clone().expect("it was made or renewed just now")
    }

    fn renew(&mut self, line: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.line = line(std::mem::take(&mut self.line));
        self.arrived = Instant::now();
        *self.limit.get_mut() = nanos(self.rules.request_timeout);
        *self.body_too_large.get_mut() = false;
        *self.policy.get_mut().unwrap_or_else(PoisonError::into_inner) = OnDisconnect::default();
        *self.is_detached.get_mut() = false;
    }

    /// Tells the watchdog what the worker is at.
    pub(crate) fn say(&self) {
        self.rules.label.note(&self.line);
    }

    /// The request is cut at the end.
    pub(crate) fn note_unfinished(&self) {
        let name = self.rules.names.name(&self.line);
        self.rules.detached.spawner().note_unfinished(name);
    }

    /// The place of the request's route among all.
    pub(crate) fn place_of_route(&self) -> Option<usize> {
        self.rules.names.place(&self.line)
    }

    /// The notes of a request, for layers and extractors. None outside of an [`App`](crate::App).
    pub(crate) fn of(extensions: &Extensions) -> Option<Arc<Self>> {
        extensions.get::<ConnectionInfo>()?.notes()
    }

    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The client as it is, whatever the route's policy lets the handler know.
    pub(crate) fn client(&self) -> &ClientGone {
        &self.client
    }

    /// What the handler may know of the client under the route's policy.
    pub(crate) fn told(&self) -> ClientGone {
        match self.policy() {
            OnDisconnect::Ignore => ClientGone::never(),
            _ => self.client.clone(),
        }
    }

    /// When the request's time is up, as of now.
    pub(crate) fn deadline(&self) -> Option<tokio::time::Instant> {
        let limit = match self.limit.load(Ordering::Relaxed) {
            0 => return None,
            nanos => Duration::from_nanos(nanos),
        };
        self.arrived.checked_add(limit).map(Into::into)
    }

    pub(crate) fn set_limit(&self, limit: Duration) {
        self.limit.store(nanos(limit), Ordering::Relaxed);
    }

    pub(crate) fn body_is_too_large(&self) -> bool {
        self.body_too_large.load(Ordering::Relaxed)
    }

    pub(crate) fn set_body_too_large(&self) {
        self.body_too_large.store(true, Ordering::Relaxed);
    }

    pub(crate) fn policy(&self) -> OnDisconnect {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_policy(&self, policy: OnDisconnect) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Whether the handler is to be detached now: only the outermost layer that wants it does it.
    pub(crate) fn detach(&self) -> bool {
        !self.is_detached.swap(true, Ordering::Relaxed)
    }
}

fn nanos(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
}
