//! Sessions over real sockets: callbacks, their order, data, panics, and the end of each.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use support::{
    Listener, PATIENCE, Record, Seen, TestServer, close_of, config, connect, echo, eventually, frame, metric,
    read_frame, say, text_of, try_connect,
};
use tungstenite::protocol::Message;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use ws_server::{ClosedBy, JsonMessage, Peer, SendOutcome, TransportKind, WsServer};

#[test]
fn text_and_binary_come_back_and_are_counted() {
    let server = TestServer::start(echo(config()));
    let mut client = server.connect("/anything?x=1");
    say(&mut client, "grüß");
    assert_eq!(text_of(&mut client), "grüß");
    let body = vec![7; 60_000];
    client.send(Message::binary(body.clone())).unwrap();
    assert_eq!(client.read().unwrap(), Message::binary(body));
    for (name, value) in [
        ("ws_connections_total", 1.0),
        ("ws_connections_active", 1.0),
        ("ws_messages_in_total", 2.0),
        ("ws_messages_out_total", 2.0),
        ("ws_errors_total", 0.0),
    ] {
        eventually(name, || (metric(&server.hub, name) - value).abs() < f64::EPSILON);
    }
    drop(client);
    eventually("the gauge falls", || {
        metric(&server.hub, "ws_connections_active") == 0.0
    });
}

#[test]
fn one_open_and_one_close_with_the_peers_code() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    client
        .close(Some(CloseFrame {
            code: CloseCode::Library(4001),
            reason: "done".into(),
        }))
        .unwrap();
    assert_eq!(close_of(&mut client), (4001, String::new()), "the code is echoed");
    let Seen::Open(id) = record.next() else {
        panic!("the open comes first")
    };
    assert_eq!(record.next(), Seen::Close(id, 4001, ClosedBy::Peer));
    assert_eq!(record.counts(), (1, 1));
}

#[test]
fn a_bare_end_is_1006_and_no_error() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    drop(server.raw());
    assert_eq!(record.close(), (1006, ClosedBy::Peer));
    assert_eq!(metric(&server.hub, "ws_errors_total"), 0.0);
    let mut empty_close = server.raw();
    empty_close.write_all(&frame(0x88, b"")).unwrap();
    assert_eq!(
        read_frame(&mut empty_close),
        Some((0x88, Vec::new())),
        "answered without a code"
    );
    assert_eq!(read_frame(&mut empty_close), None);
    assert_eq!(record.close(), (1005, ClosedBy::Peer));
}

#[test]
fn what_on_open_does_is_in_effect_before_the_client_is_open() {
    let server = WsServer::new(config()).on_open(|session| async move {
        session.join("lobby").unwrap();
        session.send_text("welcome");
    });
    let server = TestServer::start(server);
    let mut clients = Vec::new();
    for members in 1..=20 {
        let mut client = server.connect("/");
        assert_eq!(
            server.hub.room_size("lobby"),
            members,
            "joined when the 101 is out"
        );
        assert_eq!(text_of(&mut client), "welcome");
        clients.push(client);
    }
}

#[test]
fn a_session_knows_its_peer_and_keeps_data() {
    struct Name(String);
    let server = WsServer::new(config())
        .on_open(|session| async move {
            session.insert_data(Name("first".to_owned()));
            let before = session.insert_data(Name(session.query().unwrap_or_default().to_owned()));
            assert_eq!(before.unwrap().0, "first");
        })
        .on_message(|session, _| async move {
            let name = session.data::<Name>().unwrap();
            assert!(session.data::<u8>().is_none());
            let addr = session.remote_addr().unwrap();
            let agent = session.header("User-Agent").unwrap_or_default().to_owned();
            assert_eq!(session.headers()["user-agent"], agent.as_str());
            assert_eq!(session.transport(), TransportKind::WebSocket);
            session.send_text(format!("{} {} {} {}", session.path(), name.0, agent, addr));
        });
    let server = TestServer::start(server);
    let mut client = try_connect(server.addr, "/chat?me", &[("user-agent", "tester")]).unwrap();
    let local = client.get_ref().local_addr().unwrap();
    say(&mut client, "?");
    assert_eq!(text_of(&mut client), format!("/chat me tester {local}"));
}

