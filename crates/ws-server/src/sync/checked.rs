//! The parts under the scheduler. Locks and atomics are the scheduler's, under the names of the real ones; a `Notify`
//! is tokio's own, before each of whose operations another thread may run: tokio checks the inside of it itself.

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

use std::sync::{Arc, PoisonError};

use tokio::sync::futures::{Notified, OwnedNotified};

/// A panic under it is the failure of a test, so it is not poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Notify {
    step: AtomicUsize,
    inner: Arc<tokio::sync::Notify>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            step: AtomicUsize::new(0),
            inner: Arc::default(),
        }
    }

    fn step(&self) {
        self.step.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn notify_waiters(&self) {
        self.step();
        self.inner.notify_waiters();
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.step();
        self.inner.notified()
    }

    pub(crate) fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        // Asked for under a lock, so its place in the order is that lock's.
        Arc::clone(&self.inner).notified_owned()
    }
}
