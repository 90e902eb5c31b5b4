//! Asking for the end, from anywhere.

use crate::support::{app, block_on, executor, finalize, http_addr, ws, ws_addr};
use attached_runtime::{
    App, AppConfig, AttachedRuntime, Encoded, JsonMessage, Notice, Relay, Session, ShutdownHandle,
    ShutdownReport, StopCause, TaskOptions, WsServer,
};
use axum::routing::get;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use workspace_tests::http;
use workspace_tests::raw::handshake;
use workspace_tests::ws::Client;
use ws_server::Target;

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

/// Starts an application in which `place` asks for the stop, causes it by `cause`, and gives the report.
fn stopped_by(
    describe: impl FnOnce(WsServer, ShutdownHandle) -> WsServer,
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
    let refused = || TcpStream::connect(ws).is_err();
    let limit = Instant::now() + Duration::from_secs(5);
    while !refused() && Instant::now() < limit {
        std::thread::yield_now();
    }
    assert!(refused(), "the WebSocket port is closed");
    assert_eq!(http::get(http_addr(&runtime), "/").text(), "up");
    assert!(finalize(runtime).is_clean());
}

/// An app whose page asks for the stop, on a free port, and a client that asks for that page until it is served.
fn stopped_by_its_page(handle: ShutdownHandle) -> (App, std::thread::JoinHandle<()>) {
    let port = {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        probe.local_addr().expect("bound").port()
    };
    let config = AppConfig {
        port,
        ..AppConfig::default()
    };
    let page = get(move || {
        handle.request_stop();
        async { "stopping" }
    });
    let asking = std::thread::spawn(move || {
        let limit = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "nobody serves");
            std::thread::yield_now();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(http::get(address, "/stop").text(), "stopping");
    });
    (App::new(config).route("/stop", page), asking)
}

#[test]
fn both_servers_in_one_call_for_a_plain_main() {
    let executor = executor();
    let (app, asking) = stopped_by_its_page(executor.shutdown_handle());
    let report = attached_runtime::run_http_and_ws(app, ws(), executor).expect("it runs and ends");
    asking.join().expect("answered");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn both_servers_in_one_call_for_async_code() {
    let executor = executor();
    let (app, asking) = stopped_by_its_page(executor.shutdown_handle());
    let served = block_on(attached_runtime::serve_http_and_ws(app, ws(), executor));
    asking.join().expect("answered");
    let report = served.expect("it runs and ends");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_wish_that_comes_during_the_start_is_carried_out() {
    for _ in 0..20 {
        let executor = executor();
        let handle = executor.shutdown_handle();
        let asking = std::thread::spawn(move || handle.request_stop());
        match AttachedRuntime::start(app(), ws(), executor) {
            Ok(runtime) => assert!(block_on(runtime.serve()).expect("it ends").is_clean()),
            // It came before anything was served: nothing was.
            Err(error) => assert!(format!("{error:?}").contains("stop"), "{error:?}"),
        }
        asking.join().expect("no panic");
    }
}

/// Asks when it is dropped, which is on a worker for what belongs to a session.
struct AsksInDrop(ShutdownHandle);

impl Drop for AsksInDrop {
    fn drop(&mut self) {
        self.0.request_stop();
    }
}

/// Asks from everywhere, as a relay.
struct AskingRelay(ShutdownHandle);

impl Relay for AskingRelay {
    fn session_message(&self, _: &Session, _: &JsonMessage) {
        self.0.request_stop();
    }

    fn broadcast(&self, _: Target<'_>, _: &Encoded) {}
}

#[test]
fn a_relay_and_a_drop_on_a_worker_may_ask() {
    let relayed = stopped_by(
        |ws, stop| ws.relay(Arc::new(AskingRelay(stop))),
        |client| client.send(r#"{"type":"stop"}"#),
    );
    let dropped = stopped_by(
        |ws, stop| ws.authorize(move |_| std::future::ready(Ok(AsksInDrop(stop.clone())))),
        |client| {
            let both = std::net::Shutdown::Both;
            client.stream().shutdown(both).expect("it is open");
        },
    );
    for report in [relayed, dropped] {
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.cause, StopCause::Requested);
    }
}

/// What asks in the middle of a connection's beginning: the one that came is served to its end or refused, never neither.
#[test]
fn listeners_of_connections_and_authorize_may_ask() {
    let by_listener = |describe: fn(App, WsServer, ShutdownHandle) -> (App, WsServer), path: &str| {
        let executor = executor();
        let (app, ws) = describe(app(), ws(), executor.shutdown_handle());
        let runtime = AttachedRuntime::start(app, ws, executor).expect("it starts");
        let to = if path == "/" {
            http_addr(&runtime)
        } else {
            ws_addr(&runtime)
        };
        let asking = std::thread::spawn(move || {
            let mut stream = std::io::BufReader::new(http::connect(to));
            std::io::Write::write_all(stream.get_mut(), handshake("/", "").as_bytes()).expect("sent");
            http::read_answer(&mut stream).map(|answer| answer.status)
        });
        let report = block_on(runtime.serve()).expect("it ends by itself");
        assert!(report.is_clean(), "{report}");
        asking.join().expect("no panic")
    };
    let http = by_listener(
        |app, ws, stop| {
            (
                app.connection_state_listener(move |_: &Notice| stop.request_stop()),
                ws,
            )
        },
        "/",
    );
    assert!(matches!(http, None | Some(200)), "{http:?}");
    for describe in [
        |app, ws: WsServer, stop: ShutdownHandle| {
            (
                app,
                ws.connection_state_listener(move |_: &Notice| stop.request_stop()),
            )
        },
        |app, ws: WsServer, stop: ShutdownHandle| {
            let asks = move |_| {
                stop.request_stop();
                std::future::ready(Ok(()))
            };
            (app, ws.authorize(asks))
        },
    ] {
        let ws = by_listener(describe, "/ws");
        assert!(matches!(ws, None | Some(101 | 503)), "{ws:?}");
    }
}

#[test]
fn a_hook_may_ask_again_and_may_ask_for_now() {
    for (now, code) in [(false, 0), (true, 3)] {
        let executor = executor();
        let stop = executor.shutdown_handle();
        let hook = move || async move {
            match now {
                false => stop.request_stop(),
                true => stop.request_stop_now(),
            }
        };
        let runtime = AttachedRuntime::start(app().on_shutdown(hook), ws(), executor).expect("it starts");
        let client = Client::connect(ws_addr(&runtime), "/");
        let report = finalize(runtime);
        drop(client);
        assert_eq!((report.code(), report.forced), (code, now), "{report}");
        assert_eq!(report.websocket.sessions, 1, "{report}");
    }
}

#[test]
fn a_blocking_closure_may_ask() {
    let executor = executor();
    let stop = executor.shutdown_handle();
    let spawner = executor.spawner();
    let runtime = AttachedRuntime::start(app(), ws(), executor).expect("it starts");
    let asking = spawner.spawn_blocking(TaskOptions::named("asks"), move || stop.request_stop());
    assert!(asking.is_ok());
    assert!(block_on(runtime.serve()).expect("it ends by itself").is_clean());
}
