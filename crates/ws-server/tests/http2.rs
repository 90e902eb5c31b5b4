//! WebSocket over HTTP/2 (RFC 8441): the same sessions on streams of one connection.

#![allow(clippy::unwrap_used, reason = "this is test code")]

#[path = "support/http2.rs"]
mod http2_client;
mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use core_executor::{
    BoundListener, Cause, CloseReason, ExecutorConfig, Notice, RuntimeExecutor, ServeOptions,
};
use h2::ext::Protocol;
use http::{Method, Request};
use http2_client::{CLOSE, Connection, TEXT, soon};
use support::{PATIENCE, Record, TestServer, config, echo, eventually, frame};
use tokio::runtime::{Builder, Runtime};
use ws_server::{ClosedBy, HandshakeRequest, Refusal, StopPlan, WsConfig};

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_session_from_its_handshake_to_its_close() {
    let server = echo(config()).on_open(|session| async move {
        let (path, query, host) = (session.path(), session.query(), session.header("host"));
        session.send_text(format!("{path} {query:?} {host:?}"));
    });
    let server = TestServer::start(server);
    runtime().block_on(async {
        let mut connection = Connection::open(server.addr).await;
        let mut session = connection.session("/chat?room=1").await;
        session.says("/chat Some(\"room=1\") Some(\"localhost\")").await;
        session.send(TEXT, b"hello");
        session.says("hello").await;
        session.send(0x89, b"ping");
        assert_eq!(session.frame().await, Some((0x8a, b"ping".to_vec())));
        // A message in two fragments, cut where no frame ends.
        let bytes = [frame(0x01, b"in "), frame(0x80, b"parts")].concat();
        for piece in bytes.chunks(3) {
            session
                .sink
                .send_data(Bytes::copy_from_slice(piece), false)
                .unwrap();
        }
        session.says("in parts").await;
        session.send(CLOSE, &1000_u16.to_be_bytes());
        assert_eq!(session.code_of_close().await, 1000);
        assert_eq!(session.frame().await, None, "the stream ends behind the Close");
        eventually("it has ended", || server.hub.sessions() == 0);

        // The connection goes on.
        let mut again = connection.session("/again").await;
        again.says("/again None Some(\"localhost\")").await;
        again.send(TEXT, b"again");
        again.says("again").await;
    });
}

#[test]
fn handshakes_that_are_refused_leave_the_connection() {
    let server = echo(config()).authorize(|request: HandshakeRequest| async move {
        assert_eq!(request.header("host"), Some("localhost"));
        assert_eq!(request.uri.to_string(), request.path());
        match request.path() {
            "/secret" => Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "who are you?")),
            _ => Ok(()),
        }
    });
    let server = TestServer::start(server);
    runtime().block_on(async {
        let mut connection = Connection::open(server.addr).await;
        type Change = fn(&mut Request<()>);
        let rows: [(&str, &str, u16, Change); 6] = [
            ("RFC 9220 §3", "/", 501, |request| {
                request
                    .extensions_mut()
                    .insert(Protocol::from_static("connect-udp"));
            }),
            ("RFC 9110 §9.3.6: no :protocol", "/", 405, |request| {
                request.extensions_mut().remove::<Protocol>();
                *request.uri_mut() = "localhost:80".parse().unwrap();
            }),
            ("RFC 6455 §4.4", "/", 426, |request| {
                request
                    .headers_mut()
                    .insert("sec-websocket-version", "8".parse().unwrap());
            }),
            ("RFC 6455 §10.2", "/", 403, |request| {
                request
                    .headers_mut()
                    .insert("origin", "https://evil.example".parse().unwrap());
            }),
            ("authorize", "/secret", 401, |_| {}),
            ("GET over HTTP/2", "/", 400, |request| {
                *request.method_mut() = Method::GET;
                request.extensions_mut().remove::<Protocol>();
            }),
        ];
        for (what, path, status, change) in rows {
            let refused = connection.try_session(path, change).await.err();
            assert_eq!(refused, Some(status), "{what}");
        }
        let mut session = connection
            .try_session("/", |request| {
                request
                    .headers_mut()
                    .insert("origin", "https://localhost:1".parse().unwrap());
            })
            .await
            .expect("the same host");
        session.send(TEXT, b"in");
        session.says("in").await;
    });
}

#[test]
fn sessions_of_one_connection_end_apart_and_with_it_together() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    runtime().block_on(async {
        let mut connection = Connection::open(server.addr).await;
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(connection.session("/").await);
        }
        eventually("five", || server.hub.sessions() == 5);
        let mut first = sessions.remove(0);
        first.sink.send_reset(h2::Reason::CANCEL);
        eventually("four", || server.hub.sessions() == 4);
        for session in &mut sessions {
            session.send(TEXT, b"still here");
            session.says("still here").await;
        }
        connection.task.abort();
        eventually("none", || server.hub.sessions() == 0);
    });
    eventually("five closes", || record.counts() == (5, 5));
}

