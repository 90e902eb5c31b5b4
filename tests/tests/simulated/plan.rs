//! What one seed does to the application and its network, and when: everything is drawn before anything runs.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// From one message to the next step of the network.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Times are counted from the begin of the simulation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) latency: (Duration, Duration),

    pub(crate) ping_interval: Duration,
    pub(crate) pong_timeout: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) ready_delay: Duration,

    /// From one broadcast to the next.
    pub(crate) news_every: Duration,
    /// From one message of a client to its next.
    pub(crate) words_every: Duration,

    /// A part of the network stands still, and goes on with everything that was sent meanwhile.
    pub(crate) hold: (Duration, Duration),
    /// A part of the network is gone for ever, and nobody is told.
    pub(crate) lost_at: Duration,
    /// Another one, shortly before the stop.
    pub(crate) late_at: Duration,
    /// Clients read no more from here on.
    pub(crate) deaf_at: Duration,
    pub(crate) stop_at: Duration,
    /// Messages that are accepted for every session right before the stop.
    pub(crate) last_news: u64,

    /// A session's handler never ends.
    pub(crate) has_stuck_session: bool,
    /// A request's handler never ends.
    pub(crate) has_stuck_request: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut between = |least: u64, most: u64| Duration::from_millis(rng.random_range(least..=most));
        let latency = (between(0, 10), between(10, 60));
        let pong_timeout = between(600, 1000);
        // Both ways of a pong may be slow besides.
        let longest_hold = pong_timeout.as_millis() as u64 - 200;
        let stop_at = between(3800, 4200);
        Self {
            seed,
            latency,
            ping_interval: between(600, 1000),
            pong_timeout,
            write_stall: between(1000, 1500),
            close_timeout: between(200, 1500),
            deadline: between(1200, 2500),
            ready_delay: between(0, 1) * 100,
            news_every: between(20, 50),
            words_every: between(30, 150),
            hold: (between(600, 1500), between(100, longest_hold)),
            lost_at: between(600, 1500),
            late_at: stop_at - between(0, 300),
            deaf_at: between(600, 1000),
            stop_at,
            last_news: between(0, 60).as_millis() as u64,
            has_stuck_session: between(0, 2).is_zero(),
            has_stuck_request: between(0, 2).is_zero(),
        }
    }

    /// Within what an exchange of two messages is over on a network that is whole.
    pub(crate) fn exchange(&self) -> Duration {
        (self.latency.1 + TICK * 2) * 2
    }
}
