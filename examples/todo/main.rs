//! A list over REST whose changes reach every open page at once. See README.md beside this file.

mod api;
mod list;

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws);
    let app = App::new(config.http)
        .merge(examples::page(include_str!("page.html")))
        .merge(api::routes(ws.hub()));

    AttachedRuntime::builder(app, ws)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(config.longpoll))
        .metrics(config.metrics)
        .start(executor)?
        .run()
}
