//! Policies for clients that leave while their handler runs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use common::stage::{SOON, Stage, app, gone, patient, slow, start};
use common::{Client, Server, block_on, eventually, metric};
use http_app::{App, AppConfig, OnDisconnect, RequestTimeout};

/// A client whose handler runs, with half a request behind its own.
fn busy(server: &Server, stage: &Stage, path: &str, behind: &str) -> Client {
    let before = stage.counts()[0];
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n{behind}"));
    eventually("the handler runs", || stage.counts()[0] > before);
    client
}

/// With nothing, part of a request and a whole one behind the request.
const BEHIND: [&str; 3] = ["", "GET /next HT", "GET /next HTTP/1.1\r\nHost: test\r\n\r\n"];

#[test]
fn cancel_drops_the_handler_at_once_and_is_the_default() {
    let (server, stage) = start();
    let ways = ["/default", "/cancel"]
        .into_iter()
        .flat_map(|path| BEHIND.map(|behind| (path, behind)));
    for (dropped, (path, behind)) in (1..).zip(ways) {
        drop(busy(&server, &stage, path, behind));
        eventually("the handler is dropped", || stage.counts()[3] == dropped);
        eventually("it is counted", || gone(&server, "cancel") == dropped as f64);
    }
    assert_eq!(stage.counts()[2], 0);
}

#[test]
fn notify_tells_the_handler_which_goes_on() {
    let (server, stage) = start();
    for (round, behind) in (1..).zip(BEHIND) {
        drop(busy(&server, &stage, "/notify", behind));
        eventually("the handler is told", || stage.counts()[1] == round);
        eventually("it goes on alone", || {
            server.app.metrics().handlers_without_client() == 1
        });
        stage.permits.add_permits(1);
        eventually("the handler returns", || {
            stage.counts() == [round, round, round, 0]
        });
        eventually("it is counted", || gone(&server, "notify") == round as f64);
        eventually("nobody is alone", || {
            server.app.metrics().handlers_without_client() == 0
        });
    }
    assert!(server.close().is_clean());
}

#[test]
fn ignore_runs_to_its_end_and_hears_nothing() {
    let (server, stage) = start();
    for (round, behind) in (1..).zip(BEHIND) {
        drop(busy(&server, &stage, "/ignore", behind));
        eventually("the departure is noticed", || {
            gone(&server, "ignore") == round as f64
        });
        eventually("it goes on alone", || {
            server.app.metrics().handlers_without_client() == 1
        });
        stage.permits.add_permits(1);
        eventually("the handler returns", || stage.counts() == [round, 0, round, 0]);
        eventually("nobody is alone", || {
            server.app.metrics().handlers_without_client() == 0
        });
    }
}

#[test]
fn grace_survives_a_return_in_time() {
    let (server, stage) = start();
    for (round, behind) in (1..).zip(BEHIND) {
        drop(busy(&server, &stage, "/grace", behind));
        eventually("the handler is told", || stage.counts()[1] == round);
        stage.permits.add_permits(1);
        eventually("the handler returns", || {
            stage.counts() == [round, round, round, 0]
        });
        eventually("it is counted", || gone(&server, "grace") == round as f64);
    }
}

#[test]
fn grace_ends_a_handler_that_takes_longer() {
    let (server, stage) = start();
    for (round, behind) in (1..).zip(BEHIND) {
        let client = busy(&server, &stage, "/short-grace", behind);
        // Time that passes while the client is there is none of its grace.
        std::thread::sleep(SOON * 2);
        let left = Instant::now();
        drop(client);
        eventually("the handler is dropped", || {
            stage.counts() == [round, round, 0, round]
        });
        assert!(left.elapsed() >= SOON, "{:?}", left.elapsed());
    }
}

#[test]
fn a_client_that_stays_gets_its_answer() {
    let (server, stage) = start();
    let mut client = server.client();
    for path in ["/notify", "/ignore", "/grace", "/short-grace"] {
        stage.permits.add_permits(1);
        assert_eq!(client.get(path).text(), "slow", "{path}");
    }
    assert_eq!(client.get("/echo/hello").text(), "hello");
    assert_eq!(stage.counts(), [4, 0, 4, 0]);
    assert_eq!(
        gone(&server, "notify") + gone(&server, "ignore") + gone(&server, "grace"),
        0.0
    );
}

#[test]
fn a_panic_is_500_for_whoever_is_there_and_counted_when_nobody_is() {
    let (server, stage) = start();
    stage.permits.add_permits(1);
    server.get("/panics").assert_error(500);
    assert_eq!(server.app.metrics().handler_panics(), 1);
    drop(busy(&server, &stage, "/panics", ""));
    eventually("the departure is noticed", || gone(&server, "notify") == 1.0);
    stage.permits.add_permits(1);
    eventually("the panic is counted", || {
        server.app.metrics().handler_panics() == 2
    });
    assert_eq!(server.executor.metrics().panicked(), 0, "caught before");
}

