//! The end: every session gets its Close, one `on_close`, and nobody is waited for past the deadline.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use support::{
    PATIENCE, Record, TestServer, block_on, close_of, config, connect, echo, eventually, frame, handshake,
    metric, read_close, read_frame, read_head, say, tcp, text_of, try_connect,
};
use ws_server::{ClosedBy, Hub, StopPlan, TransportKind, WsConfig, WsError, WsServer};

#[test]
fn every_session_gets_1001_and_one_on_close() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.connect("/");
            std::thread::spawn(move || close_of(&mut client))
        })
        .collect();
    let report = server.stop_within(Duration::from_secs(10));
    for client in clients {
        assert_eq!(client.join().unwrap(), (1001, String::new()));
    }
    assert_eq!(
        (report.sessions, report.closed_cleanly, report.cut_off),
        (200, 200, 0)
    );
    assert_eq!(record.counts(), (200, 200));
    assert_eq!((hub.sessions(), metric(&hub, "ws_connections_active")), (0, 0.0));
}

#[test]
fn what_is_queued_goes_out_before_the_close_and_clients_are_asked_back_spread_out() {
    let server = TestServer::start(WsServer::new(config()));
    let mut clients: Vec<_> = (0..4).map(|_| server.raw()).collect();
    eventually("all are open", || server.hub.sessions() == 4);
    for number in 0..100 {
        block_on(server.hub.broadcast_text(format!("{number}"))).unwrap();
    }
    let TestServer {
        running, executor, ..
    } = server;
    let stopping = std::thread::spawn(move || {
        block_on(async {
            let plan = StopPlan {
                code: 1012,
                retry_window: Duration::from_secs(4),
                ..StopPlan::within(Duration::from_secs(10))
            };
            let report = running.stop(plan).await;
            drop(executor);
            report
        })
    });
    let mut reasons = Vec::new();
    for client in &mut clients {
        for number in 0..100 {
            assert_eq!(read_frame(client), Some((0x81, number.to_string().into_bytes())));
        }
        let (code, reason) = read_close(client);
        assert_eq!(code, 1012);
        reasons.push(reason);
        client.write_all(&frame(0x88, &[3, 0xf4])).unwrap();
    }
    reasons.sort();
    assert_eq!(reasons, ["retry=0", "retry=1000", "retry=2000", "retry=3000"]);
    let report = stopping.join().unwrap();
    assert_eq!((report.closed_cleanly, report.undelivered_messages), (4, 0));
}

#[test]
fn the_walk_is_paced() {
    let server = TestServer::start(WsServer::new(config()));
    let clients: Vec<_> = (0..20).map(|_| server.connect("/")).collect();
    let closers: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || close_of(&mut client)))
        .collect();
    let start = Instant::now();
    let plan = StopPlan {
        batch_per_second: 100,
        ..StopPlan::within(Duration::from_secs(10))
    };
    let TestServer {
        running, executor, ..
    } = server;
    let report = block_on(running.stop(plan));
    assert!(
        start.elapsed() >= Duration::from_millis(190),
        "20 sessions at 100 a second"
    );
    assert_eq!(report.closed_cleanly, 20);
    closers
        .into_iter()
        .for_each(|closer| assert_eq!(closer.join().unwrap().0, 1001));
    drop(executor);
}

#[test]
fn a_peer_that_never_answers_is_not_waited_for_past_the_close_limit() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let mut silent = server.raw();
    let start = Instant::now();
    let report = server.stop_within(Duration::from_secs(15));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "the close limit, not the deadline"
    );
    assert_eq!((report.sessions, report.unanswered), (1, 1));
    assert_eq!(read_close(&mut silent).0, 1001);
    assert_eq!(record.close(), (1001, ClosedBy::Shutdown));
}

#[test]
fn a_running_handler_may_finish_and_its_answer_arrives() {
    let (release, released) = tokio::sync::watch::channel(false);
    let (entered, entering) = channel();
    let server = WsServer::new(config()).on_message(move |session, _| {
        entered.send(()).unwrap();
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            session.send_text("answer");
        }
    });
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let mut client = server.connect("/");
    say(&mut client, "question");
    entering.recv_timeout(PATIENCE).unwrap();
    let stopping = std::thread::spawn(move || server.stop_within(Duration::from_secs(15)));
    eventually("the stop has begun", || hub.is_stopping());
    release.send(true).unwrap();
    assert_eq!(text_of(&mut client), "answer");
    assert_eq!(close_of(&mut client).0, 1001);
    assert_eq!(stopping.join().unwrap().closed_cleanly, 1);
}

