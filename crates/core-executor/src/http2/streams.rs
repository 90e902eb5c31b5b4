//! The streams of one connection: each is a tracked task, and their number is known.

use crate::Spawner;
use hyper::rt::Executor;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Starts the tasks of a connection's streams and counts those that are there: requests that are not answered yet, and
/// sessions.
#[derive(Clone)]
pub(super) struct Streams {
    spawner: Spawner,
    open: Arc<Mutex<Open>>,
}

struct Open {
    count: usize,
    /// Since when it is as it is, for the time in which there are none.
    since: Instant,
}

impl Streams {
    pub(super) fn new(spawner: Spawner) -> Self {
        let open = Open {
            count: 0,
            since: Instant::now(),
        };
        Self {
            spawner,
            open: Arc::new(Mutex::new(open)),
        }
    }

    /// Since when there are no streams; nothing while there are.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let open = lock(&self.open);
        (open.count == 0).then_some(open.since)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        lock(&self.open).count += 1;
        let place = Place(self.open.clone());
        // Refused only while the executor ends; the stream is reset by being dropped.
        let _ = self.spawner.spawn_service(async move {
            let _place = place;
            stream.await;
        });
    }
}

/// A stream's place, given back when its task is gone.
struct Place(Arc<Mutex<Open>>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.0);
        open.count -= 1;
        open.since = Instant::now();
    }
}

fn lock(open: &Mutex<Open>) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
