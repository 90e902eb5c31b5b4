//! The object of black-box fault tests: `full` plus hooks that break things on request.
//!
//! HTTP: `/slow?ms=N`, `/broadcast?size=B&n=K`, `/events`, `/stop`. WebSocket envelopes: `ping`, `sleep`, `burst`,
//! `burst.stop`, `throw`, `close`, `stop.request`. One line per event on standard error, unless `LAB_QUIET=1`.

mod events;
mod number;
mod wishes;

use attached_runtime::{
    App, AttachedRuntime, Config, ConnectionInfo, LongPollBridge, RuntimeError, RuntimeExecutor,
    ShutdownHandle, ShutdownReport,
};
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Json};
use events::Events;
use number::number;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use ws_server::Hub;

/// What the HTTP handlers share.
#[derive(Clone)]
struct Lab {
    hub: Hub,
    events: Events,
    stop: ShutdownHandle,
}

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;
    let (events, stop) = (Events::from_env(), executor.shutdown_handle());

    let ws = wishes::server(config.ws, events.clone(), stop.clone());
    let lab = Lab {
        hub: ws.hub(),
        events: events.clone(),
        stop,
    };
    let bridge = LongPollBridge::new(config.longpoll).open_mailboxes(true);

    let registry = config.metrics.registry().map_err(RuntimeError::Metrics)?;
    registry
        .register(Box::new(log.lost()))
        .map_err(RuntimeError::Registration)?;

    AttachedRuntime::builder(routes(App::with_state(config.http, lab), events), ws)
        .long_polling(bridge)
        .metrics_with(config.metrics, registry)
        .ops(config.ops)
        .start(executor)?
        .run()
}

fn routes(app: App<Lab>, events: Events) -> App<Lab> {
    app.connection_state_listener(move |notice: &attached_runtime::Notice| events.heard(notice))
        .route("/", get(|| async { "Attached HTTP + WebSocket runtime" }))
        .route(
            "/status",
            get(|| async { Json(json!({ "status": "ok", "http": true, "websocket": true })) }),
        )
        .route(
            "/events",
            get(|State(lab): State<Lab>| async move { lab.events.to_json() }),
        )
        .route("/stop", get(stop).merge(post(stop)))
        .route_without_timeout("/slow", get(slow))
        .route_without_timeout("/broadcast", get(broadcast).merge(post(broadcast)))
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default, deserialize_with = "number")]
    ms: u64,
}

async fn slow(
    State(lab): State<Lab>,
    Extension(connection): Extension<ConnectionInfo>,
    Query(Slow { ms }): Query<Slow>,
) -> &'static str {
    let waiting = lab.events.slow_request(connection.id);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    waiting.completed();
    "slow"
}

#[derive(Deserialize)]
struct Broadcast {
    #[serde(default, deserialize_with = "number")]
    size: u64,
    #[serde(default, deserialize_with = "number")]
    n: u64,
}

async fn broadcast(State(lab): State<Lab>, Query(Broadcast { size, n }): Query<Broadcast>) -> Json<Value> {
    let text = wishes::filler(size);
    for _ in 0..n {
        if let Err(error) = lab.hub.broadcast_text(&text).await {
            return Json(json!({ "error": error.to_string() }));
        }
    }
    Json(json!({ "sent": n }))
}

async fn stop(State(lab): State<Lab>) -> &'static str {
    lab.stop.request_stop();
    "stopping"
}
