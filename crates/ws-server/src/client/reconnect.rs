//! When to try again: full jitter under a growing ceiling, unless the server said when.

use std::fmt;
use std::time::{Duration, Instant};

/// How long and how often to try again. For the number of attempts 0 means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct ReconnectConfig {
    /// Ceiling of the first delay; it doubles with each attempt. Default 500 ms.
    pub first: Duration,
    /// The highest ceiling. Default 30 s.
    pub highest: Duration,
    /// Longest return time that is taken from a server; a longer one is cut to this. Default 5 min.
    pub longest_hint: Duration,
    /// Attempts in a row without a connection that lasted; then it is given up. Default 0.
    pub attempts: u32,
    /// A connection that was open for this long has lasted: counting starts again. Default 10 s.
    pub lasting: Duration,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            highest: Duration::from_secs(30),
            longest_hint: Duration::from_secs(300),
            attempts: 0,
            lasting: Duration::from_secs(10),
        }
    }
}

/// Tells when to try again. It waits for nothing and reads no clock: it is told the time, and the caller sleeps.
///
/// The delay is drawn evenly between nothing and the ceiling, so that clients that lost the same server do not come
/// back together. When the server gave a return time ([`Closed::retry_after`](super::Closed::retry_after),
/// [`ClientError::retry_after`](super::ClientError::retry_after)), that is the delay: the server has spread its
/// clients already.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ws_server::client::{Reconnect, ReconnectConfig};
///
/// let mut reconnect = Reconnect::new(ReconnectConfig::default());
/// let delay = reconnect.delay(Instant::now(), None).expect("it is never given up by default");
/// assert!(delay <= Duration::from_millis(500));
/// let told = Duration::from_millis(1234);
/// assert_eq!(reconnect.delay(Instant::now(), Some(told)), Some(told));
/// ```
pub struct Reconnect {
    config: ReconnectConfig,
    /// Attempts since a connection lasted.
    attempt: u32,
    /// When the connection that lives now was made.
    connected: Option<Instant>,
    /// An even draw from 0 to its argument, both included.
    draw: Box<dyn FnMut(u64) -> u64 + Send>,
}

impl Reconnect {
    /// Draws from the thread's random source.
    pub fn new(config: ReconnectConfig) -> Self {
        Self::with_random(config, |most| rand::random_range(0..=most))
    }

    /// The same with a random source of the caller's: `draw(n)` gives a number from 0 to `n`, both included; a larger
    /// one counts as `n`.
    pub fn with_random(config: ReconnectConfig, draw: impl FnMut(u64) -> u64 + Send + 'static) -> Self {
        Self {
            config,
            attempt: 0,
            connected: None,
            draw: Box::new(draw),
        }
    }

    /// A connection is open since `now`.
    pub fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// How long to wait before the next attempt, now that the connection is lost or an attempt has failed; `None`
    /// when it is given up. `hint` is the server's return time.
    pub fn delay(&mut self, now: Instant, hint: Option<Duration>) -> Option<Duration> {
        let lasted = self
            .connected
            .take()
            .is_some_and(|since| now.saturating_duration_since(since) >= self.config.lasting);
        if lasted {
            self.attempt = 0;
        }
        let limit = self.config.attempts;
        if limit > 0 && self.attempt >= limit {
            return None;
        }
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        Some(match hint {
            Some(hint) => hint.min(self.config.longest_hint),
            None => self.jittered(ceiling),
        })
    }

    fn ceiling(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.attempt);
        self.config.first.saturating_mul(doubled).min(self.config.highest)
    }

    fn jittered(&mut self, ceiling: Duration) -> Duration {
        let most = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((self.draw)(most).min(most))
    }
}

/// A random source has nothing to show.
impl fmt::Debug for Reconnect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reconnect")
            .field("config", &self.config)
            .field("attempt", &self.attempt)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Reconnect, ReconnectConfig};
    use std::time::{Duration, Instant};

    const CONFIG: ReconnectConfig = ReconnectConfig {
        first: Duration::from_millis(100),
        highest: Duration::from_millis(1000),
        longest_hint: Duration::from_secs(60),
        attempts: 0,
        lasting: Duration::from_secs(10),
    };

    fn milliseconds(delay: Option<Duration>) -> u128 {
        delay.expect("it is not given up").as_millis()
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_highest() {
        let now = Instant::now();
        let mut reconnect = Reconnect::with_random(CONFIG, |most| most);
        let delays: Vec<_> = (0..6).map(|_| milliseconds(reconnect.delay(now, None))).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        for _ in 0..100 {
            assert_eq!(milliseconds(reconnect.delay(now, None)), 1000, "no overflow");
        }
    }

    #[test]
    fn the_delay_is_drawn_from_all_of_it() {
        let now = Instant::now();
        let mut reconnect = Reconnect::with_random(CONFIG, |_| 0);
        assert_eq!(reconnect.delay(now, None), Some(Duration::ZERO));
        let mut reconnect = Reconnect::with_random(CONFIG, |most| most / 4);
        assert_eq!(milliseconds(reconnect.delay(now, None)), 25);
        let mut reconnect = Reconnect::with_random(CONFIG, |_| u64::MAX);
        assert_eq!(
            milliseconds(reconnect.delay(now, None)),
            100,
            "a draw beyond counts as the most"
        );
    }

    #[test]
    fn the_own_random_source_is_even() {
        let (now, mut tenths) = (Instant::now(), [0_u32; 10]);
        for _ in 0..10_000 {
            let mut reconnect = Reconnect::new(CONFIG);
            let delay = milliseconds(reconnect.delay(now, None));
            tenths[(delay as usize / 10).min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|count| (800..=1200).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn a_server_that_says_when_is_obeyed_within_bounds() {
        let now = Instant::now();
        let mut reconnect = Reconnect::with_random(CONFIG, |most| most);
        let hint = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(reconnect.delay(now, hint(7)), hint(7));
        assert_eq!(reconnect.delay(now, hint(u64::MAX)), hint(60));
        assert_eq!(
            milliseconds(reconnect.delay(now, None)),
            400,
            "attempts were counted meanwhile"
        );
    }

    #[test]
    fn attempts_are_bounded_and_counted_anew_after_a_connection_that_lasted() {
        let start = Instant::now();
        let config = ReconnectConfig {
            attempts: 2,
            ..CONFIG
        };
        let mut reconnect = Reconnect::with_random(config, |most| most);
        assert_eq!(milliseconds(reconnect.delay(start, None)), 100);
        reconnect.connected(start);
        let soon = start + Duration::from_secs(9);
        assert_eq!(milliseconds(reconnect.delay(soon, None)), 200, "it did not last");
        assert_eq!(reconnect.delay(soon, None), None);
        assert_eq!(
            reconnect.delay(soon, Some(Duration::ZERO)),
            None,
            "a hint gives no attempt more"
        );
        reconnect.connected(soon);
        let late = soon + Duration::from_secs(10);
        assert_eq!(milliseconds(reconnect.delay(late, None)), 100);
    }
}
