//! A live dashboard of the server that serves it: its own metrics as charts, pushed over whatever transport gets through,
//! with a small load built in so that there is something to see. See README.md beside this file.

mod board;
mod load;
mod metrics;
mod sample;

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::response::Html;
use axum::routing::get;
use board::Board;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;
    let (spawner, stop) = (executor.spawner(), executor.shutdown_handle());

    let registry = config.metrics.registry().map_err(RuntimeError::Metrics)?;
    let ws = WsServer::new(config.ws);
    let board = Arc::new(Board::new(
        registry.clone(),
        config.metrics.prefix.clone(),
        ws.hub(),
    ));
    let ws = board::callbacks(ws, &board, stop);
    let app =
        load::routes(App::new(config.http)).route("/", get(|| async { Html(include_str!("page.html")) }));

    let runtime = AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(config.longpoll))
        .metrics_with(config.metrics, registry)
        .ops(config.ops)
        .start(executor)?;
    spawner.spawn_service(board::push(board, Duration::from_millis(500)))?;
    if let Some(address) = runtime.addresses().http {
        load::begin(address, &spawner)?;
    }
    runtime.run()
}
