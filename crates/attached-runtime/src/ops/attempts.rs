//! How many wrong tokens are looked at. Handed the time.

use std::time::{Duration, Instant};

/// Wrong ones in a row.
const BURST: u32 = 10;
/// One more after this time.
const PAUSE: Duration = Duration::from_secs(1);

/// A bucket of attempts that only wrong ones empty.
#[derive(Debug)]
pub(super) struct Attempts {
    left: u32,
    /// Up to here the bucket was filled again.
    filled: Instant,
}

impl Attempts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            filled: now,
        }
    }

    /// Whether an attempt is looked at at all.
    pub(super) fn may_try(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.filled).as_secs() / PAUSE.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(BURST);
        self.filled += PAUSE * earned;
        self.left > 0
    }

    /// It was a wrong one.
    pub(super) fn failed(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_ones_are_ten_at_once_and_one_a_second() {
        let start = Instant::now();
        let mut attempts = Attempts::new(start);
        let mut tried = |now| {
            let may = attempts.may_try(now);
            if may {
                attempts.failed();
            }
            may
        };
        assert_eq!((0..100).filter(|_| tried(start)).count(), 10);
        let second = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!tried(start + Duration::from_millis(999)));
        assert_eq!((0..100).filter(|_| tried(second(1))).count(), 1);
        assert_eq!((0..100).filter(|_| tried(second(4))).count(), 3);
        assert_eq!((0..100).filter(|_| tried(second(100_000))).count(), 10);
        assert!(!tried(start), "a clock that goes back gives nothing");
    }
}
