//! A callback can ask for the end and cannot be it.

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};

fn main() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let ws = WsServer::new(WsConfig::default());
    let app = App::new(AppConfig::default());
    let runtime = AttachedRuntime::start(app, ws, executor).unwrap();
    let owned = std::sync::Mutex::new(Some(runtime));
    let other = WsServer::new(WsConfig::default()).on_message(move |_session, _text| {
        let runtime = owned.lock().unwrap().take();
        async move {
            if let Some(runtime) = runtime {
                let _ = runtime.finalize_shutdown().await;
            }
        }
    });
    drop(other);
}
