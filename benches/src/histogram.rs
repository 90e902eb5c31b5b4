//! Latencies in buckets whose width grows with the value: 1/32 of it, so a percentile is off by 3 % at most.

use std::time::Duration;

const PRECISION: u32 = 5;
const LINEAR: u64 = 1 << PRECISION;

/// Counts of durations.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; 64 << PRECISION],
            count: 0,
            longest: 0,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Counts what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// The duration under which `share` (0 to 1) of all lie, in milliseconds; 0 when there are none.
    #[must_use]
    pub fn percentile(&self, share: f64) -> f64 {
        let wanted = share * self.count as f64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return middle(bucket).min(self.longest) as f64 / 1e6;
            }
        }
        0.0
    }

    /// The longest one in milliseconds.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.longest as f64 / 1e6
    }
}

fn bucket(nanoseconds: u64) -> usize {
    if nanoseconds < LINEAR {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - PRECISION;
    ((u64::from(shift) << PRECISION) + (nanoseconds >> shift)) as usize
}

fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let shift = (bucket >> PRECISION) - 1;
    let first = (bucket - (shift << PRECISION)) << shift;
    first + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket, middle};
    use std::time::Duration;

    #[test]
    fn a_bucket_stands_for_what_fell_into_it() {
        for nanoseconds in [0, 1, 31, 32, 33, 63, 64, 1000, 123_456_789, 1 << 50] {
            let stands_for = middle(bucket(nanoseconds)) as f64;
            let off = (stands_for - nanoseconds as f64).abs();
            assert!(
                off <= nanoseconds as f64 / 32.0,
                "{nanoseconds} became {stands_for}"
            );
        }
    }

    #[test]
    fn percentiles_are_in_order() {
        let mut histogram = Histogram::default();
        for millisecond in 1..=1000 {
            histogram.add(Duration::from_millis(millisecond));
        }
        let (half, most) = (histogram.percentile(0.5), histogram.percentile(0.99));
        assert!(
            (half - 500.0).abs() < 20.0 && (most - 990.0).abs() < 40.0,
            "{half} {most}"
        );
        assert!((histogram.max() - 1000.0).abs() < 0.1);
        assert!(Histogram::default().percentile(0.5) < 0.1);
        let mut sum = Histogram::default();
        sum.add(Duration::from_secs(5));
        sum.merge(&histogram);
        assert!(sum.max() > 4999.0 && (sum.percentile(0.5) - half).abs() < 20.0);
    }
}
