//! One room: its name and its members.

use std::sync::Arc;

use crate::roster::Roster;

/// A room that has, or is about to have, a member. An emptied room is retired and never filled again, so that
/// nobody joins one that is on its way out of the table.
#[derive(Debug)]
pub(crate) struct Room {
    name: Arc<str>,
    members: Roster,
}

impl Room {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            members: Roster::default(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn members(&self) -> &Roster {
        &self.members
    }
}

/// A session's place in a room.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) room: Arc<Room>,
    pub(crate) seat: u32,
}
