//! Where an application is in its life.

use crate::progress::Left;
use core_executor::{ShutdownHandle, StopCause, Supervisor};
use prometheus::{IntGauge, Registry};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
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

/// What there is to know of an application's life, for those who look at it.
pub(crate) struct Life {
    phase: watch::Receiver<Phase>,
    beginning: Arc<OnceLock<Beginning>>,
}

/// How the end began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning {
    pub(crate) at: Instant,
    /// What it may take.
    pub(crate) limit: Duration,
    /// What was open then.
    pub(crate) open: Left,
}

impl Life {
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// How the end began; nothing before.
    pub(crate) fn beginning(&self) -> Option<Beginning> {
        self.beginning.get().copied()
    }
}

/// A supervisor is asked to wait for so long past the deadline: for threads to end, and the process.
const MARGIN: Duration = Duration::from_secs(1);

/// Publishes the phase: to whoever watches, to the log, to a metric, to the supervisor.
pub(crate) struct PhaseBoard {
    phase: watch::Sender<Phase>,
    beginning: Arc<OnceLock<Beginning>>,
    gauge: IntGauge,
    supervisor: Supervisor,
}

impl PhaseBoard {
    pub(crate) fn new() -> Self {
        let help = "0 = serving, 1 = draining, 2 = closing, 3 = stopped";
        let gauge = IntGauge::new("runtime_phase", help).expect("the name is a valid metric name");
        Self {
            phase: watch::Sender::new(Phase::Serving),
            beginning: Arc::default(),
            gauge,
            supervisor: Supervisor::default(),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn life(&self) -> Life {
        Life {
            phase: self.watch(),
            beginning: Arc::clone(&self.beginning),
        }
    }

    pub(crate) fn supervisor(&self) -> Supervisor {
        self.supervisor.clone()
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.gauge.clone()))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.gauge.set(phase as i64);
        self.phase.send_replace(phase);
        self.supervisor.status(&phase.to_string());
        tracing::info!(%phase, "entered a phase");
    }

    /// The end begins with so much that is open, and takes at most this long.
    pub(crate) fn begin(&self, handle: &ShutdownHandle, limit: Duration, open: Left) -> StopCause {
        self.beginning.get_or_init(|| Beginning {
            at: Instant::now(),
            limit,
            open,
        });
        self.supervisor.stopping(limit + MARGIN);
        self.enter(Phase::Draining);
        handle.cause().unwrap_or(StopCause::Requested)
    }
}
