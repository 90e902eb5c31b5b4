//! Sessions over real sockets: callbacks, their order, rooms, broadcasts, data, panics.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use support::{
    PATIENCE, Record, Seen, TestServer, close_of, config, connect, echo, eventually, frame, handshake,
    metric, read_frame, read_head, say, tcp, text_of, try_connect,
};
use tungstenite::protocol::Message;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use ws_server::{
    ClosedBy, Encoded, HandshakeRequest, JsonMessage, Peer, Refusal, Relay, SendOutcome, Session, Target,
    TransportKind, WsConfig, WsError, WsServer,
};

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
    for members in 1..=20 {
        let mut client = server.connect("/");
        assert_eq!(
            server.hub.room_size("lobby"),
            members,
            "joined when the 101 is out"
        );
        assert_eq!(text_of(&mut client), "welcome");
        std::mem::forget(client);
    }
}

#[test]
fn a_frame_right_behind_the_handshake_is_delivered() {
    let server = TestServer::start(echo(config()));
    let mut stream = tcp(server.addr);
    let mut bytes = handshake("/", &[]);
    bytes.extend(frame(0x81, b"early"));
    stream.write_all(&bytes).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101"));
    assert_eq!(read_frame(&mut stream), Some((0x81, b"early".to_vec())));
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

/// Writes down what it hears.
struct Listener(Arc<Mutex<Vec<String>>>);

impl Relay for Listener {
    fn session_message(&self, _: &Session, message: &JsonMessage) {
        self.0.lock().unwrap().push(format!("relay {}", message.type_));
        assert!(message.type_ != "relay.panic", "asked to");
    }

    fn broadcast(&self, target: Target<'_>, message: &Encoded) {
        let text = message.as_text().unwrap_or("binary").to_owned();
        self.0.lock().unwrap().push(format!("{target:?} {text}"));
    }
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
fn broadcasts_reach_the_room_all_or_all_but_one() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let server = WsServer::new(config())
        .relay(Arc::new(Listener(log.clone())))
        .on_open(|session| async move {
            let room = session.path().trim_start_matches('/').to_owned();
            session.join(&room).unwrap();
            session.join(&room).unwrap();
        })
        .on_message(|session, text| async move {
            let hub = session.hub().clone();
            let published = match &*text {
                "room" => hub.broadcast_text_to_room("a", "to a").await,
                "room but me" => hub.publish_except("a", &session, Encoded::text("a but me")).await,
                "all" => hub.broadcast_text("to all").await,
                "all but me" => hub.broadcast_except(&session, Encoded::text("all but me")).await,
                "binary" => hub.broadcast_binary_to_room("b", [1, 2]).await,
                "binary all" => hub.broadcast_binary([3]).await,
                "json" => {
                    hub.broadcast_json_to_room("a", &JsonMessage::empty("x").with_room("a"))
                        .await
                }
                "json all" => hub.broadcast_json(&JsonMessage::empty("y")).await,
                _ => hub.publish("nobody", Encoded::text("lost")).await,
            };
            session.send_text(format!("{}", published.unwrap().delivered));
        });
    let server = TestServer::start(server);
    let (mut a1, mut a2, mut b) = (server.connect("/a"), server.connect("/a"), server.connect("/b"));
    let mut ask = |text: &str, count: &str, a1_gets: &[&str], a2_gets: &[&str], b_gets: &[Message]| {
        say(&mut a1, text);
        let own: Vec<String> = a1_gets.iter().map(|_| text_of(&mut a1)).collect();
        assert_eq!(own, a1_gets, "{text}: the sender");
        assert_eq!(text_of(&mut a1), count, "{text}: delivered");
        let others: Vec<String> = a2_gets.iter().map(|_| text_of(&mut a2)).collect();
        assert_eq!(others, a2_gets, "{text}: the other member");
        for message in b_gets {
            assert_eq!(b.read().unwrap(), *message, "{text}: the other room");
        }
    };
    ask("room", "2", &["to a"], &["to a"], &[]);
    ask("room but me", "1", &[], &["a but me"], &[]);
    ask("all", "3", &["to all"], &["to all"], &[Message::text("to all")]);
    ask(
        "all but me",
        "2",
        &[],
        &["all but me"],
        &[Message::text("all but me")],
    );
    ask("binary", "1", &[], &[], &[Message::binary(vec![1, 2])]);
    let json = r#"{"payload":{},"room":"a","type":"x"}"#;
    ask("json", "2", &[json], &[json], &[]);
    let json = r#"{"payload":{},"type":"y"}"#;
    ask("json all", "3", &[json], &[json], &[Message::text(json)]);
    ask("nobody", "0", &[], &[], &[]);
    let relayed = log.lock().unwrap();
    assert!(relayed.contains(&r#"Room("a") to a"#.to_owned()), "{relayed:?}");
    assert!(relayed.contains(&"All to all".to_owned()), "{relayed:?}");
    assert_eq!(relayed.len(), 8, "each publication once: {relayed:?}");
}

#[test]
fn rooms_are_bounded_and_vanish_with_their_last_member() {
    let settings = WsConfig {
        max_rooms_per_session: 2,
        max_room_name: 4,
        ..config()
    };
    let server = WsServer::new(settings).on_message(|session, name| async move {
        let outcome = match name.strip_prefix('-') {
            Some(name) => session.leave(name).to_string(),
            None => session
                .join(&name)
                .map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        };
        session.send_text(outcome);
    });
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    for (say_this, answer) in [
        ("one", "ok"),
        ("two", "ok"),
        ("two", "ok"),
        ("tre", "the session is in 2 rooms already"),
        ("-one", "true"),
        ("-one", "false"),
        ("tre", "ok"),
        ("five!", "a room's name has 5 bytes, 4 are allowed"),
        ("", "a room needs a name"),
    ] {
        say(&mut client, say_this);
        assert_eq!(text_of(&mut client), answer, "{say_this}");
    }
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 2.0);
    assert_eq!((server.hub.room_size("one"), server.hub.room_size("two")), (0, 1));
    drop(client);
    eventually("the rooms are gone", || {
        metric(&server.hub, "ws_rooms_active") == 0.0
    });
    support::block_on(async {
        let error = server
            .hub
            .publish("too long", Encoded::text("x"))
            .await
            .unwrap_err();
        assert!(matches!(error, WsError::RoomNameTooLong { length: 8, limit: 4 }));
    });
}

#[test]
fn joins_and_leaves_from_many_threads_leave_nothing_behind() {
    let sessions = Arc::new(Mutex::new(Vec::<Session>::new()));
    let all = sessions.clone();
    let server = WsServer::new(config()).on_open(move |session| {
        all.lock().unwrap().push(session);
        async {}
    });
    let server = TestServer::start(server);
    let clients: Vec<_> = (0..8).map(|_| server.connect("/")).collect();
    let joined: Vec<Session> = sessions.lock().unwrap().drain(..).collect();
    std::thread::scope(|scope| {
        for session in &joined {
            scope.spawn(|| {
                for round in 0..500 {
                    session.join("shared").unwrap();
                    assert!(
                        session.hub().room_size("shared") >= 1,
                        "round {round}: I am in it"
                    );
                    assert!(session.leave("shared"));
                }
            });
        }
    });
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 0.0);
    assert_eq!(server.hub.room_size("shared"), 0);
    drop(clients);
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
fn the_authorize_hook_decides_before_anything_is_opened() {
    let (server, record) = Record::watch(echo(config()).authorize(|request: HandshakeRequest| async move {
        assert!(request.path() != "/panic", "asked to");
        match request.header("authorization") {
            Some("secret") => Ok(()),
            Some(_) => Err(Refusal::new(http::StatusCode::FORBIDDEN, "not you")),
            None => Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "log in first")),
        }
    }));
    let server = TestServer::start(server);
    assert_eq!(try_connect(server.addr, "/", &[]).err(), Some(401));
    assert_eq!(
        try_connect(server.addr, "/", &[("authorization", "guess")]).err(),
        Some(403)
    );
    assert_eq!(try_connect(server.addr, "/panic", &[]).err(), Some(500));
    assert_eq!(record.counts(), (0, 0));
    assert_eq!(metric(&server.hub, "ws_handshakes_refused_total"), 3.0);
    let mut client = try_connect(server.addr, "/", &[("authorization", "secret")]).unwrap();
    say(&mut client, "in");
    assert_eq!(text_of(&mut client), "in");
}

