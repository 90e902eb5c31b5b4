//! The server's counters and gauges, to be registered by whoever composes the application.

use core_executor::ConnectionMetrics;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::close::{CloseInfo, ClosedBy, close_code};
use crate::fan_out::FanOutTimes;
use crate::oldest::OldestMessage;
use crate::outbox::{Load, Sent};
use crate::resume::ResumeMetrics;

/// Why a session failed: every value the label `reason` can have.
const FAULTS: [&str; 9] = [
    "connection",
    "idle",
    "no_pong",
    "panic",
    "policy",
    "protocol",
    "size",
    "slow",
    "text",
];

/// The statuses of refused handshakes that have a label of their own; any other one is `other`.
const STATUSES: [u16; 9] = [400, 401, 403, 404, 405, 426, 429, 500, 503];

/// The metrics of one server; clones share their values. They move from the first session on, registered or not.
#[derive(Debug, Clone)]
pub struct WsMetrics {
    pub(crate) connections_total: IntCounter,
    pub(crate) connections_active: IntGauge,
    pub(crate) messages_in: IntCounter,
    pub(crate) messages_out: IntCounter,
    pub(crate) errors: IntCounter,
    pub(crate) bytes_in: IntCounter,
    pub(crate) bytes_out: IntCounter,
    handshakes_refused: IntCounterVec,
    pub(crate) messages_dropped: IntCounter,
    pub(crate) messages_undelivered: IntCounter,
    pub(crate) messages_unhandled: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) rooms_active: IntGauge,
    closes: IntCounterVec,
    failures: IntCounterVec,
    /// From a ping of ours to its pong, in seconds.
    pub(crate) ping_rtt: Histogram,
    pub(crate) fan_out: FanOutTimes,
    pub(crate) oldest: OldestMessage,
    /// Of the own listener.
    pub(crate) connections: ConnectionMetrics,
    pub(crate) resume: ResumeMetrics,
}

impl WsMetrics {
    /// New metrics, all zero.
    pub fn new() -> Self {
        let closes = counters(
            "ws_closes_total",
            "Sessions ended, by who ended them",
            "by",
            ClosedBy::ALL.map(ClosedBy::as_str),
        );
        let failures = counters(
            "ws_failures_total",
            "Sessions ended for a fault, by its kind",
            "reason",
            FAULTS,
        );
        let statuses = STATUSES.map(|status| status.to_string());
        let handshakes_refused = counters(
            "ws_handshakes_refused_total",
            "Handshakes answered with an error, by its status",
            "status",
            statuses.iter().map(String::as_str).chain(["other"]),
        );
        Self {
            connections_total: counter("ws_connections_total", "Sessions opened"),
            connections_active: gauge("ws_connections_active", "Sessions that are open"),
            messages_in: counter("ws_messages_in_total", "Messages received"),
            messages_out: counter("ws_messages_out_total", "Messages written"),
            errors: counter(
                "ws_errors_total",
                "Errors of sessions: protocol, panics, slow readers, sockets",
            ),
            bytes_in: counter("ws_bytes_in_total", "Bytes received"),
            bytes_out: counter("ws_bytes_out_total", "Bytes written"),
            handshakes_refused,
            messages_dropped: counter(
                "ws_messages_dropped_total",
                "Messages dropped by an outbox policy",
            ),
            messages_undelivered: counter(
                "ws_messages_undelivered_total",
                "Messages queued and not written when their session ended",
            ),
            messages_unhandled: counter(
                "ws_messages_unhandled_total",
                "Messages received and not handled because their session was closing",
            ),
            panics: counter("ws_panics_total", "Panics caught in callbacks and relays"),
            rooms_active: gauge("ws_rooms_active", "Rooms with a member"),
            closes,
            failures,
            ping_rtt: Histogram::with_opts(
                HistogramOpts::new("ws_ping_rtt_seconds", "Time from a ping to its pong").buckets(
                    prometheus::exponential_buckets(0.000_5, 4.0, 9).expect("the bounds are lawful"),
                ),
            )
            .expect("the name is a valid metric name"),
            fan_out: FanOutTimes::new(),
            oldest: OldestMessage::new(),
            connections: ConnectionMetrics::new("ws"),
            resume: ResumeMetrics::new(),
        }
    }

    /// The same for connections that carry sessions of others: bytes, pings and faults are counted together with all,
    /// sessions and messages are not, because they are counted where they belong.
    pub(crate) fn of_carriers(&self) -> Self {
        let Self {
            connections_total,
            connections_active,
            messages_in,
            messages_out,
            messages_dropped,
            messages_undelivered,
            messages_unhandled,
            closes,
            ..
        } = Self::new();
        Self {
            connections_total,
            connections_active,
            messages_in,
            messages_out,
            messages_dropped,
            messages_undelivered,
            messages_unhandled,
            closes,
            ..self.clone()
        }
    }

