//! A shutdown hook can ask for the end and cannot be it.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    let other = App::new(AppConfig::default()).on_shutdown(move || async move {
        let _ = runtime.finalize_shutdown().await;
    });
    drop(other);
}
