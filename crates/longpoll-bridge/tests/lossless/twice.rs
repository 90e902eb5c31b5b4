//! A poll or a stream that something on the way sends twice is one.

use crate::support::{Body, Event, Http, Lab, Stream, config, until};
use std::thread::JoinHandle;
use ws_server::Session;

const BEHIND: &str = "the cursor is behind what was acknowledged";

fn opened(lab: &Lab) -> (Http, Session) {
    let hello = Http::new(lab.http_addr()).post("/ws/session", "").unwrap().json();
    let http = Http::new(lab.http_addr()).header("Longpoll-Session", hello["session"].as_str().unwrap());
    (http, lab.session())
}

/// A poll on a connection of its own: status and body of its answer.
fn poll(http: &Http, query: &str) -> JoinHandle<(u16, String)> {
    let (mut http, target) = (http.another(), format!("/ws/session/poll?{query}"));
    std::thread::spawn(move || {
        let reply = http.get(&target).unwrap();
        (reply.status, reply.text().to_owned())
    })
}

fn answer(seq: u64, text: &str) -> (u16, String) {
    let body = format!(r#"{{"messages":[{{"seq":{seq},"text":"{text}"}}],"cursor":{seq},"received":0}}"#);
    (200, body)
}

#[test]
fn both_get_the_same_and_a_late_one_disturbs_nobody() {
    let lab = Lab::echo(config());
    let (mut http, session) = opened(&lab);
    let both = [
        poll(&http, "cursor=0&request=5"),
        poll(&http, "cursor=0&request=5"),
    ];
    until("both wait", || lab.bridge.waiting() == 2);
    session.send_text("a");
    for one in both {
        assert_eq!(one.join().unwrap(), answer(1, "a"));
    }
    // A third, after the answer: it may be the one whose answer arrives.
    assert_eq!(poll(&http, "cursor=0&request=5").join().unwrap(), answer(1, "a"));
    let next = poll(&http, "cursor=1&request=6");
    until("the next one waits", || lab.bridge.waiting() == 1);
    for late in ["cursor=1&request=5", "cursor=0&request=5", "cursor=0&request=6"] {
        http.get(&format!("/ws/session/poll?{late}"))
            .unwrap()
            .expect_error(409, BEHIND);
    }
    assert_eq!(lab.bridge.waiting(), 1);
    session.send_text("b");
    assert_eq!(next.join().unwrap(), answer(2, "b"));
    assert_eq!(lab.hub.sessions(), 1);
}

#[test]
fn the_one_that_is_left_carries_the_session() {
    let lab = Lab::echo(config());
    let (mut http, session) = opened(&lab);
    let leaving = http
        .another()
        .begin("GET", "/ws/session/poll?cursor=0&request=1", b"")
        .unwrap();
    let staying = poll(&http, "cursor=0&request=1");
    until("both wait", || lab.bridge.waiting() == 2);
    drop(leaving);
    until("one has left", || lab.bridge.waiting() == 1);
    session.send_text("a");
    assert_eq!(staying.join().unwrap(), answer(1, "a"));
    // Another transport has come since.
    assert_eq!(poll(&http, "cursor=0").join().unwrap(), answer(1, "a"));
    http.get("/ws/session/poll?cursor=0&request=1")
        .unwrap()
        .expect_error(409, BEHIND);
}

#[test]
fn a_new_one_still_ends_both() {
    let lab = Lab::echo(config());
    let (http, session) = opened(&lab);
    let both = [
        poll(&http, "cursor=0&request=1"),
        poll(&http, "cursor=0&request=1"),
    ];
    until("both wait", || lab.bridge.waiting() == 2);
    let newer = poll(&http, "cursor=0&request=2");
    for one in both {
        assert_eq!(one.join().unwrap().0, 409);
    }
    session.send_text("a");
    assert_eq!(newer.join().unwrap(), answer(1, "a"));
}

/// A stream that has begun.
fn stream(http: &Http, query: &str) -> Stream {
    let target = format!("/ws/session/events?{query}");
    let (reply, mut stream) = Stream::begin_at(http.another(), &target).unwrap();
    assert_eq!(reply.status, 200);
    assert!(matches!(stream.next(), Ok(Event::Hello { .. })));
    stream
}

fn message(seq: u64, text: &str) -> Event {
    Event::Message(seq, Body::from(text))
}

#[test]
fn of_a_stream_that_came_twice_both_go_on_until_another_transport_comes() {
    let lab = Lab::echo(config());
    let (mut http, session) = opened(&lab);
    let mut both = [
        stream(&http, "cursor=0&request=1"),
        stream(&http, "cursor=0&request=1"),
    ];
    for (seq, text) in [(1, "a"), (2, "b")] {
        session.send_text(text);
        for one in &mut both {
            assert_eq!(one.next().unwrap(), message(seq, text));
        }
    }
    let [leaving, mut staying] = both;
    drop(leaving);
    until("one has left", || lab.bridge.streams() == 1);
    session.send_text("c");
    assert_eq!(staying.next().unwrap(), message(3, "c"));
    // Streams and polls are numbered together.
    assert_eq!(poll(&http, "cursor=2&request=2").join().unwrap(), answer(3, "c"));
    assert_eq!(staying.next().unwrap(), Event::Replaced);
    http.get("/ws/session/events?cursor=2&request=1")
        .unwrap()
        .expect_error(409, BEHIND);
}

#[test]
fn a_number_of_no_form_is_refused() {
    let lab = Lab::echo(config());
    let (mut http, _session) = opened(&lab);
    for wrong in ["", "0", "x", "-1", "1.5", "9007199254740992"] {
        for path in ["poll", "events"] {
            http.get(&format!("/ws/session/{path}?request={wrong}"))
                .unwrap()
                .expect_error(400, "'request' must be a whole number from 1");
        }
    }
}
