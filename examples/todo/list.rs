//! The list: its entries, and how often it has changed.

use serde::Serialize;
use std::collections::BTreeMap;

/// Entries that may be on the list.
const MOST: usize = 500;

#[derive(Default)]
pub(crate) struct List {
    entries: BTreeMap<u64, Entry>,
    last_id: u64,
    /// Grows with each change of anything.
    version: u64,
}

#[derive(Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) done: bool,
    /// The list's version when this entry changed last.
    pub(crate) version: u64,
}

/// Everything, and the version up to which that is true.
#[derive(Serialize)]
pub(crate) struct Everything {
    pub(crate) version: u64,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
pub(crate) struct Removed {
    id: u64,
    version: u64,
}

/// Why a change was not made.
pub(crate) enum Obstacle {
    Absent,
    Full,
    /// It has changed since the client looked.
    Changed,
}

/// Which version a client means to change; every one, when it does not say.
pub(crate) type Expected = Option<u64>;

impl List {
    pub(crate) fn everything(&self) -> Everything {
        Everything {
            version: self.version,
            entries: self.entries.values().cloned().collect(),
        }
    }

    pub(crate) fn get(&self, id: u64) -> Result<Entry, Obstacle> {
        self.entries.get(&id).cloned().ok_or(Obstacle::Absent)
    }

    pub(crate) fn add(&mut self, text: String) -> Result<Entry, Obstacle> {
        if self.entries.len() == MOST {
            return Err(Obstacle::Full);
        }
        self.last_id += 1;
        Ok(self.put(self.last_id, text, false))
    }

    pub(crate) fn change(
        &mut self,
        id: u64,
        expected: Expected,
        text: String,
        done: bool,
    ) -> Result<Entry, Obstacle> {
        self.expect(id, expected)?;
        Ok(self.put(id, text, done))
    }

    pub(crate) fn remove(&mut self, id: u64, expected: Expected) -> Result<Removed, Obstacle> {
        self.expect(id, expected)?;
        self.entries.remove(&id);
        self.version += 1;
        let version = self.version;
        Ok(Removed { id, version })
    }

    fn put(&mut self, id: u64, text: String, done: bool) -> Entry {
        self.version += 1;
        let version = self.version;
        let entry = Entry {
            id,
            text,
            done,
            version,
        };
        self.entries.insert(id, entry.clone());
        entry
    }

    fn expect(&self, id: u64, expected: Expected) -> Result<(), Obstacle> {
        let current = self.get(id)?.version;
        let is_expected = expected.is_none_or(|expected| expected == current);
        is_expected.then_some(()).ok_or(Obstacle::Changed)
    }
}
