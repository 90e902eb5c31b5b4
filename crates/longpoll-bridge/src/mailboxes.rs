//! The table of mailboxes, bounded in number: the only module that touches dashmap. No guard leaves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use crate::channel::{Channel, Hold, Terms};

/// Every mailbox there is, by name.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    channels: DashMap<Box<str>, Arc<Channel>>,
    /// Places taken, counted before a mailbox is made: the table never holds more than `limit`.
    taken: AtomicUsize,
    limit: usize,
    terms: Arc<Terms>,
    /// Rung when there is a first mailbox again.
    filled: Notify,
}

/// There are as many mailboxes as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Mailboxes {
    pub(crate) fn new(limit: usize, terms: Terms) -> Self {
        Self {
            channels: DashMap::new(),
            taken: AtomicUsize::new(0),
            limit,
            terms: Arc::new(terms),
            filled: Notify::new(),
        }
    }

    /// The mailbox of this name, for a message on its way past; its life is not prolonged.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Channel>> {
        self.channels.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// The mailbox of this name, in use, if there is one.
    pub(crate) fn hold(&self, name: &str) -> Option<Hold> {
        // Closed means that the sweep has just removed it: there is none.
        self.find(name)?.hold().ok()
    }

    /// The mailbox of this name, in use; it is made when it is not there.
    ///
    /// # Errors
    /// [`Full`] when it would be one too many.
    pub(crate) fn hold_or_make(&self, name: &str, now: Instant) -> Result<Hold, Full> {
        loop {
            let channel = match self.find(name) {
                Some(channel) => channel,
                None => self.make(name, now).or_else(|full| self.find(name).ok_or(full))?,
            };
            // One that the sweep closed has left the table by the time we see it, so the next round makes a new one.
            if let Ok(hold) = channel.hold() {
                return Ok(hold);
            }
        }
    }

    /// Removes every mailbox that nobody has used for `ttl`; returns how many.
    pub(crate) fn sweep(&self, now: Instant, ttl: Duration) -> usize {
        let mut removed = 0;
        self.channels.retain(|_, channel| {
            let is_over = channel.expire(now, ttl);
            removed += usize::from(is_over);
            !is_over
        });
        if removed > 0 {
            // An emptied table gives its memory back.
            self.channels.shrink_to_fit();
            self.give_back(removed);
        }
        removed
    }

    /// Mailboxes there are.
    pub(crate) fn len(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Waits until there is a mailbox. Cancel safe.
    pub(crate) async fn filled(&self) {
        loop {
            let filled = self.filled.notified();
            if self.len() > 0 {
                return;
            }
            filled.await;
        }
    }

    fn make(&self, name: &str, now: Instant) -> Result<Arc<Channel>, Full> {
        let free = |taken| (taken < self.limit).then_some(taken + 1);
        let before = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .map_err(|_| Full)?;
        let channel = Arc::new(Channel::new(Arc::clone(&self.terms), now));
        let (channel, is_ours) = match self.channels.entry(name.into()) {
            Entry::Occupied(other) => (Arc::clone(other.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(channel).value()), true),
        };
        if !is_ours {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return Ok(channel);
        }
        self.terms.metrics.sessions.inc();
        self.terms.metrics.sessions_active.inc();
        if before == 0 {
            self.filled.notify_waiters();
        }
        Ok(channel)
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::AcqRel);
        self.terms
            .metrics
            .sessions_active
            .sub(i64::try_from(places).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Mailboxes};
    use crate::channel::Terms;
    use crate::metrics::LongPollMetrics;
    use crate::ring::Limits;
    use bytes::Bytes;
    use std::time::{Duration, Instant};

    const TTL: Duration = Duration::from_secs(60);

    fn table(limit: usize) -> (Mailboxes, LongPollMetrics) {
        let metrics = LongPollMetrics::new();
        let ring = Limits {
            messages: 4,
            bytes: 1000,
        };
        (
            Mailboxes::new(
                limit,
                Terms {
                    ring,
                    max_readers: 4,
                    metrics: metrics.clone(),
                },
            ),
            metrics,
        )
    }

    #[test]
    fn ten_thousand_names_stay_within_the_bound_and_go() {
        let (table, metrics) = table(100);
        let now = Instant::now();
        let made = (0..10_000)
            .filter(|n| table.hold_or_make(&format!("lp-{n}"), now).is_ok())
            .count();
        assert_eq!((made, table.len(), table.channels.len()), (100, 100, 100));
        assert_eq!(table.hold_or_make("lp-10000", now).err(), Some(Full));
        assert!(
            table.hold_or_make("lp-7", now).is_ok(),
            "one that is there is still served"
        );
        assert_eq!(table.sweep(Instant::now(), TTL), 0);
        assert_eq!(table.sweep(Instant::now() + TTL, TTL), 100);
        assert_eq!(
            (table.len(), table.channels.len(), table.channels.capacity()),
            (0, 0, 0)
        );
        assert_eq!((metrics.sessions.get(), metrics.sessions_active.get()), (100, 0));
        assert!(table.hold_or_make("lp-10000", now).is_ok());
    }

    #[test]
    fn what_is_in_use_is_not_swept() {
        let (table, _) = table(2);
        let late = Instant::now() + TTL;
        let hold = table.hold_or_make("a", Instant::now()).unwrap();
        drop(table.hold_or_make("b", Instant::now()).unwrap());
        assert_eq!(table.sweep(late + TTL, TTL), 1);
        assert!(table.find("a").is_some() && table.find("b").is_none());
        assert!(table.hold("a").is_some() && table.hold("b").is_none());
        drop(hold);
        assert_eq!(table.sweep(late + TTL, TTL), 1);
    }

    #[test]
    fn many_threads_that_make_and_sweep_lose_no_place_and_no_message() {
        let (table, metrics) = table(3);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let name = format!("m{}", (round + thread) % 5);
                        if let Ok(hold) = table.hold_or_make(&name, Instant::now()) {
                            hold.push(Bytes::from("{}")).expect("what is held is not closed");
                        }
                        table.sweep(Instant::now() + TTL, TTL);
                        assert!(table.len() <= 3);
                    }
                });
            }
        });
        table.sweep(Instant::now() + TTL, TTL);
        assert_eq!(
            (table.len(), metrics.sessions_active.get(), metrics.kept.get()),
            (0, 0, 0)
        );
        assert_eq!(
            metrics.enqueued.get(),
            metrics.overwritten.get() + metrics.expired.get()
        );
        assert!(metrics.sessions.get() > 0 && metrics.enqueued.get() > 0);
    }
}
