//! The numbers of a registry, to be asked for by name.

use prometheus::Registry;
use prometheus::proto::{Histogram, Metric, MetricFamily};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a registry held at one moment. What it does not have counts as nothing.
pub(super) struct Numbers {
    families: BTreeMap<String, MetricFamily>,
}

/// How long something took, since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Times {
    count: u64,
    /// Milliseconds; absent where nothing was counted.
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Upper bounds in seconds, and how many took no longer: from two of these a page makes the times in between.
    buckets: Vec<(f64, u64)>,
}

impl Numbers {
    pub(super) fn of(registry: &Registry) -> Self {
        let families = registry.gather().into_iter();
        Self {
            families: families
                .map(|family| (family.name().to_owned(), family))
                .collect(),
        }
    }

    /// A counter or gauge, all its series together.
    pub(super) fn total(&self, name: &str) -> u64 {
        self.series(name).map(value).sum()
    }

    /// The values of one with one label.
    pub(super) fn by_label(&self, name: &str) -> BTreeMap<String, u64> {
        let series = self.series(name);
        series.map(|metric| (label(metric), value(metric))).collect()
    }

    /// A histogram without a label.
    pub(super) fn times(&self, name: &str) -> Times {
        let first = self.series(name).next();
        first.map_or_else(Times::default, |metric| Times::of(metric.get_histogram()))
    }

    /// The histograms of one with one label.
    pub(super) fn times_by_label(&self, name: &str) -> Vec<(String, Times)> {
        let series = self.series(name);
        series
            .map(|metric| (label(metric), Times::of(metric.get_histogram())))
            .collect()
    }

    fn series(&self, name: &str) -> impl Iterator<Item = &Metric> {
        self.families
            .get(name)
            .into_iter()
            .flat_map(MetricFamily::get_metric)
    }
}

fn label(metric: &Metric) -> String {
    let first = metric.get_label().first();
    first.map(|label| label.value().to_owned()).unwrap_or_default()
}

/// Only one of the two is there.
fn value(metric: &Metric) -> u64 {
    // Both are whole and not below 0.
    (metric.get_counter().get_value() + metric.get_gauge().get_value()).max(0.0) as u64
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        let count = histogram.get_sample_count();
        let buckets = histogram.get_bucket().iter();
        let buckets: Vec<(f64, u64)> = buckets
            .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
            .filter(|(bound, _)| bound.is_finite())
            .collect();
        let quantile = |share| quantile(&buckets, count, share).map(|seconds| seconds * 1e3);
        let (p50_ms, p90_ms, p99_ms) = (quantile(0.5), quantile(0.9), quantile(0.99));
        Self {
            count,
            mean_ms: (count > 0).then(|| histogram.get_sample_sum() / count as f64 * 1e3),
            p50_ms,
            p90_ms,
            p99_ms,
            buckets,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// As Prometheus' `histogram_quantile`: in between two bounds it goes straight; past the last one it is the last one.
fn quantile(buckets: &[(f64, u64)], count: u64, share: f64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    let rank = share * count as f64;
    let (mut low, mut below) = (0.0, 0);
    for (bound, up_to) in buckets {
        if *up_to as f64 >= rank && *up_to > below {
            let part = (rank - below as f64) / (up_to - below) as f64;
            return Some(low + (bound - low) * part);
        }
        (low, below) = (*bound, *up_to);
    }
    buckets.last().map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts};

    #[test]
    fn counters_gauges_and_labels_are_found_by_name() {
        let registry = Registry::new();
        let counters = IntCounterVec::new(Opts::new("ends_total", "ends"), &["by"]).expect("lawful");
        counters.with_label_values(&["peer"]).inc_by(3);
        counters.with_label_values(&["slow"]).inc_by(4);
        let gauge = IntGauge::new("open", "open").expect("lawful");
        gauge.set(5);
        registry.register(Box::new(counters)).expect("once");
        registry.register(Box::new(gauge)).expect("once");
        let numbers = Numbers::of(&registry);
        assert_eq!(
            (
                numbers.total("ends_total"),
                numbers.total("open"),
                numbers.total("none")
            ),
            (7, 5, 0)
        );
        let by: Vec<_> = numbers.by_label("ends_total").into_iter().collect();
        assert_eq!(by, [("peer".to_owned(), 3), ("slow".to_owned(), 4)]);
        assert_eq!(numbers.times("none"), Times::default());
    }

    #[test]
    fn quantiles_are_read_from_the_buckets() {
        let options = HistogramOpts::new("took_seconds", "took").buckets(vec![0.1, 0.2, 0.4]);
        let histogram = prometheus::Histogram::with_opts(options).expect("lawful");
        let registry = Registry::new();
        registry.register(Box::new(histogram.clone())).expect("once");
        let none = Numbers::of(&registry).times("took_seconds");
        assert_eq!((none.count, none.mean_ms, none.p99_ms), (0, None, None));
        for seconds in [0.05, 0.15, 0.15, 0.3] {
            histogram.observe(seconds);
        }
        let times = Numbers::of(&registry).times("took_seconds");
        assert_eq!(times.buckets, [(0.1, 1), (0.2, 3), (0.4, 4)]);
        let near = |left: Option<f64>, right: f64| left.is_some_and(|left| (left - right).abs() < 1e-6);
        assert!(
            near(times.p50_ms, 150.0) && near(times.mean_ms, 162.5),
            "{times:?}"
        );
        for _ in 0..100 {
            histogram.observe(7.0);
        }
        let beyond = Numbers::of(&registry).times("took_seconds");
        assert!(near(beyond.p99_ms, 400.0), "{beyond:?}");
    }
}
