//! What comes in one piece: texts that go to their handler in one loop, with everything else among them and every way in
//! which the loop is left.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::Write;

use support::{Record, TestServer, config, echo, eventually, frame, metric, read_close, read_frame, text_of};
use ws_server::{ClosedBy, Encoded, OutboxConfig, OutboxPolicy, WsConfig, WsServer};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const MESSAGES_IN: &str = "ws_messages_in_total";
const UNHANDLED: &str = "ws_messages_unhandled_total";

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    texts
        .into_iter()
        .flat_map(|text| frame(TEXT, text.as_bytes()))
        .collect()
}

/// More than are handled before a write, of every kind and length around the short ones, and pings among them.
#[test]
fn messages_of_every_kind_are_answered_in_their_order() {
    let server = TestServer::start(echo(config()));
    let lengths = [0, 1, 7, 8, 20, 124, 125, 126, 127, 1024, 1025, 20_000, 60_000];
    let mut expected = Vec::new();
    for number in 0..200_usize {
        let kind = if number % 3 == 2 { BINARY } else { TEXT };
        let letter = b'a' + (number % 26) as u8;
        expected.push((kind, vec![letter; lengths[number % lengths.len()]]));
    }
    let mut bytes = Vec::new();
    for (number, (kind, body)) in expected.iter().enumerate() {
        if number % 5 == 4 {
            let (first, rest) = body.split_at(body.len() / 2);
            bytes.extend([frame(kind & 0x0f, first), frame(0x80, rest)].concat());
        } else {
            bytes.extend(frame(*kind, body));
        }
        if number % 50 == 49 {
            bytes.extend(frame(0x89, b"?"));
        }
    }
    let mut stream = server.raw();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&bytes).unwrap());
        let mut pongs = 0;
        for message in expected {
            let mut next = read_frame(&mut stream).unwrap();
            while next.0 == 0x8a {
                pongs += 1;
                next = read_frame(&mut stream).unwrap();
            }
            assert_eq!(next, message);
        }
        // A pong may pass messages that are not begun, but the last ping stands behind all of them.
        assert!((3..=4).contains(&pongs), "{pongs}");
    });
    assert_eq!(metric(&server.hub, MESSAGES_IN), 200.0);
}

/// A handler that waits holds up what is behind it, however much of that was read already.
#[test]
fn a_handler_that_waits_is_waited_for() {
    let server = WsServer::new(config()).on_message(|session, text| async move {
        if text.starts_with("wait") {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        session.send_text(text);
    });
    let server = TestServer::start(server);
    let names: Vec<_> = (0..150)
        .map(|number| format!("{}{number}", if number % 7 == 3 { "wait" } else { "go" }))
        .collect();
    let mut stream = server.raw();
    stream
        .write_all(&texts(names.iter().map(String::as_str)))
        .unwrap();
    for name in names {
        assert_eq!(read_frame(&mut stream), Some((TEXT, name.into_bytes())));
    }
}

#[test]
fn what_stands_before_a_text_that_is_not_utf_8_is_answered() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let mut stream = server.raw();
    let bad = [texts(["a", "grüß"]), frame(TEXT, b"no \xff"), texts(["c"])].concat();
    stream.write_all(&bad).unwrap();
    assert_eq!(read_frame(&mut stream), Some((TEXT, b"a".to_vec())));
    assert_eq!(read_frame(&mut stream), Some((TEXT, "grüß".into())));
    assert_eq!(read_close(&mut stream).0, 1007);
    drop(stream);
    assert_eq!(record.close(), (1007, ClosedBy::Error));
    assert_eq!(metric(&server.hub, MESSAGES_IN), 2.0);
}

#[test]
fn a_close_or_a_panic_is_the_end_of_the_handling() {
    let server = WsServer::new(config()).on_message(|session, text| async move {
        match &*text {
            "panic" => panic!("as it was asked to"),
            "close" => assert!(session.close(4000, "enough")),
            _ => assert!(session.send_text(text).is_queued()),
        }
    });
    let server = TestServer::start(server);
    for (turn, (word, code)) in [("close", 4000), ("panic", 1011)].into_iter().enumerate() {
        let mut stream = server.raw();
        stream.write_all(&texts(["a", "b", word, "d", "e", "f"])).unwrap();
        assert_eq!(read_frame(&mut stream), Some((TEXT, b"a".to_vec())));
        assert_eq!(read_frame(&mut stream), Some((TEXT, b"b".to_vec())));
        assert_eq!(read_close(&mut stream).0, code);
        let turns = (turn + 1) as f64;
        eventually("the rest is unhandled", || {
            metric(&server.hub, UNHANDLED) == 3.0 * turns
        });
        assert_eq!(metric(&server.hub, MESSAGES_IN), 3.0 * turns);
    }
    assert_eq!(metric(&server.hub, "ws_panics_total"), 1.0);
}

/// Answers that wait for the end of the wake-up count in the outbox, and those under `KeepLatest` are replaced in it,
/// whatever else waits with them.
#[test]
fn the_outbox_is_bounded_within_one_read() {
    let limits = |messages, policy| OutboxConfig {
        messages,
        bytes: 0,
        policy,
    };
    let start = |outbox| {
        let config = WsConfig { outbox, ..config() };
        TestServer::start(WsServer::new(config).on_message(|session, text| async move {
            session.send_with(Encoded::text("kept"), OutboxPolicy::DropNewest);
            session.send_text(text);
        }))
    };
    let server = start(limits(0, OutboxPolicy::KeepLatest(7)));
    let mut client = server.connect("/");
    let bytes = texts(["1", "2", "3", "4"]);
    client.get_mut().write_all(&bytes).unwrap();
    let (mut kept, mut newest) = (0, String::new());
    while kept < 4 || newest != "4" {
        match text_of(&mut client) {
            text if text == "kept" => kept += 1,
            text => {
                assert!(text > newest);
                newest = text;
            }
        }
    }
    let server = start(limits(3, OutboxPolicy::DropNewest));
    let mut client = server.connect("/");
    client.get_mut().write_all(&bytes).unwrap();
    for text in ["1", "2", "3", "4"] {
        assert_eq!(text_of(&mut client), "kept");
        assert_eq!(text_of(&mut client), text);
    }
    assert_eq!(
        metric(&server.hub, "ws_messages_dropped_total"),
        0.0,
        "nothing is lost to what is held"
    );
}