#[test]
fn raw_then_relays_then_typed_and_only_envelopes_go_further() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (raw, typed) = (log.clone(), log.clone());
    let server = WsServer::new(config())
        .on_message(move |_, text| {
            raw.lock().unwrap().push(format!("raw {text}"));
            async { tokio::task::yield_now().await }
        })
        .relay(Arc::new(Listener(log.clone())))
        .on_typed_message(move |session, message| {
            typed.lock().unwrap().push(format!("typed {}", message.type_));
            async move {
                session.send_json(&message);
            }
        });
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    let envelope = r#"{"type":"a","payload":{"n":18446744073709551616}}"#;
    say(&mut client, "no envelope");
    say(&mut client, envelope);
    say(&mut client, r#"{"type":"relay.panic"}"#);
    assert_eq!(
        text_of(&mut client),
        r#"{"kind":"event","payload":{"n":18446744073709551616},"type":"a"}"#
    );
    assert_eq!(
        text_of(&mut client),
        r#"{"kind":"event","payload":{},"type":"relay.panic"}"#
    );
    let expected = [
        "raw no envelope".to_owned(),
        format!("raw {envelope}"),
        "relay a".to_owned(),
        "typed a".to_owned(),
        r#"raw {"type":"relay.panic"}"#.to_owned(),
        "relay relay.panic".to_owned(),
        "typed relay.panic".to_owned(),
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    assert_eq!(
        metric(&server.hub, "ws_panics_total"),
        1.0,
        "a relay's panic is counted and stops nothing"
    );
}

#[test]
fn messages_of_a_session_keep_their_order_whatever_their_handlers_wait_for() {
    let server = WsServer::new(config()).on_message(|session, text| async move {
        for _ in 0..text.len() % 3 {
            tokio::task::yield_now().await;
        }
        session.send_text(text);
    });
    let server = TestServer::start(server);
    let mut stream = server.raw();
    let texts: Vec<String> = (0..2000)
        .map(|number| format!("{number}{}", "x".repeat(number % 7)))
        .collect();
    let bytes: Vec<u8> = texts
        .iter()
        .flat_map(|text| frame(0x81, text.as_bytes()))
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for text in texts {
        assert_eq!(read_frame(&mut stream), Some((0x81, text.into_bytes())));
    }
    writing.join().unwrap();
}

#[test]
fn a_session_that_waits_delays_no_other_and_still_answers_pings() {
    let server = WsServer::new(config()).on_message(|session, text| async move {
        if text == "wait" {
            std::future::pending::<()>().await;
        }
        session.send_text(text);
    });
    let server = TestServer::start(server);
    let mut waiting = server.raw();
    waiting.write_all(&frame(0x81, b"wait")).unwrap();
    waiting.write_all(&frame(0x89, b"ping")).unwrap();
    assert_eq!(read_frame(&mut waiting), Some((0x8a, b"ping".to_vec())));
    for _ in 0..4 {
        let mut other = server.connect("/");
        say(&mut other, "hello");
        assert_eq!(text_of(&mut other), "hello");
    }
}

#[test]
fn a_panicking_handler_ends_its_session_with_1011_and_nothing_else() {
    let server = WsServer::new(config())
        .on_message(|session, text| {
            assert!(text != "panic at once", "asked to");
            async move {
                tokio::task::yield_now().await;
                assert!(text != "panic", "asked to");
                session.send_text(text);
            }
        })
        .on_typed_message(|_, _| async { panic!("asked to") });
    let (server, record) = Record::watch(server);
    let server = TestServer::start(server);
    let mut bystander = server.connect("/");
    for (number, text) in ["panic at once", "panic", r#"{"type":"x"}"#]
        .into_iter()
        .enumerate()
    {
        let mut client = server.connect("/");
        say(&mut client, text);
        assert_eq!(close_of(&mut client).0, 1011, "{text}");
        assert_eq!(record.error(), "a handler panicked");
        assert_eq!(record.close(), (1011, ClosedBy::Error));
        assert_eq!(metric(&server.hub, "ws_panics_total"), number as f64 + 1.0);
        assert_eq!(metric(&server.hub, "ws_errors_total"), number as f64 + 1.0);
    }
    say(&mut bystander, "still here");
    assert_eq!(text_of(&mut bystander), "still here");
}

#[test]
fn panics_in_open_error_and_close_are_caught_too() {
    let (sender, closes) = std::sync::mpsc::channel();
    let server = WsServer::new(config())
        .on_open(|session| async move { assert!(session.path() != "/panic", "asked to") })
        .on_message(|_, _| async { panic!("asked to") })
        .on_error(|_, _| async { panic!("asked to") })
        .on_close(move |_, info| {
            sender.send(info.code).unwrap();
            async { panic!("asked to") }
        });
    let server = TestServer::start(server);
    assert_eq!(try_connect(server.addr, "/panic", &[]).err(), Some(500));
    assert_eq!(closes.recv_timeout(PATIENCE), Ok(1011), "registered, so closed");
    let mut client = server.connect("/");
    say(&mut client, "x");
    assert_eq!(close_of(&mut client).0, 1011);
    assert_eq!(closes.recv_timeout(PATIENCE), Ok(1011));
    eventually("no session is left", || server.hub.sessions() == 0);
    assert_eq!(
        metric(&server.hub, "ws_panics_total"),
        6.0,
        "open, error, close; message, error, close"
    );
}

#[test]
fn the_server_closes_after_what_it_has_sent() {
    let (server, record) = Record::watch(WsServer::new(config()).on_message(|session, text| async move {
        session.send_text("last words");
        assert!(session.close(text.parse().unwrap(), "bye"));
        assert!(!session.close(4999, "again"), "only the first counts");
        assert_eq!(session.send_text("too late"), SendOutcome::Closed);
    }));
    let server = TestServer::start(server);
    for (asked, sent) in [("4002", 4002), ("1000", 1000), ("1006", 1011), ("999", 1011)] {
        let mut client = server.connect("/");
        say(&mut client, asked);
        assert_eq!(text_of(&mut client), "last words");
        assert_eq!(close_of(&mut client), (sent, "bye".to_owned()));
        assert_eq!(record.close(), (sent, ClosedBy::Server));
    }
}

#[test]
fn a_detached_session_runs_typed_handlers_and_can_be_sent_nothing() {
    let (sender, seen) = std::sync::mpsc::channel();
    let server = WsServer::new(config()).on_typed_message(move |session, message| {
        let outcome = session.send_text("nobody hears this");
        let joined = session.join("room").is_ok();
        sender.send((message.type_, outcome, joined)).unwrap();
        async {}
    });
    let server = TestServer::start(server);
    let session = server
        .hub
        .detached_session(Peer::new(None, "/ws/send", &http::HeaderMap::new()));
    support::block_on(server.hub.dispatch(&session, JsonMessage::empty("posted"))).unwrap();
    let expected = ("posted".to_owned(), SendOutcome::Closed, false);
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(expected));
    assert_eq!(
        (server.hub.sessions(), session.transport()),
        (0, TransportKind::Detached)
    );
}

#[test]
fn sessions_have_ids_of_their_own() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let clients: Vec<_> = (0..10).map(|_| connect(server.addr, "/")).collect();
    let ids: BTreeSet<u64> = clients
        .iter()
        .map(|_| match record.next() {
            Seen::Open(id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids.len(), 10);
}
