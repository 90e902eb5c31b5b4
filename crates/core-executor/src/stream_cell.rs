//! A connection's stream, within reach of hyper and of the task that serves the connection.

use crate::IoStream;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream that hyper reads and writes while the connection's task can still get at its descriptor. Both are the same
/// task, so nobody ever waits for the lock.
#[derive(Clone)]
pub(crate) struct StreamCell {
    /// Absent once it was taken for another protocol.
    stream: Arc<Mutex<Option<IoStream>>>,
}

impl StreamCell {
    pub(crate) fn new(stream: IoStream) -> Self {
        Self {
            stream: Arc::new(Mutex::new(Some(stream))),
        }
    }

    /// Does something with the stream, which is there until [`take`](Self::take).
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut IoStream) -> T) -> T {
        let mut stream = self.lock();
        act(stream
            .as_mut()
            .expect("hyper lets go of a stream before it is taken"))
    }

    pub(crate) fn take(&self) -> IoStream {
        self.lock().take().expect("hyper hands a stream out once")
    }

    /// Another descriptor of the same socket, `None` where there is no socket.
    pub(crate) fn second_descriptor(&self) -> Option<io::Result<OwnedFd>> {
        let stream = self.lock();
        let descriptor = stream.as_ref()?.descriptor()?;
        Some(descriptor.try_clone_to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Option<IoStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
