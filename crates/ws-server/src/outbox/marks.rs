//! What is remembered of messages that wait: since when they do, and receipts of publications that are measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::fan_out::Receipt;

/// Messages that come within so much are as old as the first of them.
const RESOLUTION: Duration = Duration::from_millis(10);

/// Beside the messages and not with each of them: of nearly all there is nothing to remember. A message is known by its
/// place, which is how many wait before it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Number of the message that waits first; the message at a place has this number plus the place.
    first: u64,
    /// Since when the first one waits for a transport that takes nothing. Absent while it takes everything.
    since: Option<Instant>,
    /// Since when those wait that came later: from this number up to the next one here.
    later: VecDeque<(u64, Instant)>,
    receipts: VecDeque<(u64, Receipt)>,
}

impl Marks {
    /// The transport takes nothing.
    pub(super) fn stall(&mut self, now: impl FnOnce() -> Instant) {
        self.since.get_or_insert_with(now);
    }

    /// The transport takes everything again.
    pub(super) fn flow(&mut self) {
        self.since = None;
        self.later.clear();
    }

    /// Since when the first message waits for a transport that takes nothing.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_none() && self.receipts.is_empty()
    }

    /// A message comes to this place.
    pub(super) fn enter(&mut self, place: usize, receipt: Option<Receipt>, now: impl FnOnce() -> Instant) {
        let number = self.first + place as u64;
        if let Some(since) = self.since {
            let at = now();
            let newest = self.later.back().map_or(since, |(_, at)| *at);
            if place == 0 {
                // Only control frames stand before it.
                self.since = Some(at);
                self.later.clear();
            } else if at.saturating_duration_since(newest) >= RESOLUTION {
                self.later.push_back((number, at));
            }
        }
        self.receipts.extend(receipt.map(|receipt| (number, receipt)));
    }

    /// The first `count` messages have reached whom they are for.
    pub(super) fn out(&mut self, count: usize) {
        self.first += count as u64;
        while let Some((_, receipt)) = self.receipts.pop_front_if(|(number, _)| *number < self.first) {
            receipt.had();
        }
        while let Some((_, at)) = self.later.pop_front_if(|(number, _)| *number <= self.first) {
            self.since = Some(at);
        }
    }

    /// The message at this place is dropped, and those behind it move up.
    pub(super) fn dropped(&mut self, place: usize) {
        let gone = self.first + place as u64;
        self.receipts.retain(|(number, _)| *number != gone);
        move_up(&mut self.receipts, gone);
        move_up(&mut self.later, gone);
        // Where two times are for the same message, it is the newer one: the other's are all gone.
        let twice = |pair: &[(u64, Instant)]| pair[0].0 == pair[1].0;
        if let Some(at) = self.later.make_contiguous().windows(2).position(twice) {
            self.later.remove(at);
        }
        self.out(0);
    }

    /// Every message from this place on is dropped.
    pub(super) fn cut(&mut self, place: usize) {
        let gone = self.first + place as u64;
        self.receipts.retain(|(number, _)| *number < gone);
        self.later.retain(|(number, _)| *number < gone);
    }
}

/// Those behind a message that is gone have a number less.
fn move_up<T>(numbered: &mut VecDeque<(u64, T)>, gone: u64) {
    for (number, _) in numbered.iter_mut().rev().take_while(|(number, _)| *number > gone) {
        *number -= 1;
    }
}
