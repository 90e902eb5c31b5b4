//! The bridge's counters and gauges, to be registered by whoever composes the application.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::refusal::Reason;

/// The metrics of one bridge; clones share their values. They move from the first poll on, registered or not.
///
/// | name | kind | counts |
/// |---|---|---|
/// | `ws_lp_sessions_total` | counter | mailboxes made, and sessions of the lossless form opened over HTTP |
/// | `ws_lp_sessions_active` | gauge | those there are |
/// | `ws_lp_polls_total` | counter | polls served, also with nothing; refused ones are not in it |
/// | `ws_lp_polls_waiting` | gauge | polls that wait now |
/// | `ws_lp_streams_active` | gauge | SSE streams that are open |
/// | `ws_lp_messages_enqueued_total` | counter | messages put into a mailbox |
/// | `ws_lp_messages_drained_total` | counter | messages given to a first reader |
/// | `ws_lp_messages_buffered` | gauge | messages that nobody has read yet |
/// | `ws_lp_messages_kept` | gauge | messages in memory, read or not |
/// | `ws_lp_messages_overwritten_total` | counter | messages that went for newer ones before anybody read them |
/// | `ws_lp_messages_expired_total` | counter | messages that nobody had read when their mailbox was removed |
/// | `ws_lp_messages_missed_total` | counter | messages a reader did not get because they had gone, each reader counted |
/// | `ws_lp_refused_total` | counter | requests refused, by `reason` |
///
/// No message is lost without a count: enqueued = drained + overwritten + expired + buffered. These are about
/// mailboxes; the messages of sessions are counted by the server (`ws_messages_…`).
#[derive(Debug, Clone)]
pub struct LongPollMetrics {
    pub(crate) sessions: IntCounter,
    pub(crate) sessions_active: IntGauge,
    pub(crate) polls: IntCounter,
    pub(crate) polls_waiting: IntGauge,
    pub(crate) streams_active: IntGauge,
    pub(crate) enqueued: IntCounter,
    pub(crate) drained: IntCounter,
    pub(crate) buffered: IntGauge,
    pub(crate) kept: IntGauge,
    pub(crate) overwritten: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) missed: IntCounter,
    refused: IntCounterVec,
}

impl LongPollMetrics {
    /// New metrics, all zero.
    pub fn new() -> Self {
        let refused = IntCounterVec::new(
            Opts::new("ws_lp_refused_total", "Requests refused, by reason"),
            &["reason"],
        )
        .expect("the name is a valid metric name");
        for reason in Reason::ALL {
            refused.with_label_values(&[reason.as_str()]);
        }
        Self {
            sessions: counter("ws_lp_sessions_total", "Mailboxes and sessions made"),
            sessions_active: gauge("ws_lp_sessions_active", "Mailboxes and sessions there are"),
            polls: counter("ws_lp_polls_total", "Polls served"),
            polls_waiting: gauge("ws_lp_polls_waiting", "Polls that wait for a message"),
            streams_active: gauge("ws_lp_streams_active", "SSE streams that are open"),
            enqueued: counter("ws_lp_messages_enqueued_total", "Messages put into a mailbox"),
            drained: counter("ws_lp_messages_drained_total", "Messages given to a first reader"),
            buffered: gauge(
                "ws_lp_messages_buffered",
                "Messages in mailboxes that nobody has read",
            ),
            kept: gauge("ws_lp_messages_kept", "Messages in mailboxes, read or not"),
            overwritten: counter(
                "ws_lp_messages_overwritten_total",
                "Messages that went for newer ones before anybody read them",
            ),
            expired: counter(
                "ws_lp_messages_expired_total",
                "Messages removed unread with their mailbox",
            ),
            missed: counter(
                "ws_lp_messages_missed_total",
                "Messages that were gone when a reader came",
            ),
            refused,
        }
    }

    /// Registers every metric. A prefix is the registry's own affair (`Registry::new_custom`).
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            sessions,
            sessions_active,
            polls,
            polls_waiting,
            streams_active,
            enqueued,
            drained,
            buffered,
            kept,
            overwritten,
            expired,
            missed,
            refused,
        } = self.clone();
        let counters = [sessions, polls, enqueued, drained, overwritten, expired, missed];
        let gauges = [sessions_active, polls_waiting, streams_active, buffered, kept];
        let counters = counters
            .into_iter()
            .map(|counter| Box::new(counter) as Box<dyn Collector>);
        let gauges = gauges
            .into_iter()
            .map(|gauge| Box::new(gauge) as Box<dyn Collector>);
        counters
            .chain(gauges)
            .chain([Box::new(refused) as Box<dyn Collector>])
            .try_for_each(|collector| registry.register(collector))
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }
}

/// Something that is counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(IntGauge);

impl Counted {
    /// A session.
    pub(crate) fn session(metrics: &LongPollMetrics) -> Self {
        metrics.sessions.inc();
        metrics.sessions_active.inc();
        Self(metrics.sessions_active.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for LongPollMetrics {
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
    use super::LongPollMetrics;
    use prometheus::Registry;

    #[test]
    fn the_names_dashboards_rely_on_are_there_and_take_a_prefix() {
        let registry = Registry::new_custom(Some("vix".to_owned()), None).unwrap();
        let metrics = LongPollMetrics::new();
        metrics.register(&registry).unwrap();
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        for name in [
            "vix_ws_lp_sessions_total",
            "vix_ws_lp_sessions_active",
            "vix_ws_lp_polls_total",
            "vix_ws_lp_messages_buffered",
            "vix_ws_lp_messages_enqueued_total",
            "vix_ws_lp_messages_drained_total",
        ] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        assert!(
            metrics.register(&registry).is_err(),
            "twice in one registry is an error"
        );
    }
}