#[test]
fn foreign_origins_are_refused_unless_listed() {
    let allowed_origins = vec!["https://app.example".to_owned()];
    let server = TestServer::start(echo(WsConfig {
        allowed_origins,
        ..config()
    }));
    let refused = |origin: &str| try_connect(server.addr, "/", &[("origin", origin)]).err();
    assert_eq!(refused("http://127.0.0.1:8080"), None, "same host, any port");
    assert_eq!(refused("https://app.example"), None);
    assert_eq!(refused("https://evil.example"), Some(403));
    assert_eq!(refused("null"), Some(403));
}

#[test]
fn bad_handshakes_get_an_http_answer_and_the_connection_ends() {
    let server = TestServer::start(echo(config()));
    let good = String::from_utf8(handshake("/", &[])).unwrap();
    for (status, version, change) in [
        (405, false, good.replace("GET", "POST")),
        (400, false, good.replace("Host: localhost\r\n", "")),
        (
            400,
            false,
            good.replace("Host: localhost", "Host: localhost\r\nHost: localhost"),
        ),
        (426, true, good.replace("Version: 13", "Version: 8")),
        (426, true, good.replace("Upgrade: websocket\r\n", "")),
        (
            400,
            false,
            good.replace("Connection: Upgrade", "Connection: close"),
        ),
        (400, false, good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")),
        (
            400,
            false,
            good.replace("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 3"),
        ),
    ] {
        let mut stream = tcp(server.addr);
        stream.write_all(change.as_bytes()).unwrap();
        // What follows a refused handshake must not be read as another request.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{status}: {head}"
        );
        assert_eq!(head.contains("sec-websocket-version: 13"), version, "{head}");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
        let rest = String::from_utf8(rest).unwrap();
        assert!(!rest.contains("HTTP/1.1"), "a second answer: {rest}");
    }
    let mut old = tcp(server.addr);
    old.write_all(good.replace("HTTP/1.1", "HTTP/1.0").as_bytes())
        .unwrap();
    assert!(read_head(&mut old).contains(" 400 "));
}

#[test]
fn no_subprotocol_and_no_extension_is_answered() {
    let server = TestServer::start(echo(config()));
    let mut stream = tcp(server.addr);
    let offers = [
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ];
    stream.write_all(&handshake("/", &offers)).unwrap();
    let head = read_head(&mut stream).to_ascii_lowercase();
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    assert!(
        !head.contains("protocol:") && !head.contains("extensions"),
        "{head}"
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
