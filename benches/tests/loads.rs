//! Every load against a server in this process, and against servers that are wrong.

use std::time::Duration;

use axum::routing::get;
use benches::modes::{Idle, Load, beside, echo, handshakes, idle, plaintext, room};
use benches::{LoadError, Process};
use core_executor::RuntimeExecutor;
use http_app::{App, AppConfig};
use ws_server::{Encoded, RunningWsServer, Session, WsConfig, WsServer};

const ROOM: &str = "all";

/// A server on a thread of its own, and the load that fits it.
fn against(server: WsServer) -> (RuntimeExecutor, RunningWsServer, Load) {
    let executor = RuntimeExecutor::with_threads(1).expect("a thread can be started");
    let server = server
        .start(&executor.spawner())
        .expect("a free port can be bound");
    let load = Load {
        address: server.local_addr().expect("it has a listener of its own"),
        path: "/".to_owned(),
        server: Some(Process::new(std::process::id())),
        connections: 20,
        size: 1000,
        in_flight: 4,
        window: Duration::from_millis(100),
        warm_up: Duration::from_millis(20),
        is_deflated: false,
        is_binary: false,
        messages: None,
    };
    (executor, server, load)
}

fn server() -> WsServer {
    WsServer::new(WsConfig {
        port: 0,
        ..WsConfig::default()
    })
}

fn echoing() -> WsServer {
    server()
        .on_message(|session, text| async move {
            session.send(Encoded::text(text));
        })
        .on_binary(|session, body| async move {
            session.send(Encoded::binary(body));
        })
}

#[test]
fn an_echo_is_measured() {
    let (_executor, _server, load) = against(echoing());
    let measured = echo(&load).unwrap();
    assert!(measured.messages > 0 && measured.server_cpu > 0.0, "{measured:?}");
    assert!(measured.p50 > 0.0 && measured.p50 <= measured.p99 && measured.p99 <= measured.max);
    let binary = Load {
        is_binary: true,
        messages: Some(100),
        ..load
    };
    assert!(echo(&binary).unwrap().messages >= 100);
}

#[test]
fn a_room_is_measured() {
    let in_room = server()
        .on_open(|session: Session| async move {
            session.join(ROOM).unwrap();
        })
        .on_message(|session, text| async move {
            session.hub().publish(ROOM, Encoded::text(text)).await.unwrap();
        });
    let (_executor, _server, load) = against(in_room);
    assert!(room(&load).unwrap().messages > 0);
    let counted = Load {
        messages: Some(100),
        ..load
    };
    assert_eq!(
        room(&counted).unwrap().messages % 20,
        0,
        "every member hears every message"
    );
}

#[test]
fn handshakes_and_silence_are_measured() {
    let (_executor, server, load) = against(echoing());
    assert!(handshakes(&load).unwrap().messages > 0);
    let silence = Idle {
        touch: 100,
        rest: Duration::from_millis(10),
    };
    assert_eq!(idle(&load, silence).unwrap().messages, 20);
    assert!(server.hub().metrics().messages_received() >= 20);
}

#[test]
fn a_server_that_answers_wrong_gives_no_figures() {
    let shouting = server().on_message(|session, text| async move {
        session.send_text(text.to_uppercase());
    });
    let (_executor, _server, load) = against(shouting);
    assert!(matches!(echo(&load), Err(LoadError::Wrong(_))));
}

#[test]
fn a_server_that_does_not_answer_gives_no_figures() {
    let (_executor, _server, load) = against(server());
    let counted = Load {
        window: Duration::from_millis(1),
        warm_up: Duration::from_millis(1),
        ..load
    };
    assert!(matches!(echo(&counted), Err(LoadError::Missing(_))));
}

/// A page beside the WebSocket server, on the same thread.
fn page(executor: &RuntimeExecutor, text: &'static str) -> http_app::RunningApp {
    let config = AppConfig {
        port: 0,
        ..AppConfig::default()
    };
    App::new(config)
        .route("/plaintext", get(move || async move { text }))
        .listen(&executor.spawner())
        .expect("a free port can be bound")
}

#[test]
fn pages_are_measured_alone_pipelined_and_beside_a_flood() {
    let (executor, _server, echoes) = against(echoing());
    let flood = (echoes.address, echoes.path.clone());
    let app = page(&executor, "Hello, World!");
    let load = Load {
        address: app.local_addr(),
        path: "/plaintext".to_owned(),
        ..echoes
    };
    let measured = plaintext(&load).unwrap();
    assert!(measured.messages > 0 && measured.server_cpu > 0.0, "{measured:?}");
    assert!(measured.p50 > 0.0 && measured.p50 <= measured.p99);
    let counted = Load {
        messages: Some(200),
        in_flight: 16,
        ..load
    };
    assert!(plaintext(&counted).unwrap().messages >= 200);
    assert!(beside(&counted, flood.0, &flood.1).unwrap().messages >= 200);
}

#[test]
fn a_wrong_page_gives_no_figures() {
    let (executor, _server, echoes) = against(server());
    let app = page(&executor, "Good bye, World!");
    let load = Load {
        address: app.local_addr(),
        path: "/plaintext".to_owned(),
        ..echoes
    };
    assert!(matches!(plaintext(&load), Err(LoadError::Wrong(_))));
}
