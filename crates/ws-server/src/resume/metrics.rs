//! The counters and gauges of sessions that outlive their transport.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Registry};

/// Part of [`WsMetrics`](crate::WsMetrics).
#[derive(Debug, Clone)]
pub(crate) struct ResumeMetrics {
    pub(crate) active: IntGauge,
    pub(crate) attached: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) kept: IntGauge,
    pub(crate) lost: IntCounter,
    pub(crate) duplicates: IntCounter,
}

impl ResumeMetrics {
    pub(crate) fn new() -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("the name is a valid metric name");
        let gauge = |name, help| IntGauge::new(name, help).expect("the name is a valid metric name");
        Self {
            active: gauge(
                "ws_resumable_sessions_active",
                "Sessions that are open and outlive their transport",
            ),
            attached: counter(
                "ws_resumed_total",
                "Times a session went on over another transport or connection",
            ),
            expired: counter(
                "ws_resume_expired_total",
                "Sessions that ended because no transport came in time",
            ),
            kept: gauge(
                "ws_messages_unacknowledged",
                "Messages kept until their client acknowledges them",
            ),
            lost: counter(
                "ws_gap_messages_total",
                "Messages whose loss a client was told as a gap",
            ),
            duplicates: counter(
                "ws_messages_duplicate_total",
                "Messages received again and dropped by their number",
            ),
        }
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            active,
            attached,
            expired,
            kept,
            lost,
            duplicates,
        } = self.clone();
        let counters =
            [attached, expired, lost, duplicates].map(|counter| Box::new(counter) as Box<dyn Collector>);
        let gauges = [active, kept].map(|gauge| Box::new(gauge) as Box<dyn Collector>);
        counters
            .into_iter()
            .chain(gauges)
            .try_for_each(|collector| registry.register(collector))
    }
}
