//! How the connections of a server are served.

use crate::{ConnectionInfo, ConnectionLimits, ConnectionMetrics, ConnectionStateListener, TlsIdentity};
use http::Extensions;
use std::sync::Arc;
use std::time::Duration;

/// How connections are served.
///
/// ```
/// use core_executor::{ConnectionLimits, ConnectionMetrics, ServeOptions};
/// use std::time::Duration;
///
/// let limits = ConnectionLimits { head_timeout: Duration::from_secs(5), ..ConnectionLimits::default() };
/// let options = ServeOptions::new("api").limits(limits).metrics(ConnectionMetrics::new("api"));
/// # drop(options);
/// ```
#[derive(Clone)]
#[must_use]
pub struct ServeOptions {
    /// Name of the server in notices and log lines.
    pub(crate) name: &'static str,
    pub(crate) limits: ConnectionLimits,
    pub(crate) state_listener: Option<Arc<dyn ConnectionStateListener>>,
    pub(crate) metrics: ConnectionMetrics,
    pub(crate) in_budget: bool,
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) carrying: Option<Carrying>,
}

/// Fills in what every request of a connection carries.
pub(crate) type Carrying = Arc<dyn Fn(&ConnectionInfo, &mut Extensions) + Send + Sync>;

impl ServeOptions {
    /// Options of a server with this name: the default limits, no listener, no TLS.
    ///
    /// # Panics
    /// When the name is no valid beginning of a metric's name (letters, digits, underscores).
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            limits: ConnectionLimits::default(),
            state_listener: None,
            metrics: ConnectionMetrics::new(name),
            in_budget: true,
            tls: None,
            carrying: None,
        }
    }

    /// What a connection may take of time and space.
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a connection may stay without a request after an answer. 0 = for ever. Default 20 s.
    pub fn keep_alive(mut self, limit: Duration) -> Self {
        self.limits.keep_alive = limit;
        self
    }

    /// Who is told of every connection. Default nobody, at no cost.
    pub fn state_listener(mut self, listener: Option<Arc<dyn ConnectionStateListener>>) -> Self {
        self.state_listener = listener;
        self
    }

    /// Connections take no place of the executor's [`ConnectionBudget`](crate::ConnectionBudget) and are never refused
    /// for want of one: for listeners that must answer when the others are full, such as metrics. Default: they do.
    pub fn outside_budget(mut self) -> Self {
        self.in_budget = false;
        self
    }

    /// The counters to use instead of new ones.
    pub fn metrics(mut self, metrics: ConnectionMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// What the server shows to its clients: with it every connection is TLS, without it none is. Default none.
    pub fn tls(mut self, identity: Option<TlsIdentity>) -> Self {
        self.tls = identity;
        self
    }

    /// What every request carries in its extensions beside [`ConnectionInfo`]. Called once for each connection, when it
    /// is accepted; its requests get clones. Default nothing.
    pub fn carrying(
        mut self,
        fill: impl Fn(&ConnectionInfo, &mut Extensions) + Send + Sync + 'static,
    ) -> Self {
        self.carrying = Some(Arc::new(fill));
        self
    }
}
