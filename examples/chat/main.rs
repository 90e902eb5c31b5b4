//! A chat for browsers: rooms, who is here, who is typing, and the last lines for whoever joins. It works with WebSocket
//! off too. See README.md beside this file.

mod conversation;
mod room;
mod rooms;

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::response::Html;
use axum::routing::get;
use rooms::Rooms;
use std::sync::Arc;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let rooms = Arc::new(Rooms::new());
    let ws = conversation::callbacks(WsServer::new(config.ws), &rooms);
    let app = App::new(config.http).route("/", get(|| async { Html(include_str!("page.html")) }));

    AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(config.longpoll))
        .metrics(config.metrics)
        .start(executor)?
        .run()
}
