//! `App::run`, alone in its process because of the signals it is ended by.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;

use axum::routing::get;
use common::{Client, PATIENCE, block_on, config, eventually};
use core_executor::RuntimeExecutor;
use http_app::{App, AppConfig, AppError};

#[test]
fn run_is_refused_in_async_code() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let error = block_on(async move { App::new(config()).run(executor).unwrap_err() });
    assert!(matches!(error, AppError::InsideAsync), "{error}");
    assert!(error.to_string().contains("listen(), wait() and close()"));
}

#[test]
fn run_ends_in_order_on_sigterm() {
    // The kernel may give a free port away again, but not within a moment.
    let port = App::new(config()).bind().unwrap().local_addr().port();
    let (says, said) = mpsc::channel();
    let app = App::new(AppConfig { port, ..config() })
        .route("/", get(|| async { "answered" }))
        .on_shutdown(async move || says.send("hook").unwrap());
    let running = std::thread::spawn(move || app.run(RuntimeExecutor::with_threads(1).unwrap()));
    eventually("listening", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    // Answered means that the signals are listened for.
    assert_eq!(client.get("/").text(), "answered");
    let me = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &me])
            .status()
            .unwrap()
            .success()
    );
    let report = running.join().unwrap().unwrap();
    assert!(report.is_clean());
    assert_eq!(report.hooks.len(), 1);
    assert_eq!(said.recv_timeout(PATIENCE), Ok("hook"));
    assert_eq!(client.rest(), "");
}