#[test]
fn a_stop_closes_every_session_then_the_connection_which_was_never_upgraded() {
    let (sender, notices) = channel();
    let server = echo(config()).connection_state_listener(move |notice: &Notice| {
        let _ = sender.send(notice.cause.clone());
    });
    let server = TestServer::start(server);
    let runtime = runtime();
    let (connection, mut sessions) = runtime.block_on(async {
        let mut connection = Connection::open(server.addr).await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(connection.session("/").await);
        }
        (connection, sessions)
    });
    let ending = std::thread::spawn(move || {
        let begin = Instant::now();
        (server.stop_within(Duration::from_secs(10)), begin.elapsed())
    });
    runtime.block_on(async {
        for session in &mut sessions {
            assert_eq!(session.code_of_close().await, 1001);
            session.send(CLOSE, &1001_u16.to_be_bytes());
            assert_eq!(session.frame().await, None);
        }
        drop(connection.requests);
        assert!(
            soon(connection.task).await.unwrap().is_ok(),
            "GOAWAY without an error"
        );
    });
    let (report, took) = ending.join().unwrap();
    assert_eq!(
        (report.sessions, report.closed_cleanly, report.cut_off),
        (3, 3, 0)
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    let words: Vec<_> = notices.try_iter().collect();
    assert!(matches!(words[0], Cause::Accepted(_)), "{words:?}");
    match &words[1..] {
        [Cause::Closed(closed)] => {
            assert_eq!((closed.reason, closed.requests), (CloseReason::ServerStop, 3));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_opens_no_window_is_given_up() {
    let (sender, closes) = channel();
    let server = echo(WsConfig {
        write_stall_timeout: Duration::from_millis(500),
        ..config()
    })
    .on_open(|session| async move {
        for _ in 0..64 {
            session.send_text("x".repeat(4096));
        }
    })
    .on_close(move |_, info| {
        let _ = sender.send(info);
        async {}
    });
    let server = TestServer::start(server);
    runtime().block_on(async {
        let mut connection = Connection::open(server.addr).await;
        let _unread = connection.session("/").await;
        let info = closes.recv_timeout(PATIENCE).expect("it is given up");
        assert_eq!(info.by, ClosedBy::Slow, "{info:?}");
    });
}

#[test]
fn mounted_in_a_router_beside_routes_on_one_connection() {
    let executor = RuntimeExecutor::with_threads(2).unwrap();
    let server = echo(config());
    let app = axum::Router::new()
        .route("/", axum::routing::get(|| async { "page" }))
        .route_service("/ws", server.service());
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    let app = core_executor::serve(listener, app, ServeOptions::new("http"), &executor.spawner()).unwrap();
    let running = server.start_without_listener(&executor.spawner()).unwrap();
    let runtime = runtime();
    let (connection, mut session) = runtime.block_on(async {
        let mut connection = Connection::open(app.local_addr()).await;
        let mut session = connection.session("/ws").await;
        let get = Request::get("http://localhost/").body(()).unwrap();
        let (answer, _) = connection.requests.send_request(get, true).unwrap();
        let mut body = soon(answer).await.unwrap().into_body();
        assert_eq!(soon(body.data()).await.unwrap().unwrap(), "page");
        session.send(TEXT, b"both");
        session.says("both").await;
        assert_eq!(
            connection.try_session("/elsewhere", |_| {}).await.err(),
            Some(404)
        );
        (connection, session)
    });
    // Requests are answered although the session keeps the connection; the session then ends in order.
    app.begin_drain();
    runtime.block_on(soon(app.requests_answered()));
    let ending = runtime.spawn(running.stop(StopPlan::within(Duration::from_secs(10))));
    runtime.block_on(async {
        assert_eq!(session.code_of_close().await, 1001);
        session.send(CLOSE, &1001_u16.to_be_bytes());
        let report = soon(ending).await.unwrap();
        assert_eq!((report.closed_cleanly, report.cut_off), (1, 0));
        drop((session, connection));
        let drained = app
            .drained(tokio::time::Instant::now() + Duration::from_secs(5))
            .await;
        assert_eq!(drained.cut, 0);
    });
}

#[test]
fn each_session_takes_a_place_among_the_connections() {
    let mut limits = ExecutorConfig {
        threads: 2,
        ..ExecutorConfig::default()
    };
    limits.connections.max_connections = Some(3);
    let executor = RuntimeExecutor::new(limits).unwrap();
    let running = echo(config()).start(&executor.spawner()).unwrap();
    runtime().block_on(async {
        let mut connection = Connection::open(running.local_addr().unwrap()).await;
        let first = connection.session("/").await;
        let _second = connection.session("/").await;
        assert_eq!(connection.try_session("/", |_| {}).await.err(), Some(503));
        drop(first);
        let begin = Instant::now();
        while connection.try_session("/", |_| {}).await.is_err() {
            assert!(begin.elapsed() < PATIENCE, "the place is not given back");
        }
    });
}
