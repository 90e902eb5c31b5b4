//! What an application counts about its requests.

use std::sync::Arc;
use std::time::Duration;

use core_executor::ConnectionMetrics;
use http::StatusCode;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::disconnect::OnDisconnect;

/// The label values of `http_requests_total`, by the first digit of the status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The label values of `http_clients_gone_total`.
const POLICIES: [&str; 4] = ["cancel", "notify", "ignore", "grace"];

/// Seconds; the default request timeout of 2 s lies inside, streams and polls in the last ones.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0,
];

/// Counters of one application. Clones count into the same numbers.
///
/// | name | kind | label | counts |
/// |---|---|---|---|
/// | `http_requests_total` | counter | `class`: `1xx` … `5xx` | requests answered, by class of their status |
/// | `http_requests_abandoned_total` | counter | – | requests whose client left, or that were cut, before an answer |
/// | `http_requests_in_flight` | gauge | – | requests without the head of an answer yet |
/// | `http_request_duration_seconds` | histogram | – | time from the request's head to the answer's head |
/// | `http_limits_total` | counter | `limit`: `body`, `target`, `timeout`, `detached` | requests refused with 413, 414, 503, 503 by a limit |
/// | `http_clients_gone_total` | counter | `policy`: `cancel`, `notify`, `ignore`, `grace` | clients that left before their handler returned, by its route's [`OnDisconnect`] |
/// | `http_handlers_without_client` | gauge | – | handlers that go on though their client has left |
/// | `http_handler_panics_total` | counter | – | panics in handlers and middleware, answered with 500 |
///
/// Those of [`ConnectionMetrics`] come on top, with names that begin with `http_`.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requests: IntCounterVec,
    /// The children of `requests`, looked up once instead of at every request.
    by_class: [IntCounter; 5],
    abandoned: IntCounter,
    in_flight: IntGauge,
    duration: Histogram,
    limits: IntCounterVec,
    by_limit: [IntCounter; 4],
    clients_gone: IntCounterVec,
    by_policy: [IntCounter; 4],
    without_client: IntGauge,
    panics: IntCounter,
    connections: ConnectionMetrics,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Body,
    Target,
    Timeout,
    Detached,
}

impl Limit {
    const ALL: [Self; 4] = [Self::Body, Self::Target, Self::Timeout, Self::Detached];

    fn label(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Target => "target",
            Self::Timeout => "timeout",
            Self::Detached => "detached",
        }
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpMetrics {
    /// All numbers at zero, registered nowhere.
    pub fn new() -> Self {
        let requests = counters(
            "http_requests_total",
            "Requests answered, by class of their status.",
            "class",
        );
        let limits = counters("http_limits_total", "Requests refused by a limit.", "limit");
        let clients_gone = counters(
            "http_clients_gone_total",
            "Clients that left before their handler returned, by its route's policy.",
            "policy",
        );
        Self {
            inner: Arc::new(Inner {
                by_class: CLASSES.map(|class| requests.with_label_values(&[class])),
                by_limit: Limit::ALL.map(|limit| limits.with_label_values(&[limit.label()])),
                by_policy: POLICIES.map(|policy| clients_gone.with_label_values(&[policy])),
                requests,
                limits,
                clients_gone,
                without_client: gauge(
                    "http_handlers_without_client",
                    "Handlers that go on though their client has left.",
                ),
                abandoned: counter(
                    "http_requests_abandoned_total",
                    "Requests whose client left, or that were cut, before an answer.",
                ),
                in_flight: gauge(
                    "http_requests_in_flight",
                    "Requests without the head of an answer yet.",
                ),
                duration: Histogram::with_opts(
                    HistogramOpts::new(
                        "http_request_duration_seconds",
                        "Time from the request's head to the answer's head.",
                    )
                    .buckets(BUCKETS.to_vec()),
                )
                .expect(VALID),
                panics: counter("http_handler_panics_total", "Panics in handlers and middleware."),
                connections: ConnectionMetrics::new("http"),
            }),
        }
    }

    /// Makes the numbers appear in `registry`; the registry belongs to whoever composes the application.
    ///
    /// # Errors
    /// When one of the names is in the registry already, as with two applications in one registry.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Inner {
            requests,
            by_class: _,
            abandoned,
            in_flight,
            duration,
            limits,
            by_limit: _,
            clients_gone,
            by_policy: _,
            without_client,
            panics,
            connections,
        } = &*self.inner;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(abandoned.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(limits.clone()))?;
        registry.register(Box::new(clients_gone.clone()))?;
        registry.register(Box::new(without_client.clone()))?;
        registry.register(Box::new(panics.clone()))?;
        connections.register(registry)
    }

    /// Requests answered so far, whatever their status.
    pub fn requests(&self) -> u64 {
        self.inner.by_class.iter().map(IntCounter::get).sum()
    }

    /// Requests that have no head of an answer yet.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.inner.in_flight.get()).unwrap_or(0)
    }

    /// Handlers that go on at the moment though their client has left.
    pub fn handlers_without_client(&self) -> u64 {
        u64::try_from(self.inner.without_client.get()).unwrap_or(0)
    }

    /// Panics caught in handlers and middleware so far.
    pub fn handler_panics(&self) -> u64 {
        self.inner.panics.get()
    }

    /// What the accept loop and the connections count.
    pub fn connections(&self) -> &ConnectionMetrics {
        &self.inner.connections
    }

    pub(crate) fn began(&self) {
        self.inner.in_flight.inc();
    }

    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        self.inner.in_flight.dec();
        // A status is 100 to 999; what no standard knows counts with the last class.
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.inner.by_class[class].inc();
        self.inner.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn abandoned(&self) {
        self.inner.in_flight.dec();
        self.inner.abandoned.inc();
    }

    pub(crate) fn client_gone(&self, policy: OnDisconnect) {
        let index = match policy {
            OnDisconnect::Cancel => 0,
            OnDisconnect::Notify => 1,
            OnDisconnect::Ignore => 2,
            OnDisconnect::Grace(_) => 3,
        };
        self.inner.by_policy[index].inc();
    }

    /// Counts a handler that goes on without its client, until the lease is dropped.
    pub(crate) fn one_without_client(&self) -> Alone {
        let gauge = self.inner.without_client.clone();
        gauge.inc();
        Alone { gauge }
    }

    pub(crate) fn limited(&self, limit: Limit) {
        self.inner.by_limit[limit as usize].inc();
    }

    pub(crate) fn panicked(&self) {
        self.inner.panics.inc();
    }
}

/// One handler's place among those that go on without their client.
pub(crate) struct Alone {
    gauge: IntGauge,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

const VALID: &str = "names and help are constants that follow the rules";

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect(VALID)
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID)
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect(VALID)
}
