//! Numbers of a registry at one moment, and what happened between two of them.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily};
use std::collections::HashMap;
use std::time::Instant;

pub(crate) struct Metrics {
    at: Instant,
    families: HashMap<String, MetricFamily>,
    /// What `METRICS_PREFIX` puts before every name.
    prefix: String,
}

impl Metrics {
    pub(crate) fn of(registry: &Registry, prefix: &str) -> Self {
        let families = registry.gather().into_iter();
        Self {
            at: Instant::now(),
            families: families
                .map(|family| (family.name().to_owned(), family))
                .collect(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}_"),
            },
        }
    }

    /// A counter or a gauge, all its labels together.
    pub(crate) fn total(&self, name: &str) -> f64 {
        let value = |metric: &Metric| metric.get_counter().get_value() + metric.get_gauge().get_value();
        self.series(name).iter().map(value).sum()
    }

    /// How much a counter went up each second.
    pub(crate) fn rate(&self, since: &Self, name: &str) -> f64 {
        let seconds = self.at.duration_since(since.at).as_secs_f64();
        (self.total(name) - since.total(name)) / seconds.max(0.001)
    }

    /// The time in milliseconds within which this share of what was counted lies; nothing was, nothing is told.
    pub(crate) fn quantile(&self, since: &Self, name: &str, share: f64) -> Option<f64> {
        let (now, before) = (self.buckets(name), since.buckets(name));
        let up_to = |at: usize| now[at].1 - before.get(at).map_or(0.0, |bucket| bucket.1);
        let count = now.len().checked_sub(1).map(up_to).filter(|count| *count > 0.0)?;
        let (mut low, mut below) = (0.0, 0.0);
        for (at, (bound, _)) in now.iter().enumerate() {
            let reached = up_to(at);
            if reached >= share * count && reached > below {
                return Some((low + (bound - low) * (share * count - below) / (reached - below)) * 1e3);
            }
            (low, below) = (*bound, reached);
        }
        None
    }

    /// Upper bounds and how many lie below.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let histograms = self.series(name).iter().take(1);
        let buckets = histograms.flat_map(|metric| metric.get_histogram().get_bucket());
        buckets
            .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count() as f64))
            .filter(|(bound, _)| bound.is_finite())
            .collect()
    }

    fn series(&self, name: &str) -> &[Metric] {
        let family = self.families.get(&format!("{}{name}", self.prefix));
        family.map_or(&[], MetricFamily::get_metric)
    }
}
