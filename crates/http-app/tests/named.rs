//! What holds a worker up, and what the end cuts, is named by its route: in the log, in a metric and in the report. A
//! binary of its own, because a log belongs to a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::{get, post};
use common::log::Log;
use common::{Client, Server, block_on, config, eventually};
use core_executor::{StopReport, TaskOptions};
use http_app::{App, AppConfig, OnDisconnect};

const LONG: Duration = Duration::from_secs(5);

fn ends_at_once() -> AppConfig {
    AppConfig {
        drain_deadline: Duration::from_millis(50),
        request_timeout: Duration::ZERO,
        ..config()
    }
}

/// Ends the server at its deadline; the threads have this long to leave.
fn end(server: Server, patience: Duration) -> StopReport {
    let Server { app, executor } = server;
    block_on(async {
        app.close().await;
        executor.stop_and_wait(patience).await
    })
}

fn counts(report: &StopReport) -> Vec<(&str, u64)> {
    let all = report.unfinished.iter();
    all.map(|one| (&*one.what, one.count)).collect()
}

#[test]
fn handlers_that_are_cut_at_the_deadline_are_named_by_route() {
    static WITHOUT_CLIENT: AtomicUsize = AtomicUsize::new(0);
    let log = Log::get();
    let alone = || async {
        WITHOUT_CLIENT.fetch_add(1, Ordering::SeqCst);
        pending::<()>().await;
    };
    let server = Server::start(
        App::new(ends_at_once())
            .route("/cut/{id}", get(pending::<()>))
            .route("/cut/{id}", post(pending::<()>))
            .route("/alone/{id}", get(alone).layer(OnDisconnect::Ignore))
            .route("/answered/{id}", get(|| async {})),
    );
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    assert_eq!(clients[0].get("/answered/1").status(), 200);
    for (client, request) in clients
        .iter_mut()
        .zip(["GET /cut/secret", "GET /cut/other", "POST /cut/third"])
    {
        client.send(format!("{request} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    let mut leaving = clients.pop().unwrap();
    leaving.send("GET /alone/fourth HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the handler", || WITHOUT_CLIENT.load(Ordering::SeqCst) == 1);
    drop(leaving);
    eventually("all are there", || {
        server.app.metrics().handlers_without_client() == 1 && server.app.metrics().in_flight() == 3
    });
    let report = end(server, LONG);
    assert_eq!(
        counts(&report),
        [
            ("GET /alone/{id}", 1),
            ("GET /cut/{id}", 2),
            ("POST /cut/{id}", 1)
        ]
    );
    for what in ["GET /alone/{id}", "GET /cut/{id}", "POST /cut/{id}"] {
        assert!(log.has(&["WARN", what]), "{what}");
    }
    for chosen in ["secret", "other", "third", "fourth"] {
        assert!(!log.has(&[chosen]), "{chosen} was logged");
    }
}

#[test]
fn a_handler_that_blocks_its_worker_is_named_while_it_does() {
    static IS_FREE: AtomicBool = AtomicBool::new(false);
    let log = Log::get();
    let block = || async {
        while !IS_FREE.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        "free"
    };
    let server = Server::start(App::new(config()).route("/block/{id}", get(block)));
    let mut client = server.client();
    client.send("GET /block/hidden HTTP/1.1\r\nHost: test\r\n\r\n");
    let named = || log.has(&["WARN", "running=GET /block/{id}", "held up"]);
    eventually("named while it blocks", named);
    assert!(server.executor.metrics().stalls() >= 1);
    IS_FREE.store(true, Ordering::SeqCst);
    assert_eq!(client.reply().text(), "free");
    assert!(!log.has(&["hidden"]));
    let report = end(server, LONG);
    assert!(report.stalls >= 1);
    assert_eq!((report.unfinished.len(), report.is_clean()), (0, true));
}

#[test]
fn what_holds_a_worker_up_at_the_end_is_named_in_the_report() {
    static IS_FREE: AtomicBool = AtomicBool::new(false);
    static IS_BLOCKING: AtomicBool = AtomicBool::new(false);
    let server = Server::start(App::new(ends_at_once()));
    let block = async {
        IS_BLOCKING.store(true, Ordering::SeqCst);
        while !IS_FREE.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let spawner = server.executor.spawner();
    spawner
        .spawn_with(TaskOptions::named("thumbnail"), block)
        .unwrap();
    eventually("it blocks", || IS_BLOCKING.load(Ordering::SeqCst));
    let report = end(server, Duration::ZERO);
    IS_FREE.store(true, Ordering::SeqCst);
    assert!(report.stuck_workers >= 1 && !report.is_clean());
    assert!(counts(&report).contains(&("task `thumbnail`", 1)), "{report:?}");
}
