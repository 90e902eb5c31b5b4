//! The wish to stop, and what is at the door when it comes: refused, or served and closed.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use support::{
    PATIENCE, Record, TestServer, close_of, config, connect, echo, eventually, handshake, metric, read_head,
    say, tcp, text_of, try_connect,
};
use ws_server::{WsConfig, WsError, WsServer};

#[test]
fn stop_async_from_every_callback_refuses_new_sessions_and_keeps_the_others() {
    for place in ["open", "message", "typed", "error", "close", "authorize"] {
        let build = || {
            let server = WsServer::new(config());
            let hub = server.hub();
            let ask = move |here: &str| {
                if here == place {
                    hub.stop_async();
                    hub.stop_async();
                }
            };
            let [open, message, typed, error, close, authorize] = std::array::from_fn(|_| ask.clone());
            server
                .authorize(move |_| {
                    authorize("authorize");
                    async { Ok(()) }
                })
                .on_open(move |_| {
                    open("open");
                    async {}
                })
                .on_message(move |_, _| {
                    message("message");
                    async {}
                })
                .on_typed_message(move |_, _| {
                    typed("typed");
                    async { panic!("for on_error") }
                })
                .on_error(move |_, _| {
                    error("error");
                    async {}
                })
                .on_close(move |_, _| {
                    close("close");
                    async {}
                })
        };
        let server = TestServer::start(build());
        let client = try_connect(server.addr, "/", &[]);
        if place == "authorize" {
            assert_eq!(client.err(), Some(503), "asked before the session was registered");
        } else {
            let mut client = client.unwrap();
            let _ = client.send(tungstenite::Message::text(r#"{"type":"x"}"#));
            eventually(place, || server.hub.is_stopping());
        }
        let report = server.stop_within(Duration::from_secs(10));
        assert_eq!(report.cut_off, 0, "{place}");
    }
}

#[test]
fn stop_async_from_a_hundred_threads_at_once() {
    let server = TestServer::start(echo(config()));
    let mut client = server.connect("/");
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let start = Instant::now();
                server.running.stop_async();
                server.hub.stop_async();
                assert!(start.elapsed() < PATIENCE);
            });
        }
    });
    say(&mut client, "sessions go on until the end");
    assert_eq!(text_of(&mut client), "sessions go on until the end");
    let closing = std::thread::spawn(move || close_of(&mut client));
    assert_eq!(server.stop_within(Duration::from_secs(10)).closed_cleanly, 1);
    assert_eq!(closing.join().unwrap().0, 1001);
}

#[test]
fn a_stop_asked_for_before_the_start_refuses_the_start() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let server = WsServer::new(config());
    server.hub().stop_async();
    assert!(matches!(
        server.start(&executor.spawner()),
        Err(WsError::StopRequested)
    ));
    let server = WsServer::new(config());
    server.hub().stop_async();
    let started = server.start_without_listener(&executor.spawner());
    assert!(matches!(started, Err(WsError::StopRequested)));
}

#[test]
fn after_stop_async_the_port_is_closed_and_open_connections_get_503() {
    let server = TestServer::start(echo(config()));
    let mut early = tcp(server.addr);
    // The first byte has been read when a second connection was served.
    early.write_all(b"G").unwrap();
    drop(server.connect("/"));
    server.running.stop_async();
    eventually("the port is closed", || {
        std::net::TcpStream::connect(server.addr).is_err()
    });
    early.write_all(&handshake("/", &[])[1..]).unwrap();
    let head = read_head(&mut early).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 503") && head.contains("retry-after: "),
        "{head}"
    );
}

#[test]
fn handshakes_in_flight_are_served_and_closed_or_refused() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let (addr, hub) = (server.addr, server.hub.clone());
    let (served, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (served, refused, hub) = (served.clone(), refused.clone(), hub.clone());
            std::thread::spawn(move || {
                while !hub.is_stopping() {
                    let Ok(stream) = std::net::TcpStream::connect(addr) else {
                        break;
                    };
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let url = format!("ws://{addr}/");
                    match tungstenite::client(url, stream) {
                        Ok((mut client, _)) => {
                            served.fetch_add(1, Ordering::SeqCst);
                            if hub.is_stopping() {
                                assert_eq!(close_of(&mut client).0, 1001, "served, so closed");
                            } else {
                                let _ = client.close(None);
                                while client.read().is_ok() {}
                            }
                        }
                        Err(_) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            })
        })
        .collect();
    eventually("handshakes flow", || served.load(Ordering::SeqCst) > 100);
    let report = server.stop_within(Duration::from_secs(10));
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (opens, closes) = record.counts();
    assert_eq!(opens, closes, "every session that was opened was closed");
    assert_eq!(opens as f64, metric(&hub, "ws_connections_total"));
    assert_eq!((hub.sessions(), report.cut_off), (0, 0));
}

