//! The sessions whose transport takes nothing just now, so that nobody has to look at all sessions for them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::now;
use crate::session::{Session, SessionId};
use crate::sync::Mutex;

/// They, by number. Never more than there are sessions.
#[derive(Debug, Default)]
pub(crate) struct Stalled(Mutex<BTreeMap<SessionId, Session>>);

impl Stalled {
    /// How long the message waits that has waited longest for one of them.
    pub(crate) fn oldest_message(&self) -> Duration {
        let sessions = self.0.lock();
        let oldest = sessions
            .values()
            .filter_map(|session| session.outbox().oldest())
            .min();
        oldest.map_or(Duration::ZERO, |since| now().saturating_duration_since(since))
    }
}

/// A session among them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Stall(Session);

impl Stall {
    pub(crate) fn of(session: &Session) -> Self {
        let mut stalled = session.hub().stalled().0.lock();
        stalled.insert(session.id(), session.clone());
        Self(session.clone())
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let session = self.0.hub().stalled().0.lock().remove(&self.0.id());
        // Behind the lock: what a session keeps for its user may be dropped with it.
        drop(session);
    }
}
