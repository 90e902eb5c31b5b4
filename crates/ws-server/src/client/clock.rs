//! The times of a client's connection: pings, silence, a standstill. Clockwork that is handed the time.

use std::time::{Duration, Instant};

use super::config::ClientConfig;

/// Least time for our Close to go out when nothing is waited for.
const LEAST_FLUSH: Duration = Duration::from_millis(100);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ping,
    /// No byte came in time after a ping.
    NoPong,
    /// The server took no byte in time.
    Stalled,
    /// The server did not close in time.
    CloseTimeout,
}

/// When the server was heard, written to and told to close.
#[derive(Debug)]
pub(super) struct Clock {
    ping_interval: Duration,
    pong_timeout: Duration,
    write_stall_timeout: Duration,
    close_timeout: Duration,
    /// When the last ping, or the connection, began.
    pinged: Instant,
    /// The first ping since a byte came.
    unanswered: Option<Instant>,
    /// Since when the server has taken nothing of what waits.
    writing: Option<Instant>,
    /// When the closing began, or last made a step.
    closing: Option<Instant>,
}

impl Clock {
    pub(super) fn new(now: Instant, config: &ClientConfig) -> Self {
        Self {
            ping_interval: config.ping_interval,
            pong_timeout: config.pong_timeout,
            write_stall_timeout: config.write_stall_timeout,
            close_timeout: config.close_timeout,
            pinged: now,
            unanswered: None,
            writing: None,
            closing: None,
        }
    }

    /// A byte came, or nothing was read for a while because the receiver has to catch up.
    pub(super) fn heard(&mut self) {
        self.unanswered = None;
    }

    /// Something waits to be written.
    pub(super) fn writes(&mut self, now: Instant) {
        self.writing.get_or_insert(now);
    }

    /// The server took bytes; `is_all` when nothing waits any more.
    pub(super) fn wrote(&mut self, now: Instant, is_all: bool) {
        self.writing = (!is_all).then_some(now);
        if self.closing.is_some() {
            self.closing = Some(now);
        }
    }

    /// The closing begins, or makes a step.
    pub(super) fn closes(&mut self, now: Instant) {
        self.closing = Some(now);
    }

    /// What is due now; a ping is given once per interval. `listens` is whether the connection is read.
    pub(super) fn due(&mut self, now: Instant, listens: bool) -> Option<Due> {
        let (due, at) = self.next(listens)?;
        if at > now {
            return None;
        }
        if due == Due::Ping {
            self.pinged = now;
            self.unanswered.get_or_insert(now);
        }
        Some(due)
    }

    /// What is due next, and when.
    pub(super) fn next(&self, listens: bool) -> Option<(Due, Instant)> {
        let events = if let Some(step) = self.closing {
            // Here 0 does not wait, instead of waiting for ever.
            let least = self.writing.map_or(Duration::ZERO, |_| LEAST_FLUSH);
            let limit = self.close_timeout.max(least);
            [
                step.checked_add(limit).map(|at| (Due::CloseTimeout, at)),
                None,
                None,
            ]
        } else {
            // Who does not listen cannot tell that the server is silent.
            let unanswered = self.unanswered.filter(|_| listens);
            [
                at(Due::NoPong, unanswered, self.pong_timeout),
                at(Due::Stalled, self.writing, self.write_stall_timeout),
                at(Due::Ping, Some(self.pinged), self.ping_interval),
            ]
        };
        events.into_iter().flatten().min_by_key(|(_, at)| *at)
    }
}

/// `start + limit`; 0 switches a limit off.
fn at(due: Due, start: Option<Instant>, limit: Duration) -> Option<(Due, Instant)> {
    if limit.is_zero() {
        return None;
    }
    Some((due, start?.checked_add(limit)?))
}

#[cfg(test)]
mod tests {
    use super::{Clock, Due};
    use crate::client::ClientConfig;
    use std::time::{Duration, Instant};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn clock(start: Instant, ping: u64, pong: u64, stall: u64) -> Clock {
        let config = ClientConfig {
            ping_interval: seconds(ping),
            pong_timeout: seconds(pong),
            write_stall_timeout: seconds(stall),
            close_timeout: seconds(2),
            ..ClientConfig::default()
        };
        Clock::new(start, &config)
    }

    #[test]
    fn pings_come_once_per_interval_and_silence_after_one_is_the_end() {
        let start = Instant::now();
        let mut clock = clock(start, 10, 15, 0);
        assert_eq!(clock.due(start + seconds(9), true), None);
        assert_eq!(clock.due(start + seconds(10), true), Some(Due::Ping));
        assert_eq!(clock.due(start + seconds(10), true), None);
        assert_eq!(clock.due(start + seconds(20), true), Some(Due::Ping));
        assert_eq!(clock.next(true), Some((Due::NoPong, start + seconds(25))));
        assert_eq!(clock.due(start + seconds(25), true), Some(Due::NoPong));
        assert_eq!(clock.due(start + seconds(25), false), None, "it does not listen");
        clock.heard();
        assert_eq!(clock.due(start + seconds(25), true), None);
        assert_eq!(clock.next(true), Some((Due::Ping, start + seconds(30))));
    }

    #[test]
    fn a_standstill_counts_from_the_last_byte_that_was_taken() {
        let start = Instant::now();
        let mut clock = clock(start, 0, 0, 5);
        assert_eq!(clock.next(true), None);
        clock.writes(start);
        clock.writes(start + seconds(3));
        assert_eq!(clock.next(true), Some((Due::Stalled, start + seconds(5))));
        clock.wrote(start + seconds(4), false);
        assert_eq!(clock.due(start + seconds(8), true), None);
        assert_eq!(clock.due(start + seconds(9), true), Some(Due::Stalled));
        clock.wrote(start + seconds(9), true);
        assert_eq!(clock.next(true), None);
    }

    #[test]
    fn closing_has_one_limit_which_counts_from_its_last_step() {
        let start = Instant::now();
        let mut clock = clock(start, 1, 1, 1);
        clock.writes(start);
        clock.closes(start);
        assert_eq!(clock.next(true), Some((Due::CloseTimeout, start + seconds(2))));
        clock.wrote(start + seconds(1), true);
        assert_eq!(clock.due(start + seconds(2), true), None);
        assert_eq!(clock.due(start + seconds(3), false), Some(Due::CloseTimeout));
    }
}
