//! One room: its name and its members.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::session::{Session, SessionId};

/// A room that has, or is about to have, a member. An emptied room is retired and never filled again, so that
/// nobody joins one that is on its way out of the table.
#[derive(Debug)]
pub(crate) struct Room {
    name: Arc<str>,
    members: RwLock<Members>,
}

#[derive(Debug, Default)]
struct Members {
    sessions: HashMap<SessionId, Session>,
    is_retired: bool,
}

impl Room {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            members: RwLock::default(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Adds a member; `false` when the room is retired and a new one has to be made.
    pub(crate) fn add(&self, session: &Session) -> bool {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        if !members.is_retired {
            members.sessions.insert(session.id(), session.clone());
        }
        !members.is_retired
    }

    /// Removes a member; `true` when it was the last one and the room is now retired.
    pub(crate) fn remove(&self, id: SessionId) -> bool {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.sessions.remove(&id);
        members.is_retired = members.sessions.is_empty();
        members.is_retired
    }

    pub(crate) fn len(&self) -> usize {
        self.members
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .sessions
            .len()
    }

    /// Calls `visit` for each member. Joins and leaves of this room wait meanwhile, nothing else does.
    pub(crate) fn for_each(&self, visit: impl FnMut(&Session)) {
        self.members
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .sessions
            .values()
            .for_each(visit);
    }
}
