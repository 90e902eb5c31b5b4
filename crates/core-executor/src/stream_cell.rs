//! A connection's stream, within reach of hyper and of the task that serves the connection.

use crate::IoStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream that hyper reads and writes while the connection's task can still get at its descriptor. Both are the same
/// task, so nobody ever waits for the lock.
#[derive(Clone)]
pub(crate) struct StreamCell {
    stream: Arc<Mutex<IoStream>>,
}

impl StreamCell {
    pub(crate) fn new(stream: IoStream) -> Self {
        Self {
            stream: Arc::new(Mutex::new(stream)),
        }
    }

    /// Does something with the stream.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut IoStream) -> T) -> T {
        act(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, IoStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
