//! Rooms whose number is fixed, so nobody can make too many.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What there is in each room, by the room's name.
#[derive(Debug)]
pub struct Rooms<T>(BTreeMap<&'static str, Mutex<T>>);

impl<T: Default> Rooms<T> {
    /// A room for each of these names.
    pub fn new<const N: usize>(names: [&'static str; N]) -> Self {
        Self(names.map(|name| (name, Mutex::default())).into())
    }

    /// The name of a room as long as the program lives, if there is such a room.
    pub fn name(&self, name: &str) -> Option<&'static str> {
        self.0.get_key_value(name).map(|(name, _)| *name)
    }

    /// The room of this name, for us alone.
    pub fn find(&self, name: &str) -> Option<MutexGuard<'_, T>> {
        let room = self.0.get(name)?;
        Some(room.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
