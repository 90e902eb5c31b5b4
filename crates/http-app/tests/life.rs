//! Described, bound, running, ended: addresses, asking, hooks, draining, and the connections' last words.

mod common;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::routing::get;
use common::{Client, PATIENCE, Server, block_on, config, eventually, metric};
use core_executor::{Cause, CloseReason, Notice, RuntimeExecutor};
use http_app::{App, AppConfig, AppError, HookOutcome};
use tokio::sync::Notify;

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

#[test]
fn hooks_run_once_in_order_whatever_the_others_do() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let ran = Arc::clone(&ran);
        move || ran.lock().unwrap().push(what)
    };
    let (first, second, third, last) = (note("first"), note("panics"), note("hangs"), note("last"));
    let short = Duration::from_millis(100);
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
        .on_shutdown(async || std::thread::sleep(Duration::from_secs(3)))
        .on_shutdown(async move || last()),
    );
    let started = Instant::now();
    let (reports, again) = block_on(async { tokio::join!(server.app.run_hooks(), server.app.run_hooks()) });
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "nobody waits for the one that blocks"
    );
    let outcomes: Vec<_> = reports.iter().map(|report| report.outcome).collect();
    assert_eq!(
        outcomes,
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
fn close_answers_requests_in_flight_and_refuses_new_ones() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let wait = async move || {
        held.notified().await;
        "answered"
    };
    let server = Server::start(App::new(config()).route_without_timeout("/wait", get(wait)));
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
    gate.notify_waiters();
    for client in &mut clients {
        assert_eq!(client.reply().text(), "answered");
        assert_eq!(client.rest(), "");
    }
    let report = closing.join().unwrap();
    assert_eq!((report.answered, report.cut), (5, 0));
    assert!(report.is_clean());
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
        keep_alive: limit,
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
