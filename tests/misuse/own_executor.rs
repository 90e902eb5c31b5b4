//! A server has no executor of its own: both run on the one that starts them.

use attached_runtime::{App, AppConfig, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let ws = ws.executor(RuntimeExecutor::with_threads(1).unwrap());
    let app = app.executor(RuntimeExecutor::with_threads(1).unwrap());
    drop((app, ws, executor));
}
