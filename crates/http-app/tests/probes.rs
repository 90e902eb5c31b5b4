//! `/healthz` and `/readyz`, and a listener that somebody else has bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use common::{Client, Server, block_on, config};
use http_app::{App, AppConfig, AppError};
use tokio::sync::Notify;

#[test]
fn they_are_there_when_asked_for_only() {
    let server = Server::start(App::new(config()));
    assert_eq!(server.get("/healthz").status(), 404);
    assert_eq!(server.get("/readyz").status(), 404);

    let server = Server::start(App::new(config()).health());
    let mut client = server.client();
    let alive = client.get("/healthz");
    assert_eq!((alive.status(), alive.text()), (200, r#"{"status":"alive"}"#));
    assert_eq!(alive.header("cache-control"), Some("no-store"));
    let ready = client.get("/readyz");
    assert_eq!((ready.status(), ready.text()), (200, r#"{"status":"ready"}"#));
    client.send("HEAD /readyz HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.reply_without_body().status(), 200);
    client.send("POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let refused = client.reply();
    refused.assert_error(405);
    assert_eq!(refused.header("allow"), Some("GET,HEAD"));
    assert_eq!(client.get("/healthz/").status(), 404);
}

#[test]
fn the_applications_own_routes_come_first_and_files_behind() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("readyz"), "a file").unwrap();
    std::fs::write(site.path().join("page"), "a file").unwrap();
    let app = App::new(config())
        .health()
        .static_files("/", site.path())
        .route("/healthz", get(|| async { "my own" }));
    let server = Server::start(app);
    assert_eq!(server.get("/healthz").text(), "my own");
    assert_eq!(server.get("/readyz").text(), r#"{"status":"ready"}"#);
    assert_eq!(server.get("/page").text(), "a file");
    assert_eq!(server.get("/nothing").status(), 404);
}

#[test]
fn no_request_timeout_applies() {
    let app = App::new(AppConfig {
        request_timeout: Duration::from_nanos(1),
        ..config()
    });
    let app = app.route("/", get(std::future::pending::<()>)).health();
    let server = Server::start(app);
    assert_eq!(server.get("/").status(), 503);
    assert_eq!(server.get("/healthz").status(), 200);
    assert_eq!(server.get("/readyz").status(), 200);
}

#[test]
fn not_ready_from_the_wish_on_and_alive_to_the_end() {
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hook = (Arc::clone(&reached), Arc::clone(&go));
    let app = App::new(config()).health().on_shutdown(move || async move {
        hook.0.notify_one();
        hook.1.notified().await;
    });
    let server = Server::start(app);
    let mut client = server.client();
    assert_eq!(client.get("/readyz").status(), 200);
    server.app.stop_async();
    client.get("/readyz").assert_error(503);
    assert_eq!(client.get("/healthz").status(), 200);

    // Hooks run while the port is open.
    let address = server.app.local_addr();
    let closing = std::thread::spawn(move || server.close());
    block_on(reached.notified());
    let mut other = Client::connect(address);
    other.get("/readyz").assert_error(503);
    assert_eq!(other.get("/healthz").status(), 200);
    go.notify_one();
    assert!(closing.join().unwrap().is_clean());
}

#[test]
fn the_executors_wish_and_that_of_another_application_count() {
    let server = Server::start(App::new(config()).health());
    server.executor.shutdown_handle().request_stop();
    server.get("/readyz").assert_error(503);

    let other = App::new(config());
    let stop = other.stop_handle();
    let server = Server::start(App::new(config()).health_with(stop.clone()));
    assert_eq!(server.get("/readyz").status(), 200);
    stop.stop_async();
    server.get("/readyz").assert_error(503);
}

#[test]
fn a_socket_of_the_caller_is_served() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // The configured address is not even looked at.
    let elsewhere = AppConfig {
        host: "no.such.host.invalid".to_owned(),
        ..config()
    };
    // It was connected before the application was there.
    let mut early = Client::connect(address);
    early.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let app = App::new(elsewhere)
        .route("/", get(|| async { "here" }))
        .listener(socket);
    let server = Server::start(app);
    assert_eq!(server.app.local_addr(), address);
    assert_eq!(early.reply().text(), "here");
}

#[test]
fn a_socket_that_does_not_listen_is_an_error() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = datagrams.local_addr().unwrap();
    let disguised = TcpListener::from(OwnedFd::from(datagrams));
    let error = App::new(config()).listener(disguised).bind().unwrap_err();
    let AppError::Bind {
        server: "http",
        source,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(source.to_string().contains(&address.to_string()), "{source}");
}