#[test]
fn a_handler_that_never_ends_is_given_up_before_the_deadline_and_its_client_gets_its_close() {
    let (server, record) = Record::watch(WsServer::new(config()).on_message(|session, _| async move {
        session.send_text("running");
        std::future::pending::<()>().await;
    }));
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    say(&mut client, "x");
    assert_eq!(text_of(&mut client), "running");
    let closing = std::thread::spawn(move || close_of(&mut client));
    let start = Instant::now();
    let report = server.stop_within(Duration::from_secs(1));
    assert!(
        start.elapsed() >= Duration::from_millis(600),
        "the handler has its time"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(closing.join().unwrap().0, 1001);
    assert_eq!((report.sessions, report.closed_cleanly), (1, 1));
    assert_eq!(record.counts(), (1, 1));
}

#[test]
fn blocked_workers_do_not_hold_the_stop_past_its_deadline() {
    let release = Arc::new(AtomicBool::new(false));
    let (blocker, entered) = (release.clone(), Arc::new(AtomicUsize::new(0)));
    let entering = entered.clone();
    let server = WsServer::new(config()).on_message(move |_, _| {
        let (blocker, entering) = (blocker.clone(), entering.clone());
        async move {
            entering.fetch_add(1, Ordering::SeqCst);
            while !blocker.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    });
    let (server, record) = Record::watch(server);
    let TestServer {
        executor,
        running,
        hub,
        addr,
    } = TestServer::start(server);
    // Connections are dealt out in turn, so two block both workers.
    let mut clients: Vec<_> = (0..2).map(|_| connect(addr, "/")).collect();
    clients.iter_mut().for_each(|client| say(client, "block"));
    eventually("both workers are blocked", || entered.load(Ordering::SeqCst) == 2);
    let start = Instant::now();
    let report = block_on(running.stop(StopPlan::within(Duration::from_millis(500))));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!((report.sessions, report.cut_off), (2, 2));
    assert_eq!(
        record.counts(),
        (2, 2),
        "on_close was called although the tasks did not answer"
    );
    assert_eq!(hub.sessions(), 0);
    release.store(true, Ordering::SeqCst);
    block_on(executor.stop_and_wait(Duration::from_secs(5)));
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
fn dropping_a_running_server_closes_its_sessions() {
    let (server, record) = Record::watch(echo(config()));
    let TestServer {
        executor,
        running,
        addr,
        ..
    } = TestServer::start(server);
    let mut client = connect(addr, "/");
    drop(running);
    assert_eq!(close_of(&mut client).0, 1001);
    assert_eq!(record.close(), (1001, ClosedBy::Shutdown));
    drop(executor);
}

#[test]
fn an_executor_that_ends_first_still_gets_every_on_close() {
    let (server, record) = Record::watch(echo(config()));
    let TestServer {
        executor,
        running,
        addr,
        hub,
    } = TestServer::start(server);
    let clients: Vec<_> = (0..10).map(|_| connect(addr, "/")).collect();
    block_on(executor.stop_and_wait(Duration::from_millis(100)));
    eventually("every session ended", || record.counts() == (10, 10));
    assert_eq!(hub.sessions(), 0);
    let report = block_on(running.stop(StopPlan::within(Duration::from_secs(5))));
    assert_eq!(report.closed_cleanly, 0);
    drop(clients);
}

#[test]
fn the_hub_lets_go_of_the_callbacks_at_the_end() {
    let probe = Arc::new(());
    let captured = probe.clone();
    let server = WsServer::new(config());
    let hub = server.hub();
    let in_callback = hub.clone();
    let server = server.on_message(move |_, _| {
        let _both = (&captured, &in_callback);
        async {}
    });
    let server = TestServer::start(server);
    drop(server.connect("/"));
    assert_eq!(Arc::strong_count(&probe), 2);
    server.stop_within(Duration::from_secs(5));
    eventually("the callback is dropped", || Arc::strong_count(&probe) == 1);
    let refused = block_on(open(&hub));
    assert_eq!(refused, Some(503), "an ended server opens nothing");
}

async fn open(hub: &Hub) -> Option<u16> {
    let peer = ws_server::Peer::new(None, "/", &http::HeaderMap::new());
    hub.open_session(peer, TransportKind::LongPoll)
        .await
        .err()
        .map(|refusal| refusal.status().as_u16())
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
