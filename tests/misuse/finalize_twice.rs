//! The end happens once: it takes the runtime.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    let first = runtime.finalize_shutdown();
    let second = runtime.finalize_shutdown();
    drop((first, second));
}
