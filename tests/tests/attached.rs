//! The life of the facade, in this process, over real sockets.

use attached_runtime::{
    App, AppConfig, AttachedRuntime, CloseInfo, Config, ExecutorConfig, Phase, RuntimeError, RuntimeExecutor,
    Session, ShutdownReport, StopCause, WsConfig, WsServer,
};
use axum::routing::get;
use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use workspace_tests::http;
use workspace_tests::ws::Client;

fn app() -> App {
    App::new(AppConfig {
        port: 0,
        ..AppConfig::default()
    })
    .route("/", get(|| async { "up" }))
}

fn ws() -> WsServer {
    let config = WsConfig {
        port: 0,
        close_timeout: Duration::from_millis(500),
        ..WsConfig::default()
    };
    WsServer::new(config).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    })
}

fn executor() -> RuntimeExecutor {
    executor_with(Duration::from_secs(10))
}

fn executor_with(shutdown_deadline: Duration) -> RuntimeExecutor {
    RuntimeExecutor::new(ExecutorConfig {
        threads: 2,
        shutdown_deadline,
        ..ExecutorConfig::default()
    })
    .expect("threads can be started")
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

fn finalize(runtime: AttachedRuntime) -> ShutdownReport {
    block_on(runtime.finalize_shutdown()).expect("the application ends")
}

fn http_addr(runtime: &AttachedRuntime) -> std::net::SocketAddr {
    runtime.addresses().http.expect("HTTP is served")
}

fn ws_addr(runtime: &AttachedRuntime) -> std::net::SocketAddr {
    runtime.addresses().ws.expect("WebSocket is served")
}

/// Sets a flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

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
fn asking_from_a_hundred_threads_takes_effect_once_and_never_blocks() {
    let hooks = Arc::new(AtomicUsize::new(0));
    let counted = hooks.clone();
    let app = app().on_shutdown(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let runtime = AttachedRuntime::start(app, ws(), executor()).expect("it starts");
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let handle = runtime.handle();
            std::thread::spawn(move || {
                let began = Instant::now();
                handle.request_stop();
                handle.request_stop();
                began.elapsed()
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().expect("no panic") < Duration::from_secs(1));
    }
    runtime.request_stop();
    let report = finalize(runtime);
    assert_eq!(hooks.load(Ordering::SeqCst), 1);
    assert_eq!(report.cause, StopCause::Requested);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_start_after_a_stop_was_asked_for_is_an_error() {
    let executor = executor();
    executor.shutdown_handle().request_stop();
    let error = AttachedRuntime::start(app(), ws(), executor).expect_err("it must not start");
    assert!(matches!(error, RuntimeError::StopRequested), "{error:?}");
}

/// Starts an application in which `place` asks for the stop, causes it by `cause`, and gives the report.
fn stopped_by(
    describe: impl FnOnce(WsServer, attached_runtime::ShutdownHandle) -> WsServer,
    cause: impl FnOnce(&mut Client) + Send + 'static,
) -> ShutdownReport {
    let executor = executor();
    let ws = describe(ws(), executor.shutdown_handle());
    let runtime = AttachedRuntime::start(app(), ws, executor).expect("it starts");
    let addr = ws_addr(&runtime);
    let client = std::thread::spawn(move || {
        let mut client = Client::connect(addr, "/");
        cause(&mut client);
        client
    });
    let report = block_on(runtime.serve()).expect("it ends by itself");
    drop(client.join().expect("the client could do its part"));
    report
}

#[test]
fn every_callback_may_ask_for_the_stop() {
    let reports = [
        stopped_by(
            |ws, stop| {
                ws.on_open(move |_| {
                    stop.request_stop();
                    async {}
                })
            },
            |_| {},
        ),
        stopped_by(
            |ws, stop| {
                ws.on_message(move |_, _| {
                    stop.request_stop();
                    async {}
                })
            },
            |client| client.send("stop"),
        ),
        stopped_by(
            |ws, stop| {
                ws.on_binary(move |_, _| {
                    stop.request_stop();
                    async {}
                })
            },
            |client| client.send_binary(b"stop"),
        ),
        stopped_by(
            |ws, stop| {
                ws.on_typed_message(move |_, _| {
                    stop.request_stop();
                    async {}
                })
            },
            |client| client.send(r#"{"type":"stop"}"#),
        ),
        stopped_by(
            |ws, stop| {
                ws.on_close(move |_, _| {
                    stop.request_stop();
                    async {}
                })
            },
            |client| {
                client
                    .stream()
                    .shutdown(std::net::Shutdown::Both)
                    .expect("it is open")
            },
        ),
        stopped_by(
            |ws, stop| {
                ws.on_error(move |_, _| {
                    stop.request_stop();
                    async {}
                })
            },
            // An unmasked frame.
            |client| std::io::Write::write_all(&mut client.stream(), &[0x81, 1, b'x']).expect("sent"),
        ),
    ];
    for (index, report) in reports.iter().enumerate() {
        assert!(report.is_clean(), "callback {index}: {report}");
    }
}

#[test]
fn stopping_only_the_websocket_server_from_its_own_callback_leaves_http_running() {
    let server = ws();
    let hub = server.hub();
    let server = server.on_message(move |_, _| {
        hub.stop_async();
        hub.stop_async();
        async {}
    });
    let runtime = AttachedRuntime::start(app(), server, executor()).expect("it starts");
    let mut client = Client::connect(ws_addr(&runtime), "/");
    client.send("stop");
    let ws = ws_addr(&runtime);
    let refused = || std::net::TcpStream::connect(ws).is_err();
    let limit = Instant::now() + Duration::from_secs(5);
    while !refused() && Instant::now() < limit {
        std::thread::yield_now();
    }
    assert!(refused(), "the WebSocket port is closed");
    assert_eq!(http::get(http_addr(&runtime), "/").text(), "up");
    assert!(finalize(runtime).is_clean());
}

#[test]
fn the_order_of_the_end_is_hook_then_sessions_then_executor() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |word: &'static str| {
        let order = order.clone();
        move || order.lock().unwrap().push(word)
    };
    let (hook, close, task) = (note("hook"), note("on_close"), note("executor"));
    struct Last<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Last<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let executor = executor();
    let signal = executor.shutdown_signal();
    let spawner = executor.spawner();
    let app = app().on_shutdown(move || async move { hook() });
    let ws = ws().on_close(move |_: Session, _: CloseInfo| {
        close();
        async {}
    });
    let runtime = AttachedRuntime::start(app, ws, executor).expect("it starts");
    let last = Last(task);
    spawner
        .spawn_service(async move {
            let _last = last;
            signal.requested().await;
            std::future::pending::<()>().await;
        })
        .expect("it runs");
    let mut phases = runtime.phases();
    let watching = std::thread::spawn(move || {
        block_on(async move {
            let mut seen = vec![*phases.borrow_and_update()];
            while phases.changed().await.is_ok() {
                seen.push(*phases.borrow_and_update());
            }
            seen
        })
    });
    let mut client = Client::connect(ws_addr(&runtime), "/");
    let closing = std::thread::spawn(move || client.closed());
    assert!(finalize(runtime).is_clean());
    assert_eq!(closing.join().expect("closed").0, 1001);
    assert_eq!(*order.lock().unwrap(), ["hook", "on_close", "executor"]);
    let seen = watching.join().expect("watched");
    assert!(
        seen.is_sorted() && seen.last() == Some(&Phase::Stopped),
        "{seen:?}"
    );
}

#[test]
fn after_the_end_no_task_of_ours_runs() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Dropped(gone.clone());
    let executor = executor_with(Duration::from_millis(300));
    let spawner = executor.spawner();
    let runtime = AttachedRuntime::start(app(), ws(), executor).expect("it starts");
    spawner
        .post(async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        })
        .expect("it runs");
    let report = finalize(runtime);
    assert!(gone.load(Ordering::SeqCst));
    assert_eq!((report.executor.cut_tasks, report.code()), (1, 2), "{report}");
    assert!(spawner.post(async {}).is_err(), "nothing new runs either");
}

