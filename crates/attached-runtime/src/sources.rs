//! Where the numbers of an application come from, and what serves them.

use crate::RuntimeError;
use crate::ops::{self, OpsToken};
use crate::phase::PhaseBoard;
use core_executor::{ExecutorMetrics, Spawner};
use http_app::{App, HttpMetrics, MetricsConfig, RouteTimes, metrics_app};
use longpoll_bridge::LongPollBridge;
use prometheus::Registry;
use std::time::Instant;
use ws_server::Hub;

/// The parts that count.
pub(crate) struct Sources {
    pub(crate) http: HttpMetrics,
    /// Counted for the operator's page alone.
    pub(crate) times: Option<RouteTimes>,
    pub(crate) hub: Hub,
    pub(crate) bridge: Option<LongPollBridge>,
    pub(crate) spawner: Spawner,
    pub(crate) executor: ExecutorMetrics,
}

impl Sources {
    /// What serves the numbers of all of them.
    pub(crate) fn exporter(
        &self,
        config: MetricsConfig,
        registry: Option<Registry>,
        phases: &PhaseBoard,
    ) -> Result<App, RuntimeError> {
        let registry = match registry {
            Some(registry) => registry,
            None => config.registry().map_err(RuntimeError::Metrics)?,
        };
        self.register(&registry, phases)
            .map_err(RuntimeError::Registration)?;
        Ok(metrics_app(config, registry))
    }

    /// The same with the operator's page.
    pub(crate) fn operated(
        self,
        metrics: Option<App>,
        token: OpsToken,
        phases: &PhaseBoard,
    ) -> Result<App, RuntimeError> {
        let metrics = metrics.ok_or(RuntimeError::OpsWithoutMetrics)?;
        // One of its own: in the other one names may have a prefix, and be somebody else's.
        let registry = Registry::new();
        let registered = self.register(&registry, phases);
        let times = self
            .times
            .as_ref()
            .map_or(Ok(()), |times| times.register(&registry));
        registered.and(times).map_err(RuntimeError::Registration)?;
        let source = ops::Source {
            started: Instant::now(),
            life: phases.life(),
            registry,
            hub: self.hub,
            bridge: self.bridge,
            spawner: self.spawner,
        };
        Ok(metrics.merge(ops::router(token, source)))
    }

    fn register(&self, registry: &Registry, phases: &PhaseBoard) -> prometheus::Result<()> {
        self.http.register(registry)?;
        self.hub.metrics().register(registry)?;
        if let Some(bridge) = &self.bridge {
            bridge.metrics().register(registry)?;
        }
        self.executor.register(registry)?;
        phases.register(registry)
    }
}
