//! One thing that is handed from one half of a connection's task to the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A place for one thing, looked at for the price of a flag while nothing is there.
#[derive(Debug)]
pub(crate) struct Handed<T> {
    is_there: AtomicBool,
    thing: Mutex<Option<T>>,
}

impl<T> Default for Handed<T> {
    fn default() -> Self {
        Self {
            is_there: AtomicBool::new(false),
            thing: Mutex::new(None),
        }
    }
}

impl<T> Handed<T> {
    /// Puts it there; what was there before is dropped.
    pub(crate) fn give(&self, thing: T) {
        *self.lock() = Some(thing);
        self.is_there.store(true, Ordering::Release);
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Takes it away, when it is there.
    pub(crate) fn take(&self) -> Option<T> {
        if !self.is_there() {
            return None;
        }
        self.is_there.store(false, Ordering::Relaxed);
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.thing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_once() {
        let place = Handed::default();
        assert_eq!(place.take(), None);
        place.give(1);
        place.give(2);
        assert_eq!((place.take(), place.take()), (Some(2), None));
    }
}
