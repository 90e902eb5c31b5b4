//! Long polling: a page that cannot open a WebSocket reads and writes the same room over plain HTTP.
//!
//! `curl 'http://127.0.0.1:8080/ws/poll?session_id=room:general'` waits until somebody says something, for example
//! `curl -d '{"type":"chat.message","room":"general","payload":{"text":"hi"}}' http://127.0.0.1:8080/ws/send`
//! or a WebSocket client on `ws://127.0.0.1:9090`, whose texts go to the same room.

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws)
        .on_open(|session| async move {
            if let Err(error) = session.join("general") {
                session.close(1008, error.to_string());
            }
        })
        .on_message(|session, text| async move {
            if let Err(error) = session.hub().broadcast_text_to_room("general", &text).await {
                tracing::warn!(%error, "not broadcast");
            }
        });
    let bridge = LongPollBridge::new(config.longpoll).open_mailboxes(true);

    AttachedRuntime::builder(App::new(config.http), ws)
        .long_polling(bridge)
        .start(executor)?
        .run()
}
