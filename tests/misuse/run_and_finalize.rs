//! One of the three ways to the end, not two.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    let report = runtime.run();
    let again = runtime.finalize_shutdown();
    drop((report, again));
}
