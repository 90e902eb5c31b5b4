//! How much of a peer's time and chatter is borne: clockwork of one connection, handed the time.

use std::time::{Duration, Instant};

use crate::config::WsConfig;

/// The limits on a peer that sends half a frame, takes nothing, or sends control frames for their own sake.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Since when the unfinished frame is under way, and how long it may take.
    frame: Option<(Instant, Duration)>,
    /// Since when the peer takes nothing of what is being written.
    stalled: Option<Instant>,
    /// When the control frames sent so far will have used up what they may: further away than a burst lasts, and it is
    /// one too many.
    control: Option<Instant>,
}

/// A limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// A frame took too long.
    Frame,
    /// Nothing was taken for too long.
    Stalled,
}

/// A frame may take the frame timeout for each part of this size that it begins.
const PART: u64 = 64 * 1024;

impl Patience {
    /// A frame of `length` bytes is not whole at `now`; `is_new` when it began since the last call. Returns whether no
    /// frame was under way before.
    pub(crate) fn frame_unfinished(
        &mut self,
        now: Instant,
        length: u64,
        is_new: bool,
        config: &WsConfig,
    ) -> bool {
        let is_first = self.frame.is_none();
        let parts = u32::try_from(length.div_ceil(PART).max(1)).unwrap_or(u32::MAX);
        let limit = config.frame_timeout.saturating_mul(parts);
        let since = match self.frame {
            Some((since, _)) if !is_new => since,
            _ => now,
        };
        self.frame = (!config.frame_timeout.is_zero()).then_some((since, limit));
        is_first
    }

    /// No frame is under way.
    pub(crate) fn frame_finished(&mut self) {
        self.frame = None;
    }

    /// We did not read for a while, so the peer begins anew.
    pub(crate) fn forgive_frame(&mut self, now: Instant) {
        if let Some((since, _)) = &mut self.frame {
            *since = now;
        }
    }

    /// The stream takes nothing. Returns whether that is news.
    pub(crate) fn stalled(&mut self, now: impl FnOnce() -> Instant, got_on: bool) -> bool {
        let is_news = self.stalled.is_none();
        if is_news || got_on {
            self.stalled = Some(now());
        }
        is_news
    }

    /// Everything is written.
    pub(crate) fn flushed(&mut self) {
        self.stalled = None;
    }

    /// A control frame came; `false` when it was one too many.
    pub(crate) fn control(&mut self, now: Instant, config: &WsConfig) -> bool {
        if config.control_rate == 0 || config.control_burst == 0 {
            return true;
        }
        let each = Duration::from_secs(1) / config.control_rate;
        let used_up = self.control.map_or(now, |before| before.max(now)) + each;
        self.control = Some(used_up);
        used_up.saturating_duration_since(now) <= each.saturating_mul(config.control_burst)
    }

    /// Whether it is as good as new.
    pub(crate) fn is_at_rest(&self, now: Instant) -> bool {
        self.frame.is_none() && self.stalled.is_none() && self.control.is_none_or(|used_up| used_up <= now)
    }

    /// The limit that is reached at `now`.
    pub(crate) fn exhausted(&self, now: Instant, config: &WsConfig) -> Option<Exhausted> {
        let reached = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if reached(self.stall_due(config)) {
            return Some(Exhausted::Stalled);
        }
        reached(self.frame_due()).then_some(Exhausted::Frame)
    }

    /// When a limit is reached next; while nothing is read, only that on writing counts.
    pub(crate) fn next(&self, reads: bool, config: &WsConfig) -> Option<Instant> {
        let frame = self.frame_due().filter(|_| reads);
        [frame, self.stall_due(config)].into_iter().flatten().min()
    }

    fn frame_due(&self) -> Option<Instant> {
        self.frame.and_then(|(since, limit)| since.checked_add(limit))
    }

    fn stall_due(&self, config: &WsConfig) -> Option<Instant> {
        let limit = Some(config.write_stall_timeout).filter(|limit| !limit.is_zero())?;
        self.stalled?.checked_add(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::{Exhausted, Patience};
    use crate::config::WsConfig;
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> WsConfig {
        WsConfig {
            frame_timeout: 10 * SECOND,
            write_stall_timeout: 30 * SECOND,
            control_rate: 20,
            control_burst: 100,
            ..WsConfig::default()
        }
    }

    #[test]
    fn a_frame_has_its_time_for_each_64_kib_from_its_first_byte_on() {
        let (start, config) = (Instant::now(), config());
        let mut patience = Patience::default();
        patience.frame_unfinished(start, 0, true, &config);
        patience.frame_unfinished(start + 5 * SECOND, 100_000, false, &config);
        assert_eq!(patience.exhausted(start + 19 * SECOND, &config), None);
        assert_eq!(
            patience.exhausted(start + 20 * SECOND, &config),
            Some(Exhausted::Frame)
        );
        patience.frame_unfinished(start + 19 * SECOND, 10, true, &config);
        assert_eq!(patience.next(true, &config), Some(start + 29 * SECOND));
        assert_eq!(patience.next(false, &config), None);
        patience.frame_finished();
        assert_eq!(patience.exhausted(start + 100 * SECOND, &config), None);
    }

    #[test]
    fn a_peer_that_takes_a_little_is_not_stalled() {
        let (start, config) = (Instant::now(), config());
        let mut patience = Patience::default();
        assert!(patience.stalled(|| start, false));
        assert!(!patience.stalled(|| start + 29 * SECOND, true));
        assert!(!patience.stalled(|| start + 50 * SECOND, false));
        assert_eq!(patience.exhausted(start + 58 * SECOND, &config), None);
        let stalled = Some(Exhausted::Stalled);
        assert_eq!(patience.exhausted(start + 59 * SECOND, &config), stalled);
        patience.flushed();
        assert_eq!(patience.next(true, &config), None);
    }

    #[test]
    fn a_burst_of_control_frames_is_borne_and_then_their_rate() {
        let (start, config) = (Instant::now(), config());
        let mut patience = Patience::default();
        assert!((0..100).all(|_| patience.control(start, &config)));
        assert!(patience.control(start + SECOND / 20, &config));
        assert!(!patience.control(start + SECOND / 20, &config));
        let mut steady = Patience::default();
        assert!((0..10_000_u32).all(|number| steady.control(start + SECOND / 20 * number, &config)));
    }

    #[test]
    fn with_everything_off_nothing_is_ever_due() {
        let start = Instant::now();
        let off = WsConfig {
            frame_timeout: Duration::ZERO,
            write_stall_timeout: Duration::ZERO,
            control_rate: 0,
            ..config()
        };
        let mut patience = Patience::default();
        patience.frame_unfinished(start, 1, true, &off);
        patience.stalled(|| start, false);
        assert!((0..10_000).all(|_| patience.control(start, &off)));
        assert_eq!(patience.next(true, &off), None);
    }
}
