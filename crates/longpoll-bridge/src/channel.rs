//! A channel: numbered messages, who has read how far, and a bell for those who wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::metrics::LongPollMetrics;
use crate::readers::{Reader, Readers, Start};
use crate::ring::{Batch, Limits, Position, Ring};

/// What all channels of a bridge have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) ring: Limits,
    pub(crate) max_readers: usize,
    pub(crate) metrics: LongPollMetrics,
}

/// The messages of one mailbox.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Random, so that a position in a channel that has gone is not taken for one in its successor.
    epoch: u64,
    terms: Arc<Terms>,
    state: Mutex<State>,
    /// Rung at each message.
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    readers: Readers,
    /// Last poll or send; a broadcast alone keeps no channel alive.
    used_at: Instant,
    /// Polls and sends that are at it now.
    holds: usize,
    /// Taken out of the table: whoever still has it looks for its successor.
    is_closed: bool,
}

/// The channel has been removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Channel {
    pub(crate) fn new(terms: Arc<Terms>, now: Instant) -> Self {
        let state = State {
            ring: Ring::new(terms.ring),
            readers: Readers::default(),
            used_at: now,
            holds: 0,
            is_closed: false,
        };
        Self {
            epoch: rand::random(),
            terms,
            state: Mutex::new(state),
            arrived: Notify::new(),
        }
    }

    /// What tells this channel from all others.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Uses the channel: it is not removed before the hold is dropped and has been idle after that.
    ///
    /// # Errors
    /// It has been removed already.
    pub(crate) fn hold(self: Arc<Self>) -> Result<Hold, Closed> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Closed);
        }
        state.holds += 1;
        drop(state);
        Ok(Hold { channel: self })
    }

    /// Appends a message and wakes everybody who waits for one.
    ///
    /// # Errors
    /// The channel has been removed; the message is in nobody's way.
    pub(crate) fn push(&self, text: Bytes) -> Result<(), Closed> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Closed);
        }
        let pushed = state.ring.push(text);
        let metrics = &self.terms.metrics;
        metrics.enqueued.inc();
        metrics.overwritten.inc_by(pushed.lost_unread);
        metrics.buffered.add(1 - signed(pushed.lost_unread));
        metrics
            .kept
            .add(1 - signed(pushed.lost_unread + pushed.dropped_read));
        drop(state);
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Where a reader goes on; it is remembered.
    pub(crate) fn begin(&self, reader: Reader, now: Instant) -> Position {
        let mut state = self.state();
        let State { ring, readers, .. } = &mut *state;
        let start = Start {
            epoch: self.epoch,
            oldest: ring.oldest(),
            limit: self.terms.max_readers,
        };
        readers.begin(reader, start, now)
    }

    /// The next at most `max` messages after `from`, which the reader has then been given.
    pub(crate) fn read(&self, reader: Reader, from: Position, max: usize) -> Batch {
        let mut state = self.state();
        let State { ring, readers, .. } = &mut *state;
        let batch = ring.read(from, max);
        readers.advance(reader, batch.position);
        let metrics = &self.terms.metrics;
        metrics.drained.inc_by(batch.first_reads);
        metrics.buffered.sub(signed(batch.first_reads));
        metrics.missed.inc_by(batch.missed);
        batch
    }

    /// Resolves at the next message after this call. Cancel safe.
    pub(crate) fn arrived(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    /// Closes the channel if nobody has used it for `ttl`; `true` when it is closed.
    pub(crate) fn expire(&self, now: Instant, ttl: Duration) -> bool {
        let mut state = self.state();
        let is_idle = state.holds == 0 && now.saturating_duration_since(state.used_at) >= ttl;
        if is_idle && !state.is_closed {
            state.is_closed = true;
            let unread = state.ring.unread() as u64;
            let metrics = &self.terms.metrics;
            metrics.expired.inc_by(unread);
            metrics.buffered.sub(signed(unread));
            metrics.kept.sub(signed(state.ring.len() as u64));
        }
        state.is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel in use.
#[derive(Debug)]
pub(crate) struct Hold {
    channel: Arc<Channel>,
}

impl std::ops::Deref for Hold {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.holds -= 1;
        state.used_at = state.used_at.max(Instant::now());
    }
}

/// Gauges count in `i64`; no ring is that long.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "channel/tests.rs"]
mod tests;
