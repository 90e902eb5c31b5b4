//! A task of the executor cannot end the executor.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let spawner = executor.spawner();
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    spawner
        .post(async move {
            let _ = runtime.finalize_shutdown().await;
        })
        .unwrap();
}
