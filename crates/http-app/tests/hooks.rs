//! Shutdown hooks: once each, in order, for a bounded time, whatever the others, the caller and the executor do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::routing::get;
use common::{Client, PATIENCE, Server, block_on, config};
use http_app::{App, AppConfig, HookOutcome, HookReport};
use tokio::sync::Notify;

fn outcomes(reports: &[HookReport]) -> Vec<HookOutcome> {
    reports.iter().map(|report| report.outcome).collect()
}

#[test]
fn hooks_run_once_in_order_whatever_the_others_do() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let ran = Arc::clone(&ran);
        move || ran.lock().unwrap().push(what)
    };
    let (first, second, third, last) = (note("first"), note("panics"), note("hangs"), note("last"));
    // Long enough for a panic to write its backtrace on a busy machine.
    let short = Duration::from_secs(1);
    let (lets_go, holds) = mpsc::channel::<()>();
    let server = Server::start(
        App::new(AppConfig {
            hook_timeout: short,
            ..config()
        })
        .on_shutdown(async move || first())
        .on_shutdown(async move || {
            second();
            panic!("on purpose");
        })
        .on_shutdown(async move || {
            third();
            std::future::pending::<()>().await;
        })
        // Blocks its thread, which no timeout of a runtime would notice.
        .on_shutdown(async move || assert!(holds.recv().is_err(), "nothing is sent"))
        .on_shutdown(async move || last()),
    );
    let started = Instant::now();
    let (reports, again) = block_on(async { tokio::join!(server.app.run_hooks(), server.app.run_hooks()) });
    assert!(
        started.elapsed() < PATIENCE / 2,
        "nobody waits for the one that blocks"
    );
    assert_eq!(
        outcomes(&reports),
        [
            HookOutcome::Completed,
            HookOutcome::Panicked,
            HookOutcome::TimedOut,
            HookOutcome::TimedOut,
            HookOutcome::Completed
        ]
    );
    assert!(reports[2].took >= short && reports.iter().enumerate().all(|(at, report)| report.index == at));
    assert_eq!(reports, again);
    let report = server.close();
    assert_eq!(report.hooks, reports);
    assert!(!report.is_clean());
    drop(lets_go);
    assert_eq!(*ran.lock().unwrap(), ["first", "panics", "hangs", "last"]);
}

#[test]
fn hooks_go_on_when_the_caller_leaves() {
    let (entered, gate, ran) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(AtomicUsize::new(0)),
    );
    let (hook_entered, hook_gate, count) = (Arc::clone(&entered), Arc::clone(&gate), Arc::clone(&ran));
    let server = Server::start(App::new(config()).on_shutdown(async move || {
        hook_entered.notify_one();
        hook_gate.notified().await;
        count.fetch_add(1, Ordering::SeqCst);
    }));
    block_on(async {
        tokio::select! {
            _ = server.app.run_hooks() => panic!("the hook waits for the gate"),
            () = entered.notified() => {}
        }
        gate.notify_one();
        assert_eq!(server.app.run_hooks().await[0].outcome, HookOutcome::Completed);
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn hooks_run_while_requests_are_still_answered() {
    let (asks, asked) = mpsc::channel();
    let (says, said) = mpsc::channel();
    let app = App::new(config())
        .route("/", get(|| async { "answered" }))
        .on_shutdown(async move || {
            asks.send(()).unwrap();
            said.recv_timeout(PATIENCE).unwrap();
        });
    let server = Server::start(app);
    let address = server.app.local_addr();
    let closing = std::thread::spawn(move || server.close());
    asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(Client::connect(address).get("/").text(), "answered");
    says.send(()).unwrap();
    assert!(closing.join().unwrap().is_clean());
}

#[test]
fn hooks_run_even_when_the_executor_takes_no_task_any_more() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let app = App::new(AppConfig {
        hook_timeout: Duration::from_secs(1),
        ..config()
    })
    .on_shutdown(async || panic!("on purpose"))
    .on_shutdown(std::future::pending::<()>)
    .on_shutdown(async move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let Server { app, executor } = Server::start(app);
    block_on(executor.stop_and_wait(Duration::ZERO));
    let reports = block_on(app.run_hooks());
    assert_eq!(
        outcomes(&reports),
        [
            HookOutcome::Panicked,
            HookOutcome::TimedOut,
            HookOutcome::Completed
        ]
    );
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn nobody_waits_for_ever_for_hooks_that_the_executors_end_cuts() {
    let entered = Arc::new(Notify::new());
    let hook_entered = Arc::clone(&entered);
    let app = App::new(AppConfig {
        hook_timeout: PATIENCE * 2,
        ..config()
    })
    .on_shutdown(async move || {
        hook_entered.notify_one();
        std::future::pending::<()>().await;
    })
    .on_shutdown(async || ());
    let Server { app, executor } = Server::start(app);
    let stop = async {
        entered.notified().await;
        executor.stop_and_wait(Duration::ZERO).await
    };
    let (reports, _) = block_on(async { tokio::join!(app.run_hooks(), stop) });
    assert_eq!(outcomes(&reports), [HookOutcome::Cut, HookOutcome::Cut]);
}
