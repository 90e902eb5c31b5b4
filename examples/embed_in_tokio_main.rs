//! Inside `#[tokio::main]`: the application runs on a runtime that is there already, beside tasks of yours.

use attached_runtime::{
    App, AttachedRuntime, Config, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::routing::get;

#[tokio::main]
async fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::on_current_with(config.executor)?;

    let ws = WsServer::new(config.ws).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    });
    let app = App::new(config.http).route("/", get(|| async { "on a runtime of somebody else" }));
    let runtime = AttachedRuntime::start(app, ws, executor)?;

    // Anybody may wait for the end without being able to cause it.
    let handle = runtime.handle();
    let waiting = tokio::task::spawn(async move { handle.ended().await });
    let report = runtime.serve().await?;
    if waiting.await.is_ok() {
        eprintln!("{report}");
    }
    Ok(report)
}
