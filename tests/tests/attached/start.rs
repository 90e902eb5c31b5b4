//! The start: both servers, one executor, or nothing.

use crate::support::{app, executor, finalize, http_addr, ws, ws_addr};
use attached_runtime::{
    App, AppConfig, AttachedRuntime, Config, OpsConfig, OpsToken, Phase, RuntimeError, RuntimeExecutor,
    WsConfig, WsServer,
};
use axum::routing::get;
use std::net::TcpListener;
use std::time::Duration;
use workspace_tests::http;
use workspace_tests::ws::Client;

#[test]
fn both_servers_run_from_the_start_on_one_executor() {
    let runtime = AttachedRuntime::start(app(), ws(), executor()).expect("it starts");
    assert_ne!(http_addr(&runtime).port(), 0);
    assert_ne!(ws_addr(&runtime).port(), 0);
    assert_eq!(runtime.phase(), Phase::Serving);
    // Neither `run` nor `serve` was called: the start alone serves.
    let mut client = Client::connect(ws_addr(&runtime), "/any/path");
    client.send("hello");
    assert_eq!(client.text(), "echo: hello");
    assert_eq!(http::get(http_addr(&runtime), "/").text(), "up");
    let closing = std::thread::spawn(move || client.closed());
    let report = finalize(runtime);
    assert_eq!(closing.join().expect("closed").0, 1001);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.code(), report.websocket.sessions), (0, 1));
}

#[test]
fn a_start_after_a_stop_was_asked_for_is_an_error() {
    let executor = executor();
    executor.shutdown_handle().request_stop();
    let error = AttachedRuntime::start(app(), ws(), executor).expect_err("it must not start");
    assert!(matches!(error, RuntimeError::StopRequested), "{error:?}");
}

#[test]
fn an_operators_page_that_nobody_would_serve_is_an_error() {
    let token = OpsToken::new("correct-horse-battery-staple").expect("long enough");
    let error = AttachedRuntime::builder(app(), ws())
        .ops(OpsConfig::new(token))
        .start(executor())
        .expect_err("it must not start");
    assert!(matches!(error, RuntimeError::OpsWithoutMetrics), "{error:?}");
    let started = AttachedRuntime::builder(app(), ws())
        .ops(OpsConfig::default())
        .start(executor());
    assert!(finalize(started.expect("without a token there is nothing to serve")).is_clean());
}

#[test]
fn a_taken_port_is_an_error_that_names_it_and_releases_the_other() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let free = {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        probe.local_addr().expect("bound").port()
    };

    let app_on = |port| {
        App::new(AppConfig {
            port,
            ..AppConfig::default()
        })
    };
    let ws_on = |port| {
        WsServer::new(WsConfig {
            port,
            ..WsConfig::default()
        })
    };
    let error = AttachedRuntime::start(app_on(port), ws_on(free), executor()).expect_err("taken");
    let text = format!("{error:?}");
    assert!(
        text.contains("HTTP") && text.contains(&format!("127.0.0.1:{port}")),
        "{text}"
    );
    assert!(!text.contains('\n'), "{text}");
    TcpListener::bind(("127.0.0.1", free)).expect("the other port is released");

    let error = AttachedRuntime::start(app_on(free), ws_on(port), executor()).expect_err("taken");
    let text = format!("{error:?}");
    assert!(
        text.contains("WebSocket") && text.contains(&format!("127.0.0.1:{port}")),
        "{text}"
    );
    TcpListener::bind(("127.0.0.1", free)).expect("the other port is released");
}

#[tokio::test]
async fn on_a_runtime_that_is_not_ours_it_lives_the_same_life() {
    let executor = RuntimeExecutor::on_current().expect("a runtime runs here");
    let runtime = AttachedRuntime::builder(app(), ws())
        .signals(false)
        .announce(false)
        .start(executor);
    let runtime = runtime.expect("it starts");
    let (http, ws, handle) = (http_addr(&runtime), ws_addr(&runtime), runtime.handle());
    let client = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(ws, "/");
        client.send("hello");
        let answers = (client.text(), http::get(http, "/").text().to_owned());
        handle.request_stop();
        (answers, client.closed().0)
    });
    let report = runtime.serve().await.expect("it ends");
    let expected = (("echo: hello".to_owned(), "up".to_owned()), 1001);
    assert_eq!(client.await.expect("no panic"), expected);
    assert!(report.is_clean(), "{report}");
    // The runtime is not ours, so it goes on.
    assert_eq!(tokio::task::spawn(async { 1 }).await.expect("it runs"), 1);
}

#[test]
fn panics_end_one_request_and_one_session_only() {
    let app = app().route("/panic", get(|| async { panic!("on purpose") as &'static str }));
    let server = ws().on_message(|session, text| async move {
        assert_ne!(text.as_str(), "panic", "on purpose");
        session.send_text(text);
    });
    let runtime = AttachedRuntime::start(app, server, executor()).expect("it starts");
    let (mut victim, mut other) = (
        Client::connect(ws_addr(&runtime), "/"),
        Client::connect(ws_addr(&runtime), "/"),
    );
    assert_eq!(http::get(http_addr(&runtime), "/panic").status, 500);
    victim.send("panic");
    assert_eq!(victim.closed().0, 1011);
    other.send("still here");
    assert_eq!(other.text(), "still here");
    assert_eq!(http::get(http_addr(&runtime), "/").text(), "up");
    drop(other);
    assert!(finalize(runtime).is_clean());
}

#[test]
fn the_defaults_are_the_documented_ports() {
    let config = Config::default();
    assert_eq!(
        (config.http.port, config.ws.port, config.metrics.port),
        (8080, 9090, 9100)
    );
    assert_eq!(config.executor.shutdown_deadline, Duration::from_secs(30));
}
