//! Which times are put down, and when; the clock stands until it is moved.

use std::time::Duration;

use prometheus::Histogram;
use tokio::time::advance;

use super::{FanOutTimes, KEPT, MEASURED, Seen, UNDER_WAY};

/// How often something was observed, and the sum in milliseconds.
pub(super) fn of(histogram: &Histogram) -> (u64, f64) {
    let milliseconds = (histogram.get_sample_sum() * 1e6).round() / 1e3;
    (histogram.get_sample_count(), milliseconds)
}

fn all(times: &FanOutTimes) -> [(u64, f64); 3] {
    let inner = &times.0;
    [of(&inner.first), of(&inner.median), of(&inner.last)]
}

#[tokio::test(start_paused = true)]
async fn the_first_the_median_and_the_last_who_had_it_are_put_down_when_nobody_waits() {
    let times = FanOutTimes::new();
    let own = times.measured();
    let receipts: Vec<_> = (0..5).map(|_| own.clone()).collect();
    drop(own);
    // The third and the fifth never have it, such as one that is dropped: nobody was last there.
    for (number, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(all(&times), [(0, 0.0); 3], "somebody still waits");
        advance(Duration::from_millis(10)).await;
        if number % 2 != 0 || number == 0 {
            receipt.had();
        }
    }
    assert_eq!(all(&times), [(1, 10.0), (1, 20.0), (1, 40.0)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_tells_nothing() {
    let times = FanOutTimes::new();
    drop(times.measured());
    assert_eq!(all(&times), [(0, 0.0); 3]);
}

#[test]
fn the_median_of_very_many_is_near_and_takes_no_more_room() {
    for count in [1, 2, 3, KEPT - 1, KEPT, KEPT + 1, 1000, 100_000] {
        let mut seen = Seen::default();
        (1..=count).for_each(|number| seen.note(number as f64));
        assert_eq!((seen.kept[0], seen.last, seen.count), (1.0, count as f64, count));
        assert!(seen.kept.len() <= KEPT && seen.kept.capacity() <= 2 * KEPT);
        let (median, exact) = (seen.median(), count.div_ceil(2) as f64);
        let off = exact - median;
        assert!(off >= 0.0 && off <= count as f64 / 64.0, "{count}: {median}");
        assert!(count > KEPT || off == 0.0, "{count}: {median}");
    }
}

#[test]
fn of_so_many_one_is_measured_and_the_first_one_is() {
    let measured = || {
        let times = FanOutTimes::new();
        (0..3 * MEASURED)
            .filter(|_| times.begin().is_some())
            .collect::<Vec<_>>()
    };
    // The count is a thread's own.
    let measured = std::thread::spawn(measured).join().unwrap();
    assert_eq!(measured, [0, MEASURED, 2 * MEASURED]);
}

#[test]
fn those_that_wait_are_bounded() {
    let times = FanOutTimes::new();
    let mut waiting: Vec<_> = (0..UNDER_WAY).map_while(|_| times.measure()).collect();
    assert_eq!(waiting.len(), UNDER_WAY);
    for _ in 0..2 {
        assert!(times.measure().is_none());
    }
    waiting.pop();
    assert!(times.measure().is_some());
    drop(waiting);
    assert_eq!(times.0.under_way.load(super::Ordering::Relaxed), 0);
}
