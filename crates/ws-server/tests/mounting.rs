//! The upgrade as a service: in a plain axum router, under `axum::serve` and under our own loop; other transports.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use core_executor::{BoundListener, Cause, Notice, RuntimeExecutor, ServeOptions};
use support::{
    PATIENCE, TestServer, block_on, close_of, config, connect, echo, eventually, say, text_of, try_connect,
};
use tower::ServiceExt;
use ws_server::{Encoded, Incoming, JsonMessage, Peer, Ready, StopPlan, TransportKind, WsServer};

fn router(server: &WsServer) -> Router {
    Router::new()
        .route("/", get(|| async { "page" }))
        .route_service("/ws", server.service())
}

/// A server that tells each client the address it comes from.
fn who() -> WsServer {
    echo(config()).on_open(|session| async move {
        session.send_text(format!("{:?}", session.remote_addr()));
    })
}

fn speaks(addr: SocketAddr) -> String {
    assert_eq!(try_connect(addr, "/elsewhere", &[]).err(), Some(404));
    let mut client = connect(addr, "/ws");
    let from = text_of(&mut client);
    say(&mut client, "hello");
    assert_eq!(text_of(&mut client), "hello");
    let local = client.get_ref().local_addr().unwrap();
    from.replace(&local.to_string(), "the client")
}

#[test]
fn in_an_axum_router_under_axum_serve() {
    for (with_address, from) in [(true, "Some(the client)"), (false, "None")] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let executor = RuntimeExecutor::on_current().unwrap();
        let server = who();
        let app = router(&server);
        let running = server.start_without_listener(&executor.spawner()).unwrap();
        assert_eq!(running.local_addr(), None);
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move {
            if with_address {
                axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
            } else {
                axum::serve(listener, app).await
            }
        });
        assert_eq!(speaks(addr), from);
        let mut client = connect(addr, "/ws");
        let closing = std::thread::spawn(move || close_of(&mut client));
        eventually("only one is left", || running.hub().sessions() == 1);
        let report = runtime.block_on(running.stop(StopPlan::within(Duration::from_secs(5))));
        assert_eq!((report.closed_cleanly, closing.join().unwrap().0), (1, 1001));
        assert_eq!(try_connect(addr, "/ws", &[]).err(), Some(503));
    }
}

#[test]
fn in_an_axum_router_under_our_own_loop_and_on_its_own_port_at_once() {
    let executor = RuntimeExecutor::with_threads(2).unwrap();
    let server = who();
    let app = router(&server);
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    let app = core_executor::serve(listener, app, ServeOptions::new("http"), &executor.spawner()).unwrap();
    assert_eq!(
        try_connect(app.local_addr(), "/ws", &[]).err(),
        Some(503),
        "not started yet"
    );
    let running = server.start(&executor.spawner()).unwrap();
    assert_eq!(speaks(app.local_addr()), "Some(the client)");
    let mut client = connect(running.local_addr().unwrap(), "/any/path");
    assert_eq!(
        text_of(&mut client),
        format!("Some({})", client.get_ref().local_addr().unwrap())
    );
    let report = block_on(running.stop(StopPlan::within(Duration::from_millis(500))));
    assert_eq!(report.sessions, 1);
}

#[test]
fn a_connection_that_cannot_be_upgraded_is_refused() {
    let server = TestServer::start(echo(config()));
    let request = http::Request::get("/ws")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let response = block_on(server.running.service().oneshot(request)).unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(server.hub.sessions(), 0);
}

#[test]
fn the_state_listener_hears_accepted_then_upgraded() {
    let (sender, notices) = channel();
    let server = echo(config()).connection_state_listener(move |notice: &Notice| {
        let cause = match notice.cause {
            Cause::Accepted(_) => "accepted",
            Cause::UpgradedToWebSocket => "upgraded",
            _ => "closed",
        };
        sender.send(cause).unwrap();
    });
    let server = TestServer::start(server);
    let client = server.connect("/");
    for expected in ["accepted", "upgraded"] {
        assert_eq!(notices.recv_timeout(PATIENCE), Ok(expected));
    }
    drop(client);
}

#[test]
fn another_transport_carries_a_session_with_the_same_handlers_rooms_and_order() {
    let (closed, closes) = channel();
    let server = echo(config())
        .on_open(|session| async move {
            session.join("room").unwrap();
            session.send_text("welcome");
        })
        .on_typed_message(|session, message| async move {
            session.send_json(&message);
        })
        .on_close(move |_, info| {
            closed.send(info).unwrap();
            async {}
        });
    let server = TestServer::start(server);
    let hub = &server.hub;
    block_on(async {
        let peer = Peer::new(None, "/ws/poll?x=1", &http::HeaderMap::new());
        let mut poll = hub.open_session(peer, TransportKind::LongPoll).await.unwrap();
        assert_eq!(poll.session().transport(), TransportKind::LongPoll);
        assert_eq!(poll.ready().await, Ready::Messages);
        poll.receive(Incoming::Text(r#"{"type":"x"}"#.into()))
            .await
            .unwrap();
        hub.publish("room", Encoded::text("to the room")).await.unwrap();
        let batch = poll.take_batch(10, 10_000);
        let texts: Vec<&str> = batch.iter().filter_map(Encoded::as_text).collect();
        let envelope = JsonMessage::parse(r#"{"type":"x"}"#, 8).unwrap().to_text();
        assert_eq!(texts, ["welcome", r#"{"type":"x"}"#, &envelope, "to the room"]);
        poll.written(&batch);
        let session = poll.session().clone();
        let (ready, ()) = tokio::join!(poll.ready(), async {
            tokio::task::yield_now().await;
            session.close(4003, "enough");
        });
        let Ready::Close(info) = ready else {
            panic!("{ready:?}")
        };
        poll.finish(info).await;
        let info = closes.recv_timeout(PATIENCE).unwrap();
        assert_eq!((info.code, &*info.reason), (4003, "enough"));

        let peer = Peer::new(None, "/", &http::HeaderMap::new());
        let dropped = hub.open_session(peer, TransportKind::Sse).await.unwrap();
        drop(dropped);
        assert_eq!(
            closes.recv_timeout(PATIENCE).unwrap().code,
            1006,
            "dropped, so closed"
        );
        assert_eq!(hub.sessions(), 0);
    });
}

#[test]
fn the_service_can_be_shared_by_any_number_of_routers() {
    let server = Arc::new(echo(config()));
    let (one, two) = (router(&server), router(&server));
    drop((one, two));
}
