//! How long a publication takes until its first, its median and its last receiver has it.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec};

use crate::clock::now;

/// Of so many publications of a thread one is measured: for the others the clock is not asked, and nothing is kept.
const MEASURED: u32 = 64;
/// Publications that are measured and have not reached everybody; while there are so many, no other is measured.
const UNDER_WAY: usize = 256;
/// Times that are kept of one publication.
const KEPT: usize = 128;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Whether it is the turn of this publication: of the first one of each thread it is.
#[inline]
fn is_measured() -> bool {
    let count = COUNT.get();
    COUNT.set(count.wrapping_add(1));
    count.is_multiple_of(MEASURED)
}

/// The histogram of fan-outs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FanOutTimes(Arc<Times>);

#[derive(Debug)]
struct Times {
    family: HistogramVec,
    first: Histogram,
    median: Histogram,
    last: Histogram,
    under_way: AtomicUsize,
}

impl FanOutTimes {
    pub(crate) fn new() -> Self {
        let options = HistogramOpts::new(
            "ws_fan_out_seconds",
            "Time from a publication until its first, median and last receiver has it, of every 64th",
        );
        let bounds = prometheus::exponential_buckets(0.000_01, 4.0, 11).expect("the bounds are lawful");
        let family = HistogramVec::new(options.buckets(bounds), &["receiver"]).expect("the names are valid");
        Self(Arc::new(Times {
            first: family.with_label_values(&["first"]),
            median: family.with_label_values(&["median"]),
            last: family.with_label_values(&["last"]),
            family,
            under_way: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.family.clone())
    }

    /// What goes with a publication that begins now, if it is to be measured.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Receipt> {
        if is_measured() { self.measure() } else { None }
    }

    #[inline(never)]
    fn measure(&self) -> Option<Receipt> {
        let times = Arc::clone(&self.0);
        if times.under_way.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY {
            times.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let probe = Probe {
            times,
            began: now(),
            seen: Mutex::default(),
        };
        Some(Receipt(Arc::new(probe)))
    }
}

/// Goes with a message to each of its receivers, and waits with it. When none is left, everybody has it who will, and
/// the times are put down: a message that is dropped, or whose session ends, tells nothing.
#[derive(Clone)]
pub(crate) struct Receipt(Arc<Probe>);

impl Receipt {
    /// One more has it.
    #[inline(never)]
    pub(crate) fn had(&self) {
        let mut seen = self.0.seen.lock();
        // Behind the lock, so that no time stands before an earlier one.
        seen.note(now().saturating_duration_since(self.0.began).as_secs_f64());
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Receipt")
    }
}

/// One publication that is measured.
struct Probe {
    times: Arc<Times>,
    began: Instant,
    seen: Mutex<Seen>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.times.under_way.fetch_sub(1, Ordering::Relaxed);
        let seen = self.seen.get_mut();
        if seen.count > 0 {
            self.times.first.observe(seen.kept[0]);
            self.times.median.observe(seen.median());
            self.times.last.observe(seen.last);
        }
    }
}

/// The times of the receivers so far, in seconds: of every one while they are few, of every second, fourth and so on when
/// they are more.
#[derive(Debug)]
struct Seen {
    kept: Vec<f64>,
    stride: usize,
    count: usize,
    last: f64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            stride: 1,
            count: 0,
            last: 0.0,
        }
    }
}

impl Seen {
    fn note(&mut self, seconds: f64) {
        if self.kept.len() == KEPT {
            let mut is_kept = false;
            self.kept.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.stride *= 2;
        }
        if self.count.is_multiple_of(self.stride) {
            self.kept.push(seconds);
        }
        self.count += 1;
        self.last = seconds;
    }

    /// When half of them had it; of very many, within a sixty-fourth of them. There must be one.
    fn median(&self) -> f64 {
        self.kept[(self.count - 1) / 2 / self.stride]
    }
}

/// For the tests of those through whose hands receipts go.
#[cfg(test)]
impl FanOutTimes {
    pub(crate) fn measured(&self) -> Receipt {
        self.measure().expect("few are under way")
    }

    /// How many publications have come to their last receiver, and their times together in milliseconds.
    pub(crate) fn last(&self) -> (u64, f64) {
        tests::of(&self.0.last)
    }
}

#[cfg(test)]
impl Receipt {
    pub(crate) fn copies(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// How many have it.
    pub(crate) fn had_by(&self) -> usize {
        self.0.seen.lock().count
    }
}

#[cfg(test)]
#[path = "fan_out/tests.rs"]
mod tests;
