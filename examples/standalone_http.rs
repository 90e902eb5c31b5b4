//! The HTTP part alone: routes, a group, middleware, a hook, and its own life.

use attached_runtime::Addresses;
use axum::Json;
use axum::extract::Path;
use axum::routing::get;
use core_executor::{Env, ExecutorConfig, RuntimeExecutor, listen_for_signals};
use http_app::{App, AppConfig};
use serde_json::{Value, json};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::load()?;
    let executor = RuntimeExecutor::new(ExecutorConfig::from_env(&env)?)?;
    let app = App::new(AppConfig::from_env(&env)?)
        .route("/", get(|| async { "HTTP is running" }))
        .group("/api", |api| api.route("/users/{name}", get(user)))
        .on_shutdown(|| async { eprintln!("bye") });

    let running = app.listen(&executor.spawner())?;
    listen_for_signals(&executor.spawner())?;
    Addresses::new(Some(running.local_addr()), None, None).announce();

    running.wait().await;
    running.close().await;
    let deadline = executor.config().shutdown_deadline;
    executor.stop_and_wait(deadline).await;
    Ok(())
}

async fn user(Path(name): Path<String>) -> Json<Value> {
    Json(json!({ "name": name }))
}
