//! Metrics: the numbers of every part on a port of their own, and on a route of the app beside numbers of your own.
//!
//! `curl http://127.0.0.1:9100/metrics`; with `METRICS_PREFIX=vix` the names are those of the original.

use attached_runtime::{
    App, AttachedRuntime, Config, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer, metrics_router,
};
use axum::routing::get;
use prometheus::IntCounter;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let registry = config.metrics.registry().map_err(RuntimeError::Metrics)?;
    let visits =
        IntCounter::new("visits_total", "Requests of the front page").map_err(RuntimeError::Registration)?;
    registry
        .register(Box::new(visits.clone()))
        .map_err(RuntimeError::Registration)?;

    let ws = WsServer::new(config.ws).on_message(|session, text| async move {
        session.send_text(text);
    });
    let front = get(move || {
        visits.inc();
        async { "counted" }
    });
    let app = App::new(config.http)
        .route("/", front)
        .merge(metrics_router(registry.clone()));

    AttachedRuntime::builder(app, ws)
        .metrics_with(config.metrics, registry)
        .start(executor)?
        .run()
}