#[test]
fn on_open_that_is_still_running_at_the_stop_is_followed_by_its_close() {
    let (entered, entering) = channel();
    let (release, released) = tokio::sync::watch::channel(false);
    let (closed, closes) = channel();
    let server = WsServer::new(config())
        .on_open(move |_| {
            entered.send(()).unwrap();
            let mut released = released.clone();
            async move {
                released.wait_for(|released| *released).await.unwrap();
            }
        })
        .on_close(move |_, info| {
            closed.send(info.code).unwrap();
            async {}
        });
    let server = TestServer::start(server);
    let (addr, hub) = (server.addr, server.hub.clone());
    let client = std::thread::spawn(move || close_of(&mut connect(addr, "/")));
    entering.recv_timeout(PATIENCE).unwrap();
    let stopping = std::thread::spawn(move || server.stop_within(Duration::from_secs(15)));
    eventually("the stop has begun", || hub.is_stopping());
    release.send(true).unwrap();
    assert_eq!(
        client.join().unwrap().0,
        1001,
        "it had been let in, so it is closed in order"
    );
    assert_eq!(stopping.join().unwrap().closed_cleanly, 1);
    assert_eq!(closes.recv_timeout(PATIENCE), Ok(1001));
}

#[test]
fn on_open_that_never_ends_is_cut_and_closed_once() {
    let (entered, entering) = channel();
    let (closed, closes) = channel();
    let server = WsServer::new(config())
        .on_open(move |_| {
            entered.send(()).unwrap();
            std::future::pending()
        })
        .on_close(move |_, info| {
            closed.send(info.code).unwrap();
            async {}
        });
    let server = TestServer::start(server);
    let mut stream = tcp(server.addr);
    stream.write_all(&handshake("/", &[])).unwrap();
    entering.recv_timeout(PATIENCE).unwrap();
    let report = server.stop_within(Duration::from_millis(300));
    assert_eq!(report.cut_off, 1);
    assert_eq!(closes.recv_timeout(PATIENCE), Ok(1006));
    assert!(closes.try_recv().is_err(), "once");
}

#[test]
fn a_client_that_leaves_during_on_open_gets_its_close_too() {
    let (entered, entering) = channel();
    let (closed, closes) = channel();
    let (release, released) = tokio::sync::watch::channel(false);
    let server = WsServer::new(config())
        .on_open(move |_| {
            entered.send(()).unwrap();
            let mut released = released.clone();
            async move {
                let _ = released.wait_for(|released| *released).await;
            }
        })
        .on_close(move |_, info| {
            closed.send(info.code).unwrap();
            async {}
        });
    let server = TestServer::start(server);
    let mut stream = tcp(server.addr);
    stream.write_all(&handshake("/", &[])).unwrap();
    entering.recv_timeout(PATIENCE).unwrap();
    drop(stream);
    release.send(true).unwrap();
    assert_eq!(closes.recv_timeout(PATIENCE), Ok(1006));
    eventually("nothing is left", || server.hub.sessions() == 0);
}

#[test]
fn a_busy_port_is_an_error_that_names_it() {
    let taken = TestServer::start(echo(config()));
    let port = taken.addr.port();
    let error = WsServer::new(WsConfig { port, ..config() }).bind().unwrap_err();
    let chain = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(chain.contains(&format!("127.0.0.1:{port}")), "{chain}");
}

#[test]
fn localhost_and_ipv6_can_be_bound() {
    for host in ["localhost", "::1", "127.0.0.1"] {
        let server = WsServer::new(WsConfig {
            host: host.to_owned(),
            ..config()
        })
        .bind()
        .unwrap();
        assert_ne!(server.local_addr().port(), 0, "{host}: the real port");
        assert!(server.local_addr().ip().is_loopback(), "{host}");
    }
}
