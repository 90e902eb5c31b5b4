//! The rooms there are. Their number is fixed, so nobody can make too many.

use crate::room::Room;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const NAMES: [&str; 3] = ["lobby", "garden", "workshop"];

pub(crate) struct Rooms(BTreeMap<&'static str, Mutex<Room>>);

impl Rooms {
    pub(crate) fn new() -> Self {
        Self(NAMES.map(|name| (name, Mutex::default())).into())
    }

    /// The name of a room as long as the program lives, if there is such a room.
    pub(crate) fn name(&self, name: &str) -> Option<&'static str> {
        self.0.get_key_value(name).map(|(name, _)| *name)
    }

    /// The room of this name, for us alone.
    pub(crate) fn find(&self, name: &str) -> Option<MutexGuard<'_, Room>> {
        let room = self.0.get(name)?;
        Some(room.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
