//! HTTP, WebSocket and long polling on one port, as behind a proxy or where only one port is open.
//!
//! `cargo run --example one_port`, then a WebSocket client on `ws://127.0.0.1:8080/ws` and
//! `curl 'http://127.0.0.1:8080/ws/poll?session_id=room:general'`.

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::routing::get;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws)
        .on_open(|session| async move {
            if let Err(error) = session.join("general") {
                session.send_text(format!("not joined: {error}"));
            }
        })
        .on_message(|session, text| async move {
            if let Err(error) = session.hub().broadcast_text_to_room("general", text).await {
                tracing::warn!(%error, "not broadcast");
            }
        });
    let app = App::new(config.http).route("/", get(|| async { "HTTP and WebSocket on one port" }));
    let bridge = LongPollBridge::new(config.longpoll).open_mailboxes(true);

    AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(bridge)
        .metrics(config.metrics)
        .start(executor)?
        .run()
}
