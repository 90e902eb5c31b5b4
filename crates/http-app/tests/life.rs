//! Described, bound, running, ended: addresses, asking, draining, and the connections' last words.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use common::{Client, PATIENCE, Server, block_on, config, eventually, metric};
use core_executor::{Cause, CloseReason, ConnectionLimits, Notice, RuntimeExecutor, Spawner};
use http::{StatusCode, header};
use http_app::{App, AppConfig, AppError};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

#[test]
fn port_zero_reports_the_real_port_before_anything_is_served() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let bound = App::new(config())
        .route("/", get(|| async { "served" }))
        .bind()
        .unwrap();
    let address = bound.local_addr();
    assert_ne!(address.port(), 0);
    let mut early = Client::connect(address);
    early.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let running = bound.listen(&executor.spawner()).unwrap();
    assert_eq!(running.local_addr(), address);
    assert_eq!(
        early.reply().text(),
        "served",
        "who came between bind and listen is served"
    );
}

#[test]
fn a_busy_port_is_an_error_that_names_server_and_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = App::new(AppConfig { port, ..config() })
        .named("shop")
        .bind()
        .unwrap_err();
    assert!(matches!(error, AppError::Bind { server: "shop", .. }));
    assert_eq!(error.to_string(), "cannot bind the shop server");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(&format!("127.0.0.1:{port}")), "{source}");
}

#[test]
fn the_host_is_the_one_bound() {
    for (host, address) in [("127.0.0.2", "127.0.0.2"), ("localhost", "127.0.0.1")] {
        let bound = App::new(AppConfig {
            host: host.to_owned(),
            ..config()
        })
        .bind()
        .unwrap();
        assert_eq!(bound.local_addr().ip().to_string(), address);
    }
}

#[test]
fn a_dropped_bound_application_gives_its_port_back() {
    let bound = App::new(config()).bind().unwrap();
    let port = bound.local_addr().port();
    drop(bound);
    let again = App::new(AppConfig { port, ..config() }).bind().unwrap();
    assert_eq!(again.local_addr().port(), port);
}

#[test]
fn a_start_after_a_stop_is_an_error() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let spawner = executor.spawner();
    block_on(executor.stop_and_wait(Duration::ZERO));
    let error = App::new(config()).listen(&spawner).unwrap_err();
    assert!(matches!(error, AppError::Start { server: "http", .. }), "{error}");
}

#[test]
fn asking_never_blocks_takes_effect_once_and_leaves_the_application_answering() {
    let server = Server::start(App::new(config()).route("/", get(|| async { "still here" })));
    let handle = server.app.stop_handle();
    assert!(!handle.is_requested());
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let handle = handle.clone();
            std::thread::spawn(move || handle.stop_async())
        })
        .collect();
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    server.app.stop_async();
    assert!(handle.is_requested());
    block_on(server.app.wait());
    assert_eq!(server.get("/").text(), "still here");
    assert!(server.close().is_clean());
}

#[test]
fn a_handler_may_ask_for_the_end() {
    let app = App::new(config());
    let stop = app.stop_handle();
    let server = Server::start(app.route("/stop", get(async move || stop.stop_async())));
    assert_eq!(server.get("/stop").status(), 200);
    block_on(server.app.wait());
}

#[test]
fn the_executors_wish_is_heard_too() {
    let server = Server::start(App::new(config()));
    server.executor.shutdown_handle().request_stop();
    block_on(server.app.wait());
}

/// A handler that answers once the gate has a permit, before it asks for one or after.
fn gated() -> (Arc<Semaphore>, MethodRouter) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let wait = async move || {
        held.acquire().await.unwrap().forget();
        "answered"
    };
    (gate, get(wait))
}

#[test]
fn close_answers_requests_in_flight_and_refuses_new_ones() {
    let (gate, wait) = gated();
    let server = Server::start(App::new(config()).route_without_timeout("/wait", wait));
    let (address, metrics) = (server.app.local_addr(), server.app.metrics());
    let mut clients: Vec<_> = (0..5).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    let mut idle = server.client();
    eventually("five in flight", || metrics.in_flight() == 5);
    let closing = std::thread::spawn(move || server.close());
    assert_eq!(idle.rest(), "", "an idle connection is let go");
    eventually("the port is closed", || {
        std::net::TcpStream::connect(address).is_err()
    });
    gate.add_permits(100);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "answered");
        assert_eq!(client.rest(), "");
    }
    let report = closing.join().unwrap();
    assert_eq!((report.answered, report.cut), (5, 0));
    assert!(report.is_clean());
}

#[test]
fn an_answer_in_flight_is_given_with_more_requests_waiting_behind_it() {
    let (gate, wait) = gated();
    let server = Server::start(App::new(config()).route_without_timeout("/wait", wait));
    let metrics = server.app.metrics();
    let mut client = server.client();
    client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\nGET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("in flight", || metrics.in_flight() == 1);
    server.app.begin_drain();
    gate.add_permits(100);
    assert_eq!(client.reply().text(), "answered");
    // The one behind it may have been begun before the connection heard of the drain; it is not answered by half.
    let behind = client.rest();
    assert!(
        behind.is_empty() || behind.ends_with("\r\n\r\nanswered"),
        "{behind}"
    );
    assert_eq!(server.close().answered, if behind.is_empty() { 1 } else { 2 });
}

