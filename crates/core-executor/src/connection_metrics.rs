//! What a server's accept loop and connections count.

use crate::RefusedFor;
use crate::metrics::{counter, gauge};
use crate::tls::TlsMetrics;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of one server's connections, live: cloning shares them.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    accepted: IntCounter,
    /// By reason.
    refused: IntCounterVec,
    active: IntGauge,
    accept_errors: IntCounter,
    listener_panics: IntCounter,
    tls: TlsMetrics,
}

impl ConnectionMetrics {
    /// Counters whose names begin with `name`, for example `http_connections_accepted_total`.
    ///
    /// # Panics
    /// When `name` is no valid beginning of a metric's name (letters, digits, underscores).
    pub fn new(name: &'static str) -> Self {
        let full = |rest: &str| format!("{name}_{rest}");
        Self {
            accepted: counter(&full("connections_accepted_total"), "Connections accepted"),
            refused: refused(&full("connections_refused_total")),
            active: gauge(
                &full("connections_open"),
                "Connections open, upgraded ones not counted",
            ),
            accept_errors: counter(
                &full("accept_errors_total"),
                "Times accepting failed and was paused",
            ),
            listener_panics: counter(
                &full("state_listener_panics_total"),
                "Times the connection-state listener panicked",
            ),
            tls: TlsMetrics::new(name),
        }
    }

    /// Adds all of them to a registry.
    ///
    /// # Errors
    /// When a metric of the same name is in the registry already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            accepted,
            refused,
            active,
            accept_errors,
            listener_panics,
            tls,
        } = self.clone();
        registry.register(Box::new(accepted))?;
        registry.register(Box::new(refused))?;
        registry.register(Box::new(active))?;
        registry.register(Box::new(accept_errors))?;
        registry.register(Box::new(listener_panics))?;
        tls.register(registry)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Connections refused, ended or held up so far for this reason. Those refused for [`RefusedFor::Total`] or
    /// [`RefusedFor::Address`], with 503 or a reset, are not among the accepted ones.
    pub fn refused(&self, reason: impl Into<RefusedFor>) -> u64 {
        self.refused.with_label_values(&[reason.into().label()]).get()
    }

    pub(crate) fn count_refused(&self, reason: impl Into<RefusedFor>) {
        self.refused.with_label_values(&[reason.into().label()]).inc();
    }

    /// Connections open now; an upgraded one has left.
    pub fn open(&self) -> u64 {
        self.active.get().max(0).unsigned_abs()
    }

    /// Times accepting failed (no descriptors, no memory) and was paused.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.get()
    }

    /// Times the connection-state listener panicked.
    pub fn listener_panics(&self) -> u64 {
        self.listener_panics.get()
    }

    /// TLS handshakes that succeeded.
    pub fn tls_handshakes(&self) -> u64 {
        self.tls.handshakes()
    }

    /// TLS handshakes that failed or took too long.
    pub fn tls_handshake_failures(&self) -> u64 {
        self.tls.failed_handshakes()
    }

    /// Times certificate and key were read again and could not be used.
    pub fn tls_reload_errors(&self) -> u64 {
        self.tls.reload_errors()
    }

    pub(crate) fn tls(&self) -> &TlsMetrics {
        &self.tls
    }

    pub(crate) fn count_accept_error(&self) {
        self.accept_errors.inc();
    }

    pub(crate) fn count_listener_panic(&self) {
        self.listener_panics.inc();
    }

    pub(crate) fn open_one(&self) -> OpenLease {
        self.accepted.inc();
        self.active.inc();
        OpenLease {
            active: self.active.clone(),
        }
    }
}

/// All reasons stand there from the beginning, so that a dashboard sees the first one.
fn refused(name: &str) -> IntCounterVec {
    let options = Opts::new(name, "Connections refused, ended or held up by a limit, and why");
    let counters = IntCounterVec::new(options, &["reason"]).expect("the name is a valid metric name");
    for reason in RefusedFor::ALL {
        counters.with_label_values(&[reason.label()]);
    }
    counters
}

/// One connection's place in the gauge.
pub(crate) struct OpenLease {
    active: IntGauge,
}

impl Drop for OpenLease {
    fn drop(&mut self) {
        self.active.dec();
    }
}
