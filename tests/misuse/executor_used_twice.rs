//! One executor carries one application.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    let other = WsServer::new(WsConfig::default());
    let second = AttachedRuntime::start(App::new(AppConfig::default()), other, executor).unwrap();
    drop((runtime, second));
}
