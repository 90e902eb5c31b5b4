//! How many polls wait or streams are open, bounded; a place is given back however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// The places for waiting polls, or for streams.
#[derive(Debug)]
pub(crate) struct Waiters {
    taken: AtomicUsize,
    limit: usize,
    gauge: IntGauge,
}

impl Waiters {
    pub(crate) fn new(limit: usize, gauge: IntGauge) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            gauge,
        }
    }

    /// Takes a place, if one is free.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Waiting> {
        let free = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .ok()?;
        self.gauge.inc();
        Some(Waiting {
            waiters: Arc::clone(self),
        })
    }

    /// Places that are taken.
    pub(crate) fn count(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

/// One waiting poll or stream.
#[derive(Debug)]
pub(crate) struct Waiting {
    waiters: Arc<Waiters>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.taken.fetch_sub(1, Ordering::AcqRel);
        self.waiters.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::Waiters;
    use prometheus::IntGauge;
    use std::sync::Arc;

    #[test]
    fn a_place_is_given_back_and_no_more_are_given_than_there_are() {
        let gauge = IntGauge::new("waiting", "-").unwrap();
        let waiters = Arc::new(Waiters::new(2, gauge.clone()));
        let first = waiters.enter().unwrap();
        let second = waiters.enter().unwrap();
        assert!(waiters.enter().is_none());
        assert_eq!((waiters.count(), gauge.get()), (2, 2));
        drop(first);
        assert!(waiters.enter().is_some());
        drop(second);
        assert_eq!((waiters.count(), gauge.get()), (0, 0));
    }
}
