//! What the TLS of one server counts.

use crate::metrics::{counter, gauge};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Why a handshake did not succeed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// The peer and we could not agree, or it broke the rules, or it left.
    Failed = 0,
    /// It took too long.
    Timeout = 1,
    /// The peer did not speak TLS.
    NotTls = 2,
}

const FAILURES: [&str; 3] = ["failed", "timeout", "not_tls"];

/// Counters of one server's TLS, live: cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct TlsMetrics {
    handshakes: IntCounter,
    failures: IntCounterVec,
    by_failure: [IntCounter; 3],
    reloads: IntCounter,
    reload_errors: IntCounter,
    expires: IntGauge,
}

impl TlsMetrics {
    pub(crate) fn new(name: &'static str) -> Self {
        let full = |rest: &str| format!("{name}_tls_{rest}");
        let failures = IntCounterVec::new(
            Opts::new(
                full("handshake_failures_total"),
                "TLS handshakes that did not succeed",
            ),
            &["reason"],
        )
        .expect("the name is a valid metric name");
        Self {
            handshakes: counter(&full("handshakes_total"), "TLS handshakes that succeeded"),
            by_failure: FAILURES.map(|reason| failures.with_label_values(&[reason])),
            failures,
            reloads: counter(
                &full("reloads_total"),
                "Times certificate and key were read again and taken",
            ),
            reload_errors: counter(
                &full("reload_errors_total"),
                "Times certificate and key were read again and could not be used",
            ),
            expires: gauge(
                &full("certificate_expires_timestamp_seconds"),
                "When the certificate expires, 0 without TLS",
            ),
        }
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            handshakes,
            failures,
            by_failure: _,
            reloads,
            reload_errors,
            expires,
        } = self.clone();
        registry.register(Box::new(handshakes))?;
        registry.register(Box::new(failures))?;
        registry.register(Box::new(reloads))?;
        registry.register(Box::new(reload_errors))?;
        registry.register(Box::new(expires))
    }

    pub(crate) fn handshakes(&self) -> u64 {
        self.handshakes.get()
    }

    pub(crate) fn failed_handshakes(&self) -> u64 {
        self.by_failure.iter().map(IntCounter::get).sum()
    }

    pub(crate) fn reload_errors(&self) -> u64 {
        self.reload_errors.get()
    }

    pub(super) fn count_handshake(&self) {
        self.handshakes.inc();
    }

    pub(super) fn count_failure(&self, failure: Failure) {
        self.by_failure[failure as usize].inc();
    }

    pub(super) fn count_reload(&self) {
        self.reloads.inc();
    }

    pub(super) fn count_reload_error(&self) {
        self.reload_errors.inc();
    }

    pub(super) fn set_expiry(&self, unix_seconds: u64) {
        self.expires.set(i64::try_from(unix_seconds).unwrap_or(i64::MAX));
    }
}
