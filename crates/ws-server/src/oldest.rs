//! How long the message waits that has waited longest, over all sessions.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::PullingGauge;
use prometheus::core::Collector;

use crate::stalled::Stalled;

/// A gauge that looks when it is read, so that nobody pays for it who sends.
#[derive(Clone)]
pub(crate) struct OldestMessage {
    gauge: PullingGauge,
    /// Where to look: a hub, and that of the connections that carry sessions which outlive them. Whoever reads the
    /// metrics keeps neither.
    places: Arc<Mutex<Vec<Weak<Stalled>>>>,
}

impl OldestMessage {
    pub(crate) fn new() -> Self {
        let places: Arc<Mutex<Vec<Weak<Stalled>>>> = Arc::default();
        let looked_at = Arc::clone(&places);
        let look = move || {
            let places: Vec<_> = looked_at.lock().iter().filter_map(Weak::upgrade).collect();
            let ages = places.iter().map(|stalled| stalled.oldest_message());
            ages.max().unwrap_or(Duration::ZERO).as_secs_f64()
        };
        let gauge = PullingGauge::new(
            "ws_outbox_oldest_seconds",
            "How long the message waits that has waited longest for a transport that takes nothing",
            Box::new(look),
        );
        Self {
            gauge: gauge.expect("the name is a valid metric name"),
            places,
        }
    }

    /// From here on it looks here too.
    pub(crate) fn look_at(&self, stalled: &Arc<Stalled>) {
        self.places.lock().push(Arc::downgrade(stalled));
    }

    pub(crate) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.gauge.clone())
    }
}

impl fmt::Debug for OldestMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OldestMessage")
    }
}
