//! A whiteboard for many pens: what moves sixty times a second may be skipped for a slow reader, what stays may not. It
//! works with WebSocket off too. See README.md beside this file.

mod board;
mod pens;

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use pens::Boards;
use std::sync::Arc;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let boards = Arc::new(Boards::new(["sketch", "plan", "doodle"]));
    let ws = pens::callbacks(WsServer::new(config.ws), &boards);
    let app = App::new(config.http).merge(examples::page(include_str!("page.html")));

    AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(config.longpoll))
        .metrics(config.metrics)
        .start(executor)?
        .run()
}
