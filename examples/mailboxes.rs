//! Long polling with the setting `LONGPOLL_OPEN_MAILBOXES` left to the environment: off unless somebody turns it on.
//!
//! `curl -i 'http://127.0.0.1:8080/ws/poll?session_id=lp-mine'` answers 403 with a hint, and 200 when the program was
//! started with `LONGPOLL_OPEN_MAILBOXES=true`.

use attached_runtime::{
    App, AttachedRuntime, Config, LongPollBridge, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;
    let bridge = LongPollBridge::new(config.longpoll);
    AttachedRuntime::builder(App::new(config.http), WsServer::new(config.ws))
        .long_polling(bridge)
        .start(executor)?
        .run()
}
