//! Small applications to start, ask and end.

use attached_runtime::{
    App, AppConfig, AttachedRuntime, ExecutorConfig, RuntimeExecutor, ShutdownReport, WsConfig, WsServer,
};
use axum::routing::get;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) fn app() -> App {
    App::new(AppConfig {
        port: 0,
        ..AppConfig::default()
    })
    .route("/", get(|| async { "up" }))
}

pub(crate) fn ws() -> WsServer {
    let config = WsConfig {
        port: 0,
        close_timeout: Duration::from_millis(500),
        ..WsConfig::default()
    };
    WsServer::new(config).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    })
}

pub(crate) fn executor() -> RuntimeExecutor {
    executor_with(Duration::from_secs(10))
}

pub(crate) fn executor_with(shutdown_deadline: Duration) -> RuntimeExecutor {
    RuntimeExecutor::new(ExecutorConfig {
        threads: 2,
        shutdown_deadline,
        ..ExecutorConfig::default()
    })
    .expect("threads can be started")
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

pub(crate) fn finalize(runtime: AttachedRuntime) -> ShutdownReport {
    block_on(runtime.finalize_shutdown()).expect("the application ends")
}

pub(crate) fn http_addr(runtime: &AttachedRuntime) -> std::net::SocketAddr {
    runtime.addresses().http.expect("HTTP is served")
}

pub(crate) fn ws_addr(runtime: &AttachedRuntime) -> std::net::SocketAddr {
    runtime.addresses().ws.expect("WebSocket is served")
}

/// Sets a flag when it is dropped.
pub(crate) struct Dropped(pub(crate) Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