    /// Registers every metric. A prefix is the registry's own affair (`Registry::new_custom`).
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            connections_total,
            connections_active,
            messages_in,
            messages_out,
            errors,
            bytes_in,
            bytes_out,
            handshakes_refused,
            messages_dropped,
            messages_undelivered,
            messages_unhandled,
            panics,
            rooms_active,
            closes,
            failures,
            ping_rtt,
            fan_out,
            oldest,
            connections,
            resume,
        } = self.clone();
        connections.register(registry)?;
        resume.register(registry)?;
        let counters = [
            connections_total,
            messages_in,
            messages_out,
            errors,
            bytes_in,
            bytes_out,
            messages_dropped,
            messages_undelivered,
            messages_unhandled,
            panics,
        ];
        let gauges = [connections_active, rooms_active];
        let boxed = |counter: IntCounter| Box::new(counter) as Box<dyn Collector>;
        counters
            .into_iter()
            .map(boxed)
            .chain(
                gauges
                    .into_iter()
                    .map(|gauge| Box::new(gauge) as Box<dyn Collector>),
            )
            .chain([
                Box::new(ping_rtt) as Box<dyn Collector>,
                fan_out.collector(),
                oldest.collector(),
            ])
            .chain(
                [closes, failures, handshakes_refused].map(|family| Box::new(family) as Box<dyn Collector>),
            )
            .try_for_each(|collector| registry.register(collector))
    }

    /// Messages received so far.
    pub fn messages_received(&self) -> u64 {
        self.messages_in.get()
    }

    /// Messages written so far.
    pub fn messages_sent(&self) -> u64 {
        self.messages_out.get()
    }

    /// What was written to a session's socket.
    pub(crate) fn wrote(&self, written: Load) {
        if written.bytes > 0 {
            self.bytes_out.inc_by(written.bytes as u64);
        }
        if written.messages > 0 {
            self.messages_out.inc_by(written.messages as u64);
        }
    }

    pub(crate) fn closed(&self, info: &CloseInfo) {
        self.connections_active.dec();
        self.closes.with_label_values(&[info.by.as_str()]).inc();
        if let Some(fault) = fault(info) {
            self.failures.with_label_values(&[fault]).inc();
        }
    }

    pub(crate) fn handshake_refused(&self, status: u16) {
        if STATUSES.contains(&status) {
            let status = status.to_string();
            self.handshakes_refused.with_label_values(&[&status]).inc();
        } else {
            self.handshakes_refused.with_label_values(&["other"]).inc();
        }
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
        self.errors.inc();
    }
}

/// What many sends did, to be counted at once: a counter that all threads share is not touched for each message.
#[derive(Debug, Default)]
pub(crate) struct Account {
    written: Load,
    lost: u64,
}

impl Account {
    pub(crate) fn add(&mut self, sent: &Sent) {
        self.written.messages += sent.written.messages;
        self.written.bytes += sent.written.bytes;
        self.lost += sent.lost;
    }

    pub(crate) fn settle(self, metrics: &WsMetrics) {
        metrics.wrote(self.written);
        if self.lost > 0 {
            metrics.messages_dropped.inc_by(self.lost);
        }
    }
}

impl Default for WsMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The kind of fault that ended a session; `None` for an ordinary end.
fn fault(info: &CloseInfo) -> Option<&'static str> {
    match (info.by, info.code) {
        (ClosedBy::Slow, _) => Some("slow"),
        (ClosedBy::Timeout, close_code::ABNORMAL) => Some("no_pong"),
        (ClosedBy::Timeout, _) => Some("idle"),
        (ClosedBy::Error, close_code::PROTOCOL) => Some("protocol"),
        (ClosedBy::Error, close_code::INVALID) => Some("text"),
        (ClosedBy::Error, close_code::POLICY) => Some("policy"),
        (ClosedBy::Error, close_code::TOO_BIG) => Some("size"),
        (ClosedBy::Error, close_code::INTERNAL) => Some("panic"),
        (ClosedBy::Error, _) => Some("connection"),
        (ClosedBy::Peer | ClosedBy::Server | ClosedBy::Shutdown, _) => None,
    }
}

/// A family with one label whose every value is there from the start.
fn counters<'a>(
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> IntCounterVec {
    let family =
        IntCounterVec::new(Opts::new(name, help), &[label]).expect("the names are valid metric names");
    for value in values {
        family.with_label_values(&[value]);
    }
    family
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is a valid metric name")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is a valid metric name")
}

#[cfg(test)]
mod tests {
    use super::WsMetrics;
    use prometheus::Registry;

    #[test]
    fn the_names_dashboards_rely_on_are_there_and_take_a_prefix() {
        let registry = Registry::new_custom(Some("vix".to_owned()), None).unwrap();
        let metrics = WsMetrics::new();
        metrics.register(&registry).unwrap();
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        for name in [
            "vix_ws_connections_total",
            "vix_ws_connections_active",
            "vix_ws_messages_in_total",
            "vix_ws_messages_out_total",
            "vix_ws_errors_total",
        ] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        assert!(
            metrics.register(&registry).is_err(),
            "twice in one registry is an error"
        );
    }
}
