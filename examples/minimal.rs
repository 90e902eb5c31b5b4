//! The smallest application: one HTTP route, one WebSocket callback, one life.
//!
//! `cargo run --example minimal`, then `curl http://127.0.0.1:8080/` and any WebSocket client on `ws://127.0.0.1:9090`.

use attached_runtime::{
    App, AttachedRuntime, Config, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::routing::get;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    });
    let app = App::new(config.http).route("/", get(|| async { "HTTP and WebSocket are running" }));

    AttachedRuntime::start(app, ws, executor)?.run()
}
