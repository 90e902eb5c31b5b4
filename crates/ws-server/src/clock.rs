//! One coarse clock for all sessions of a server: a session that waits for a moment owns an entry here and no timer.

mod wheel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::wheel::Wheel;

/// How coarse it is: nothing rings before its moment, and nothing later than this after it.
const TICK: Duration = Duration::from_millis(20);

/// Rings the alarms of sessions.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Ticks that have passed, as far as the clock has noticed.
    ticks: AtomicU64,
    wheel: Mutex<Wheel>,
    /// It waits for `changed`. Written under the lock of the wheel.
    stands: AtomicBool,
    /// Rung when an alarm is set while it stands still, and at the end.
    changed: Notify,
    is_over: AtomicBool,
}

/// A moment in ticks of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    /// One that does not come.
    pub(crate) const NEVER: Self = Self(u64::MAX);
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: now(),
            ticks: AtomicU64::new(0),
            wheel: Mutex::new(Wheel::new()),
            stands: AtomicBool::new(false),
            changed: Notify::new(),
            is_over: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wheel> {
        self.wheel.lock()
    }

    /// About now, without asking the operating system: never before the true time by more than the clock is late,
    /// and at most a tick after it.
    pub(crate) fn about_now(&self) -> (Tick, Instant) {
        let tick = self.last_tick();
        (tick, self.instant(tick.0 + 1))
    }

    /// The last tick that has passed.
    pub(crate) fn last_tick(&self) -> Tick {
        Tick(self.ticks.load(Ordering::Relaxed))
    }

    /// The first tick at which `at` has passed.
    pub(crate) fn tick_after(&self, at: Instant) -> Tick {
        let since = at.saturating_duration_since(self.start);
        let ticks = since.as_nanos().div_ceil(TICK.as_nanos());
        Tick(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    pub(crate) fn has_passed(&self, tick: Tick) -> bool {
        tick.0 <= self.ticks.load(Ordering::Relaxed)
    }

    fn instant(&self, ticks: u64) -> Instant {
        self.start + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Runs the clock until [`stop`](Self::stop). It stands still while no alarm is set.
    pub(crate) async fn run(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Acquire) {
            if self.stands_still() {
                self.changed.notified().await;
                continue;
            }
            let next = self.instant(self.ticks.load(Ordering::Relaxed) + 1);
            tokio::time::sleep_until(next.into()).await;
            self.turn(now());
        }
    }

    /// Whether no alarm is set, so that whoever sets the next one has to wake the clock.
    fn stands_still(&self) -> bool {
        let wheel = self.lock();
        self.stands.store(wheel.is_empty(), Ordering::Relaxed);
        wheel.is_empty()
    }

    /// The clock is not needed any more.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Rings what is due at `now`.
    fn turn(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.ticks.fetch_max(passed, Ordering::Relaxed);
        let due = self.lock().turn(passed);
        due.into_iter().for_each(Waker::wake);
    }
}

/// One session's entry in a clock.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Arc<Clock>,
    entry: u32,
}

impl Alarm {
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        let entry = clock.lock().enter();
        Self { clock, entry }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Rings once at this tick instead of when it was set to before. The waker is that of the task that calls.
    pub(crate) fn set(&self, tick: Tick, waker: &Waker) {
        let stood = {
            let mut wheel = self.clock.lock();
            let stood = self.clock.stands.swap(false, Ordering::Relaxed);
            if stood {
                // It stood still meanwhile, and need not go through the time it missed.
                let passed = now().saturating_duration_since(self.clock.start).as_nanos() / TICK.as_nanos();
                let passed = u64::try_from(passed).unwrap_or(u64::MAX);
                self.clock.ticks.fetch_max(passed, Ordering::Relaxed);
                wheel.turn(passed);
            }
            wheel.set(self.entry, tick.0, waker);
            stood
        };
        if stood {
            self.clock.changed.notify_one();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = self.clock.lock().leave(self.entry);
        // Dropped outside of the lock: it may be the last hold on a task, whose drop comes back here.
        drop(waker);
    }
}

/// The time as the runtime has it, which a test or a simulation may move.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Clock, TICK};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_alarm_rings_once_and_not_before_its_moment() {
        let clock = Arc::new(Clock::new());
        let (alarm, bell) = (Alarm::new(clock.clone()), Arc::new(Bell::default()));
        let at = clock.start + TICK * 3 + TICK / 2;
        let tick = clock.tick_after(at);
        alarm.set(tick, &Waker::from(bell.clone()));
        clock.turn(at);
        assert_eq!(bell.0.load(Ordering::SeqCst), 0);
        assert!(!clock.has_passed(tick));
        for _ in 0..2 {
            clock.turn(at + TICK);
            assert_eq!(bell.0.load(Ordering::SeqCst), 1);
            assert!(clock.has_passed(tick) && clock.about_now().1 >= at + TICK);
        }
        assert!(clock.lock().is_empty());
    }

    #[test]
    fn a_late_clock_rings_everything_it_missed_and_a_dropped_alarm_never_rings() {
        let clock = Arc::new(Clock::new());
        let bell = Arc::new(Bell::default());
        let alarms: Vec<Alarm> = (0..100_u32)
            .map(|number| {
                let alarm = Alarm::new(clock.clone());
                // More than one turn of the wheel among them.
                let tick = clock.tick_after(clock.start + TICK * (number * 97));
                alarm.set(tick, &Waker::from(bell.clone()));
                alarm
            })
            .collect();
        clock.turn(clock.start + TICK * (49 * 97));
        assert_eq!(bell.0.load(Ordering::SeqCst), 50);
        drop(alarms);
        clock.turn(clock.start + TICK * 100_000);
        assert_eq!(bell.0.load(Ordering::SeqCst), 50);
    }

    #[tokio::test]
    async fn it_runs_while_an_alarm_is_set_and_ends_when_told() {
        let clock = Arc::new(Clock::new());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(clock.clone().run());
        let alarm = Alarm::new(clock.clone());
        for round in 1..=3_u32 {
            let bell = Arc::new(tokio::sync::Notify::new());
            struct Ring(Arc<tokio::sync::Notify>);
            impl Wake for Ring {
                fn wake(self: Arc<Self>) {
                    self.0.notify_one();
                }
            }
            let at = super::now() + TICK * 5 * round;
            alarm.set(clock.tick_after(at), &Waker::from(Arc::new(Ring(bell.clone()))));
            bell.notified().await;
            assert!(
                super::now() >= at && super::now() < at + TICK * 100,
                "not minutes later"
            );
        }
        clock.stop();
        running.join_next().await.expect("it was spawned").unwrap();
    }
}