#[test]
fn a_callback_that_blocks_its_thread_cannot_hold_the_end_up() {
    let executor = executor_with(Duration::from_secs(1));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let blocked = Arc::new(AtomicBool::new(false));
    let entered = blocked.clone();
    let server = ws().on_message(move |_, _| {
        entered.store(true, Ordering::SeqCst);
        let _ = held.lock().unwrap().recv();
        async {}
    });
    let runtime = AttachedRuntime::start(app(), server, executor).expect("it starts");
    let mut client = Client::connect(ws_addr(&runtime), "/");
    client.send("block");
    while !blocked.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let began = Instant::now();
    let report = finalize(runtime);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1300), "took {took:?}");
    assert_eq!(report.executor.stuck_workers, 1, "{report}");
    assert_eq!((report.websocket.cut_off, report.code()), (1, 2), "{report}");
    drop(release);
}

#[test]
fn run_inside_async_code_is_refused_and_asks_for_the_end() {
    block_on(async {
        let runtime = AttachedRuntime::start(app(), ws(), executor()).expect("it starts");
        let handle = runtime.handle();
        let error = runtime.run().expect_err("it would block the thread");
        assert!(matches!(error, RuntimeError::InsideAsync), "{error:?}");
        handle.ended().await;
        assert_eq!(handle.cause(), Some(StopCause::Dropped));
    });
}

#[test]
fn run_blocks_until_a_handle_asks() {
    let runtime = AttachedRuntime::builder(app(), ws())
        .signals(false)
        .announce(false)
        .start(executor());
    let runtime = runtime.expect("it starts");
    let handle = runtime.handle();
    let asking = std::thread::spawn(move || handle.request_stop());
    let report = runtime.run().expect("it ends");
    asking.join().expect("no panic");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn dropping_asks_detaches_and_the_end_still_comes() {
    let closes = Arc::new(AtomicUsize::new(0));
    let counted = closes.clone();
    let server = ws().on_close(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let runtime = AttachedRuntime::start(app(), server, executor()).expect("it starts");
    let handle = runtime.handle();
    let mut client = Client::connect(ws_addr(&runtime), "/");
    let began = Instant::now();
    drop(runtime);
    assert!(began.elapsed() < Duration::from_millis(100));
    assert_eq!(client.closed().0, 1001);
    block_on(handle.ended());
    assert_eq!(closes.load(Ordering::SeqCst), 1);
    assert_eq!(handle.cause(), Some(StopCause::Dropped));
}

#[test]
fn any_number_may_wait_for_the_end() {
    let runtime = AttachedRuntime::start(app(), ws(), executor()).expect("it starts");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let handle = runtime.handle();
            std::thread::spawn(move || {
                block_on(handle.ended());
                handle.is_ended()
            })
        })
        .collect();
    assert!(!runtime.handle().is_ended());
    assert!(finalize(runtime).is_clean());
    assert!(waiting.into_iter().all(|thread| thread.join().expect("no panic")));
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
