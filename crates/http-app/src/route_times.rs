//! How long the answers of each route took, for whoever asks.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use crate::route_names::{NO_ROUTE, RouteNames};

/// Seconds, finer than those of all requests together, because quantiles of single routes are read from them.
const BUCKETS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];

/// The times of one application's routes, from a request's head to its answer's head. Clones count into the same
/// numbers.
///
/// One histogram, `http_route_duration_seconds`, with the label `route`: each pattern that is registered, and one value
/// for what no route takes, so a client can make no further one. Counted only in an application that was asked for it
/// ([`App::route_times`](crate::App::route_times)), because a request's route is looked up a second time for it.
#[derive(Clone, Debug)]
pub struct RouteTimes {
    family: HistogramVec,
    /// In the order of the patterns, the last for what has no route; known when the routes are.
    by_route: Arc<OnceLock<Vec<Histogram>>>,
}

impl RouteTimes {
    pub(crate) fn new() -> Self {
        let options = HistogramOpts::new(
            "http_route_duration_seconds",
            "Time from the request's head to the answer's head, by route",
        );
        let family = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["route"]);
        Self {
            family: family.expect("name, label and bounds are lawful"),
            by_route: Arc::default(),
        }
    }

    /// Makes the numbers appear in `registry`.
    ///
    /// # Errors
    /// The name is in the registry already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.family.clone()))
    }

    /// The routes are these, whether or not anybody asks for them.
    pub(crate) fn know(&self, names: &RouteNames) {
        let routes = names.patterns().iter().map(String::as_str).chain([NO_ROUTE]);
        let histograms = routes
            .map(|route| self.family.with_label_values(&[route]))
            .collect();
        // Once: an application is put together once.
        let _ = self.by_route.set(histograms);
    }

    /// A request of the route at this place was answered.
    pub(crate) fn answered(&self, place: Option<usize>, took: Duration) {
        let Some((without, routes)) = self.by_route.get().and_then(|all| all.split_last()) else {
            return;
        };
        let histogram = place.and_then(|place| routes.get(place)).unwrap_or(without);
        histogram.observe(took.as_secs_f64());
    }
}