#[test]
fn the_request_timeout_holds_with_and_without_a_client() {
    let stage = Stage::new();
    let ignored = |limit| (RequestTimeout::after(limit), OnDisconnect::Ignore);
    let app = app(patient(), &stage)
        .route("/short", get(slow).layer(ignored(SOON)))
        .route("/longer", get(slow).layer(ignored(SOON * 4)))
        .route(
            "/inside",
            get(slow).layer((OnDisconnect::Ignore, RequestTimeout::after(SOON))),
        );
    let server = Server::start(app);
    for (dropped, path) in (1..).zip(["/short", "/inside"]) {
        server.get(path).assert_error(503);
        eventually("the handler is dropped", || stage.counts()[3] == dropped);
    }
    let begun = Instant::now();
    drop(busy(&server, &stage, "/longer", ""));
    eventually("it goes on alone", || {
        server.app.metrics().handlers_without_client() == 1
    });
    eventually("the handler is dropped", || stage.counts()[3] == 3);
    assert!(begun.elapsed() >= SOON * 4, "{:?}", begun.elapsed());
    assert_eq!(
        metric(&server.app.metrics(), r#"http_limits_total{limit="timeout"}"#),
        3.0
    );
}

#[test]
fn whoever_gives_a_request_up_while_its_client_is_there_ends_the_handler() {
    async fn impatient(request: Request, next: Next) -> Response {
        tokio::select! {
            response = next.run(request) => response,
            () = tokio::time::sleep(SOON) => Response::new("given up".into()),
        }
    }
    let stage = Stage::new();
    let server = Server::start(app(patient(), &stage).layer(from_fn(impatient)));
    assert_eq!(server.get("/ignore").text(), "given up");
    eventually("the handler is dropped", || stage.counts() == [1, 0, 0, 1]);
}

#[test]
fn handlers_beyond_the_limit_are_refused() {
    let stage = Stage::new();
    let two = AppConfig {
        max_detached_handlers: 2,
        ..patient()
    };
    let server = Server::start(app(two, &stage));
    let clients = [
        busy(&server, &stage, "/notify", ""),
        busy(&server, &stage, "/ignore", ""),
    ];
    let mut third = server.client();
    third.get("/grace").assert_error(503);
    assert_eq!(
        metric(&server.app.metrics(), r#"http_limits_total{limit="detached"}"#),
        1.0
    );
    drop(clients);
    // Their places stay taken until they return.
    eventually("both go on alone", || {
        server.app.metrics().handlers_without_client() == 2
    });
    third.get("/ignore").assert_error(503);
    stage.permits.add_permits(3);
    eventually("both return", || stage.counts()[2] == 2);
    eventually("there is a place again", || third.get("/ignore").status() == 200);
}

#[test]
fn the_innermost_policy_wins() {
    let stage = Stage::new();
    let routes = Router::new()
        .route("/as-group", get(slow))
        .route("/cancelled", get(slow).layer(OnDisconnect::Cancel))
        .route("/told", get(slow).layer(OnDisconnect::Notify))
        .layer(OnDisconnect::Ignore);
    let server = Server::start(App::with_state(patient(), stage.clone()).merge(routes));
    drop(busy(&server, &stage, "/cancelled", ""));
    eventually("the handler is dropped", || stage.counts()[2..] == [0, 1]);
    let told = stage.counts()[1];
    drop(busy(&server, &stage, "/told", ""));
    eventually("the handler is told", || stage.counts() == [2, told + 1, 0, 1]);
    drop(busy(&server, &stage, "/as-group", ""));
    eventually("all are noticed", || {
        (
            gone(&server, "cancel"),
            gone(&server, "notify"),
            gone(&server, "ignore"),
        ) == (1.0, 1.0, 1.0)
    });
    stage.permits.add_permits(2);
    eventually("both return", || stage.counts() == [3, told + 1, 2, 1]);
}

#[test]
fn the_end_waits_for_handlers_without_a_client() {
    let (server, stage) = start();
    drop(busy(&server, &stage, "/ignore", ""));
    eventually("it goes on alone", || {
        server.app.metrics().handlers_without_client() == 1
    });
    let (permits, waiting) = (stage.permits.clone(), SOON);
    let later = std::thread::spawn(move || {
        std::thread::sleep(waiting);
        permits.add_permits(1);
    });
    let began = Instant::now();
    let report = server.close();
    assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    later.join().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(stage.counts(), [1, 0, 1, 0]);
}

#[test]
fn the_deadline_drops_and_counts_what_is_left() {
    let stage = Stage::new();
    let hasty = AppConfig {
        drain_deadline: SOON,
        ..patient()
    };
    let server = Server::start(app(hasty, &stage));
    drop(busy(&server, &stage, "/ignore", ""));
    drop(busy(&server, &stage, "/notify", ""));
    eventually("they go on alone", || {
        server.app.metrics().handlers_without_client() == 2
    });
    let _waits = busy(&server, &stage, "/grace", "");
    let Server { app, executor } = server;
    let report = block_on(app.close());
    assert_eq!((report.cut, report.is_clean()), (3, false), "{report:?}");
    eventually("all are dropped", || stage.counts() == [3, 1, 0, 3]);
    drop(executor);
}

#[test]
fn an_application_that_is_dropped_takes_its_handlers_along() {
    let (server, stage) = start();
    drop(busy(&server, &stage, "/ignore", ""));
    eventually("it goes on alone", || {
        server.app.metrics().handlers_without_client() == 1
    });
    let _stays = busy(&server, &stage, "/notify", "");
    drop(server.app);
    eventually("both are dropped", || stage.counts()[3] == 2);
}
