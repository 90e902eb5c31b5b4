//! A chat for browsers: rooms, who is here, who is typing, and the last lines for whoever joins. It works with WebSocket
//! off too. See README.md beside this file.

mod conversation;
mod room;

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use conversation::Rooms;
use std::sync::Arc;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let rooms = Arc::new(Rooms::new(["lobby", "garden", "workshop"]));
    let ws = conversation::callbacks(WsServer::new(config.ws), &rooms);
    let app = App::new(config.http).merge(examples::page(include_str!("page.html")));

    AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(config.longpoll))
        .metrics(config.metrics)
        .start(executor)?
        .run()
}
