//! One room: its last lines, and who is in it.

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use ws_server::SessionId;

/// Lines kept for whoever comes later.
const KEPT: usize = 50;

#[derive(Default)]
pub(crate) struct Room {
    lines: VecDeque<Line>,
    last: u64,
    guests: BTreeMap<SessionId, String>,
}

/// What somebody said.
#[derive(Clone, Serialize)]
pub(crate) struct Line {
    /// Counts from 1 in each room. A page that has a line from the history knows it by this when it comes again.
    number: u64,
    name: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// Somebody who is in the room. The number tells two of the same name apart.
#[derive(Serialize)]
pub(crate) struct Guest {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// What a newcomer is told.
#[derive(Serialize)]
pub(crate) struct History {
    lines: Vec<Line>,
    guests: Vec<Guest>,
}

impl Room {
    pub(crate) fn enter(&mut self, id: SessionId, name: String) {
        self.guests.insert(id, name);
    }

    pub(crate) fn leave(&mut self, id: SessionId) -> Option<Guest> {
        let name = self.guests.remove(&id)?;
        Some(Guest { id: id.get(), name })
    }

    pub(crate) fn say(&mut self, name: String, text: String, at: u64) -> Line {
        self.last += 1;
        let line = Line {
            number: self.last,
            name,
            text,
            at,
        };
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        line
    }

    pub(crate) fn history(&self) -> History {
        let guests = self.guests.iter().map(|(id, name)| Guest {
            id: id.get(),
            name: name.clone(),
        });
        History {
            lines: self.lines.iter().cloned().collect(),
            guests: guests.collect(),
        }
    }
}
