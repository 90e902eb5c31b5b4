//! The server's counters and gauges, to be registered by whoever composes the application.

use core_executor::ConnectionMetrics;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::close::ClosedBy;

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
    pub(crate) handshakes_refused: IntCounter,
    pub(crate) messages_dropped: IntCounter,
    pub(crate) messages_undelivered: IntCounter,
    pub(crate) messages_unhandled: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) rooms_active: IntGauge,
    closes: IntCounterVec,
    /// Of the own listener.
    pub(crate) connections: ConnectionMetrics,
}

impl WsMetrics {
    /// New metrics, all zero.
    pub fn new() -> Self {
        let closes = IntCounterVec::new(
            Opts::new("ws_closes_total", "Sessions ended, by who ended them"),
            &["by"],
        )
        .expect("the name is a valid metric name");
        for by in ClosedBy::ALL {
            closes.with_label_values(&[by.as_str()]);
        }
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
            handshakes_refused: counter("ws_handshakes_refused_total", "Handshakes answered with an error"),
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
            connections: ConnectionMetrics::new("ws"),
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
            connections,
        } = self.clone();
        connections.register(registry)?;
        let counters = [
            connections_total,
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
            .chain([Box::new(closes) as Box<dyn Collector>])
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

    pub(crate) fn closed(&self, by: ClosedBy) {
        self.connections_active.dec();
        self.closes.with_label_values(&[by.as_str()]).inc();
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
        self.errors.inc();
    }
}

impl Default for WsMetrics {
    fn default() -> Self {
        Self::new()
    }
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
