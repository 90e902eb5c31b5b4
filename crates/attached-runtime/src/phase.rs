//! Where an application is in its life.

use core_executor::{ShutdownHandle, StopCause};
use prometheus::{IntGauge, Registry};
use std::fmt;
use tokio::sync::watch;

/// Where an application is in its life. It only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Everything is served.
    Serving,
    /// A stop was asked for: hooks run, listeners close, requests in flight and waiting polls are answered.
    Draining,
    /// WebSocket sessions flush what they have queued and are closed.
    Closing,
    /// Nothing of the application runs any more.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Closing => "closing",
            Self::Stopped => "stopped",
        })
    }
}

/// Publishes the phase: to whoever watches, to the log, to a metric.
pub(crate) struct PhaseBoard {
    phase: watch::Sender<Phase>,
    gauge: IntGauge,
}

impl PhaseBoard {
    pub(crate) fn new() -> Self {
        let help = "0 = serving, 1 = draining, 2 = closing, 3 = stopped";
        let gauge = IntGauge::new("runtime_phase", help).expect("the name is a valid metric name");
        Self {
            phase: watch::Sender::new(Phase::Serving),
            gauge,
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.gauge.clone()))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.gauge.set(phase as i64);
        self.phase.send_replace(phase);
        tracing::info!(%phase, "entered a phase");
    }

    pub(crate) fn begin(&self, handle: &ShutdownHandle) -> StopCause {
        self.enter(Phase::Draining);
        handle.cause().unwrap_or(StopCause::Requested)
    }
}
