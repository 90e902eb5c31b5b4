//! The object of measurements: WebSocket `/echo` and `/room`, HTTP `/plaintext` and `/slow?ms=N`. Logs nothing per
//! message.

use attached_runtime::{
    App, AttachedRuntime, Config, Encoded, RuntimeError, RuntimeExecutor, Session, ShutdownReport, WsServer,
};
use axum::extract::Query;
use axum::routing::get;
use serde::Deserialize;
use std::time::Duration;

/// The one room of `/room`.
const ROOM: &str = "bench";

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    ms: u64,
}

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws)
        .on_open(|session| async move {
            if is_room(&session)
                && let Err(error) = session.join(ROOM)
            {
                session.close(1008, error.to_string());
            }
        })
        .on_message(|session, text| async move {
            if is_room(&session) {
                publish(&session, Encoded::text(text)).await;
            } else {
                session.send_text(text);
            }
        })
        .on_binary(|session, body| async move {
            if is_room(&session) {
                publish(&session, Encoded::binary(body)).await;
            } else {
                session.send_binary(body);
            }
        });
    let app = App::new(config.http)
        .route("/plaintext", get(|| async { "Hello, World!" }))
        .route_without_timeout("/slow", get(slow));

    AttachedRuntime::start(app, ws, executor)?.run()
}

async fn publish(session: &Session, message: Encoded) {
    let _ = session.hub().publish(ROOM, message).await;
}

fn is_room(session: &Session) -> bool {
    session.path() == "/room"
}

async fn slow(Query(Slow { ms }): Query<Slow>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "slow"
}
