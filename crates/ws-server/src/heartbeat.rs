//! Ping, pong and idle times of one session: clockwork that is handed the time.

use std::time::{Duration, Instant};

use crate::config::WsConfig;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Send a ping.
    Ping,
    /// No byte came in time after a ping.
    NoPong,
    /// No byte came for the idle limit.
    Idle,
}

/// When the peer was heard last and when it has to be asked again.
///
/// In this order, as in the connection it is of: what is written when bytes come first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Heartbeat {
    heard: Instant,
    /// The first ping since a byte came.
    unanswered: Option<Instant>,
    /// When the last ping (or the session) began.
    pinged: Instant,
    /// The last ping, until its pong comes.
    asked: Option<Instant>,
}

impl Heartbeat {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            pinged: now,
            unanswered: None,
            asked: None,
        }
    }

    /// A byte came from the peer.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.unanswered = None;
    }

    /// Whether a byte is waited for since a ping.
    pub(crate) fn awaits_byte(&self) -> bool {
        self.unanswered.is_some()
    }

    /// A pong came. Returns how long after the last ping, if it may be the answer to it.
    pub(crate) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.asked
            .take()
            .map(|asked| now.saturating_duration_since(asked))
    }

    /// Whether a pong is owed.
    pub(crate) fn awaits_pong(&self) -> bool {
        self.asked.is_some()
    }

    /// What is due now; a ping is given once per interval.
    pub(crate) fn due(&mut self, now: Instant, config: &WsConfig) -> Option<Beat> {
        if reached(self.unanswered, config.pong_timeout, now) {
            return Some(Beat::NoPong);
        }
        if reached(Some(self.heard), config.idle_timeout, now) {
            return Some(Beat::Idle);
        }
        if reached(Some(self.pinged), config.ping_interval, now) {
            self.pinged = now;
            self.asked = Some(now);
            self.unanswered.get_or_insert(now);
            return Some(Beat::Ping);
        }
        None
    }

    /// When something is due next.
    pub(crate) fn next(&self, config: &WsConfig) -> Option<Instant> {
        [
            at(self.unanswered, config.pong_timeout),
            at(Some(self.heard), config.idle_timeout),
            at(Some(self.pinged), config.ping_interval),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// `start + limit`; 0 switches a limit off.
fn at(start: Option<Instant>, limit: Duration) -> Option<Instant> {
    if limit.is_zero() {
        None
    } else {
        start?.checked_add(limit)
    }
}

fn reached(start: Option<Instant>, limit: Duration, now: Instant) -> bool {
    at(start, limit).is_some_and(|due| due <= now)
}

#[cfg(test)]
mod tests {
    use super::{Beat, Heartbeat};
    use crate::config::WsConfig;
    use std::time::{Duration, Instant};

    fn config(ping: u64, pong: u64, idle: u64) -> WsConfig {
        WsConfig {
            ping_interval: Duration::from_secs(ping),
            pong_timeout: Duration::from_secs(pong),
            idle_timeout: Duration::from_secs(idle),
            ..WsConfig::default()
        }
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn pings_come_once_per_interval_and_silence_after_one_is_the_end() {
        let (start, config) = (Instant::now(), config(10, 15, 0));
        let mut beat = Heartbeat::new(start);
        assert_eq!(beat.due(at(start, 9), &config), None);
        assert_eq!(beat.due(at(start, 10), &config), Some(Beat::Ping));
        assert_eq!(beat.due(at(start, 10), &config), None);
        assert_eq!(beat.due(at(start, 20), &config), Some(Beat::Ping));
        assert_eq!(
            beat.next(&config),
            Some(at(start, 25)),
            "counted from the first unanswered ping"
        );
        assert_eq!(beat.due(at(start, 25), &config), Some(Beat::NoPong));
    }

    #[test]
    fn any_byte_answers_a_ping() {
        let (start, config) = (Instant::now(), config(10, 5, 0));
        let mut beat = Heartbeat::new(start);
        assert_eq!(beat.due(at(start, 10), &config), Some(Beat::Ping));
        beat.heard(at(start, 14));
        assert_eq!(beat.due(at(start, 16), &config), None);
        assert_eq!(beat.next(&config), Some(at(start, 20)));
    }

    #[test]
    fn the_round_trip_is_from_the_last_ping_to_its_pong_and_one_pong_answers_one_ping() {
        let (start, config) = (Instant::now(), config(10, 60, 0));
        let mut beat = Heartbeat::new(start);
        assert_eq!(beat.answered(start), None, "nobody asked");
        for seconds in [10, 20] {
            assert_eq!(beat.due(at(start, seconds), &config), Some(Beat::Ping));
        }
        beat.heard(at(start, 21));
        assert!(beat.awaits_pong(), "another byte is no pong");
        assert_eq!(beat.answered(at(start, 23)), Some(Duration::from_secs(3)));
        assert_eq!(beat.answered(at(start, 24)), None);
    }

    #[test]
    fn idle_counts_from_the_last_byte() {
        let (start, config) = (Instant::now(), config(0, 5, 10));
        let mut beat = Heartbeat::new(start);
        beat.heard(at(start, 8));
        assert_eq!(beat.due(at(start, 17), &config), None);
        assert_eq!(beat.due(at(start, 18), &config), Some(Beat::Idle));
    }

    #[test]
    fn with_everything_off_nothing_is_ever_due() {
        let (start, config) = (Instant::now(), config(0, 0, 0));
        let mut beat = Heartbeat::new(start);
        assert_eq!(beat.next(&config), None);
        assert_eq!(beat.due(at(start, 1_000_000), &config), None);
    }
}
