//! Everything together: HTTP routes, WebSocket with rooms and typed messages, long polling and metrics.
//!
//! `cargo run --example full`, then for example
//! `curl http://127.0.0.1:8080/status`, `curl 'http://127.0.0.1:8080/ws/poll?session_id=room:general'`,
//! `curl http://127.0.0.1:9100/metrics` and any WebSocket client on `ws://127.0.0.1:9090`.

use attached_runtime::{
    App, AttachedRuntime, Config, InheritedSockets, LongPollBridge, OpenApi, RuntimeError, RuntimeExecutor,
    ShutdownReport, WsServer,
};
use axum::Json;
use axum::http::Method;
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws)
        .on_open(|session| async move {
            session.send_text("welcome");
        })
        .on_message(|session, text| async move {
            session.send_text(format!("echo: {text}"));
        })
        .on_typed_message(|session, message| async move {
            match message.type_.as_str() {
                "room.join" => match session.join("general") {
                    Ok(()) => {
                        session.send_text("joined general");
                    }
                    Err(error) => {
                        session.send_text(format!("not joined: {error}"));
                    }
                },
                "chat.message" => {
                    if let Err(error) = session
                        .hub()
                        .broadcast_text_to_room("general", "new chat message")
                        .await
                    {
                        tracing::warn!(%error, "not broadcast");
                    }
                }
                _ => {}
            }
        });

    let app = App::new(config.http)
        .route("/", get(|| async { "Attached HTTP + WebSocket runtime" }))
        .route("/status", get(status))
        .openapi(OpenApi::new("Attached HTTP + WebSocket runtime", "1.0.0"))
        .describe(Method::GET, "/status", described_status());

    // The pages of the original name their own mailboxes; a new application leaves this switch off.
    let bridge = LongPollBridge::new(config.longpoll).open_mailboxes(true);

    AttachedRuntime::builder(app, ws)
        .long_polling(bridge)
        .metrics(config.metrics)
        .ops(config.ops)
        .inherited(InheritedSockets::take()?)
        .start(executor)?
        .run()
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    http: bool,
    websocket: bool,
}

fn described_status() -> Value {
    let part = json!({ "type": "boolean" });
    json!({
        "summary": "Which parts run",
        "responses": { "200": { "description": "All of them", "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["status", "http", "websocket"],
            "properties": { "status": { "const": "ok" }, "http": part, "websocket": part }
        } } } } }
    })
}

async fn status() -> Json<Status> {
    Json(Status {
        status: "ok",
        http: true,
        websocket: true,
    })
}
