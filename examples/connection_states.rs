//! Connection states: a request is kept pending, its client leaves, and the listener hears it at once.
//!
//! `cargo run --example connection_states`, then `curl -v http://127.0.0.1:8080/` and Ctrl+C: the terminal says
//! `1 -- accepted` and `1 -- closed`.

use attached_runtime::{
    App, AttachedRuntime, Cause, Config, Notice, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Requests that wait for an answer nobody gives; letting go of one answers it.
type Pending = Arc<Mutex<Vec<oneshot::Sender<()>>>>;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let pending = Pending::default();
    let kept = pending.clone();
    let app = App::new(config.http)
        .connection_state_listener(say)
        .route_without_timeout("/", get(move || keep(kept.clone())))
        .on_shutdown(move || async move { lock(&pending).clear() });

    AttachedRuntime::start(app, WsServer::new(config.ws), executor)?.run()
}

fn say(notice: &Notice) {
    match &notice.cause {
        Cause::Accepted(_) => eprintln!("{} -- accepted", notice.id),
        Cause::Closed(_) => eprintln!("{} -- closed", notice.id),
        Cause::UpgradedToWebSocket => eprintln!("{} -- upgraded", notice.id),
        _ => {}
    }
}

/// Waits until the application lets go of the request; a client that leaves ends the wait by itself.
async fn keep(pending: Pending) -> (StatusCode, &'static str) {
    let (keeper, answer) = oneshot::channel();
    {
        let mut pending = lock(&pending);
        pending.retain(|keeper| !keeper.is_closed());
        pending.push(keeper);
    }
    // The sender is only ever dropped: at the end, every request still pending is answered.
    let _ = answer.await;
    (StatusCode::SERVICE_UNAVAILABLE, "the server stops")
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<()>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