#[test]
fn close_cuts_what_never_ends_and_counts_it() {
    let short = Duration::from_millis(100);
    let app = App::new(AppConfig {
        drain_deadline: short,
        ..config()
    })
    .route_without_timeout("/never", get(std::future::pending::<()>));
    let server = Server::start(app);
    let metrics = server.app.metrics();
    let mut client = server.client();
    client.send("GET /never HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut half = server.client();
    half.send("GET /half HTT");
    eventually("in flight", || metrics.in_flight() == 1);
    let started = Instant::now();
    let report = server.close();
    assert!((short..Duration::from_secs(2)).contains(&started.elapsed()));
    assert_eq!((report.answered, report.cut), (0, 1));
    assert!(!report.is_clean());
    assert_eq!(client.rest(), "");
    assert_eq!(half.rest(), "");
    assert_eq!(metric(&metrics, "http_requests_abandoned_total"), 1.0);
}

#[test]
fn an_immediate_stop_cuts_the_wait() {
    let app = App::new(config())
        .on_shutdown(std::future::pending::<()>)
        .route_without_timeout("/never", get(std::future::pending::<()>));
    let server = Server::start(app);
    let metrics = server.app.metrics();
    let mut client = server.client();
    client.send("GET /never HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("in flight", || metrics.in_flight() == 1);
    server.executor.shutdown_handle().request_stop_now();
    let started = Instant::now();
    let report = server.close();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "neither hook nor request is waited for"
    );
    assert_eq!((report.cut, report.hooks.len()), (1, 0));
}

#[test]
fn the_steps_of_the_end_can_be_driven_one_by_one() {
    let server = Server::start(App::new(config()).route("/", get(|| async { "answered" })));
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "answered");
    // The client has its answer before the server has counted it, and what is counted later belongs to the drain.
    eventually("counted", || server.app.requests_in_flight() == 0);
    assert!(block_on(server.app.run_hooks()).is_empty());
    server.app.begin_drain();
    server.app.begin_drain();
    let drained = block_on(server.app.drained(tokio::time::Instant::now() + PATIENCE));
    assert_eq!((drained.answered, drained.cut), (0, 0));
    assert_eq!(server.app.connections(), 0);
    assert_eq!(client.rest(), "");
}

#[test]
fn an_idle_connection_is_closed_at_the_keep_alive_limit() {
    let limit = Duration::from_millis(300);
    let app = App::new(AppConfig {
        limits: ConnectionLimits {
            keep_alive: limit,
            ..ConnectionLimits::default()
        },
        ..config()
    })
    .route("/", get(|| async { "answered" }));
    let server = Server::start(app);
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "answered");
    let answered = Instant::now();
    assert_eq!(client.rest(), "");
    assert!((limit / 2..limit + Duration::from_secs(1)).contains(&answered.elapsed()));
}

#[test]
fn the_listener_hears_accepted_and_one_last_word() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let app = App::new(config()).named("shop").route("/", get(|| async {}));
    let server = Server::start(app.connection_state_listener(move |notice: &Notice| {
        let word = match &notice.cause {
            Cause::Accepted(accepted) => format!("accepted by {}", accepted.server),
            Cause::Closed(closed) => {
                assert_eq!(closed.reason, CloseReason::ServerStop);
                format!("closed after {}", closed.requests)
            }
            other => format!("{other:?}"),
        };
        sink.lock().unwrap().push((notice.id, word));
    }));
    let mut client = server.client();
    client.get("/");
    client.get("/");
    server.close();
    let heard = heard.lock().unwrap();
    let words: Vec<_> = heard.iter().map(|(_, word)| &**word).collect();
    assert_eq!(words, ["accepted by shop", "closed after 2"]);
    assert_eq!(heard[0].0, heard[1].0);
}

#[test]
fn a_dropped_application_is_gone_without_blocking() {
    let app = App::new(config()).route_without_timeout("/never", get(std::future::pending::<()>));
    let Server { app, executor } = Server::start(app);
    let (address, metrics) = (app.local_addr(), app.metrics());
    let mut client = Client::connect(address);
    client.send("GET /never HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("in flight", || metrics.in_flight() == 1);
    block_on(async move { drop(app) });
    assert_eq!(client.rest(), "");
    eventually("the port is closed", || {
        std::net::TcpStream::connect(address).is_err()
    });
    drop(executor);
}

#[test]
fn it_lives_on_a_runtime_that_runs_already() {
    block_on(async {
        let executor = RuntimeExecutor::on_current().unwrap();
        let app = App::new(config()).route("/", get(|| async { "answered" }));
        let running = app.listen(&executor.spawner()).unwrap();
        let address = running.local_addr();
        let client = tokio::task::spawn_blocking(move || Client::connect(address).get("/"));
        assert_eq!(client.await.unwrap().text(), "answered");
        assert!(running.close().await.is_clean());
        assert!(executor.stop_and_wait(PATIENCE).await.is_clean());
    });
}

#[test]
fn a_connection_can_be_upgraded_and_is_then_nobodys_request() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let executor = RuntimeExecutor::with_threads(2).unwrap();
    let app = App::with_state(config(), executor.spawner())
        .route("/echo", get(upgrade_to_echo))
        .connection_state_listener(move |notice: &Notice| sink.lock().unwrap().push(notice.cause.clone()));
    let running = app.listen(&executor.spawner()).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.send("GET /echo HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nat once");
    assert_eq!(client.reply().status(), 101);
    eventually("the last word", || heard.lock().unwrap().len() == 2);
    assert!(matches!(heard.lock().unwrap()[1], Cause::UpgradedToWebSocket));
    client.send(", and later").finish_sending();
    assert_eq!(client.rest(), "at once, and later");
    assert_eq!(heard.lock().unwrap().len(), 2);
    assert_eq!(block_on(running.close()).cut, 0);
}

async fn upgrade_to_echo(State(spawner): State<Spawner>, request: Request) -> Response {
    let upgrade = hyper::upgrade::on(request);
    let echo = async move {
        let (mut from, mut to) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    };
    spawner.spawn_service(echo).unwrap();
    let switch = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, switch).into_response()
}
