//! One session and very many rooms: bounded by default, never slow, and nothing is left when it goes.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use support::{PATIENCE, TestServer, config, eventually, metric};
use ws_server::{Session, WsConfig, WsError, WsServer};

/// What came of the joins of one session: how many were let in, how many refused, and how long it took.
type Joins = (usize, usize, Duration);

/// Joins these rooms one after the other.
fn join_all(session: &Session, names: impl Iterator<Item = String>) -> Joins {
    let (mut joined, mut refused) = (0, 0);
    let began = Instant::now();
    for name in names {
        match session.join(&name) {
            Ok(()) => joined += 1,
            Err(WsError::TooManyRooms { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    (joined, refused, began.elapsed())
}

fn joining(config: WsConfig, count: usize, results: Sender<Joins>) -> WsServer {
    WsServer::new(config).on_open(move |session| {
        let id = session.id();
        let names = (0..count).map(|number| format!("{id} room {number}"));
        results.send(join_all(&session, names)).unwrap();
        async {}
    })
}

#[test]
fn a_hundred_thousand_joins_by_one_session_are_128_rooms() {
    for count in [20_000, 100_000] {
        let (results, joins) = channel();
        let server = TestServer::start(joining(config(), count, results));
        let client = server.connect("/");
        let (joined, refused, took) = joins.recv_timeout(PATIENCE).unwrap();
        assert_eq!((joined, refused), (128, count - 128));
        assert!(took < Duration::from_secs(2), "{count} joins took {took:?}");
        assert_eq!(metric(&server.hub, "ws_rooms_active"), 128.0);
        drop(client);
        eventually("nothing is left", || {
            server.hub.sessions() == 0 && metric(&server.hub, "ws_rooms_active") == 0.0
        });
    }
}

/// Without a limit the tables hold what they are told to, and both ways cost the same however full they are.
#[test]
fn without_a_limit_a_hundred_thousand_rooms_come_and_go() {
    let (results, joins) = channel();
    let settings = WsConfig {
        max_rooms_per_session: 0,
        ..config()
    };
    let count = 100_000;
    let server = TestServer::start(joining(settings, count, results));
    let first = server.connect("/");
    let (joined, _, alone) = joins.recv_timeout(PATIENCE).unwrap();
    assert_eq!(joined, count);
    let second = server.connect("/");
    let (joined, _, beside) = joins.recv_timeout(PATIENCE).unwrap();
    assert_eq!(joined, count);
    // Not linear in the rooms of others: that would be thousands of times as long.
    assert!(
        beside < alone * 5 + Duration::from_millis(200),
        "{alone:?}, then {beside:?}"
    );
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 200_000.0);
    drop(first);
    eventually("the rooms of the first are gone", || {
        metric(&server.hub, "ws_rooms_active") == 100_000.0
    });
    drop(second);
    eventually("all are gone", || {
        server.hub.sessions() == 0 && metric(&server.hub, "ws_rooms_active") == 0.0
    });
}

#[test]
fn a_name_is_any_text_of_1_to_128_bytes() {
    let (sender, results) = channel();
    let names = [
        ("\0", true),
        ("\r\nSet-Cookie: a=b", true),
        ("\u{1b}[2J", true),
        ("../../etc/passwd", true),
        ("{\"type\":\"x\"}", true),
        ("комната 🦀\u{202e}", true),
        ("\u{ffff}", true),
        (" ", true),
        ("", false),
    ];
    let server = WsServer::new(config()).on_open(move |session| {
        let mut all: Vec<(String, bool)> = names.map(|(name, fits)| (name.to_owned(), fits)).into();
        all.push(("x".repeat(128), true));
        all.push(("x".repeat(129), false));
        all.push(("é".repeat(64), true));
        all.push(("é".repeat(65), false));
        all.push(("x".repeat(1_000_000), false));
        for (name, fits) in &all {
            sender
                .send((name.len(), session.join(name).is_ok(), *fits))
                .unwrap();
            sender
                .send((name.len(), session.rooms().contains(name), *fits))
                .unwrap();
        }
        async {}
    });
    let server = TestServer::start(server);
    let client = server.connect("/");
    let seen: Vec<_> = results.try_iter().collect();
    assert_eq!(seen.len(), 28, "each name was tried before the client was in");
    for (length, is_in, fits) in seen {
        assert_eq!(is_in, fits, "a name of {length} bytes");
    }
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 10.0);
    drop(client);
    eventually("nothing is left", || {
        metric(&server.hub, "ws_rooms_active") == 0.0
    });
}
