//! The HTTP form byte by byte: what is asked, what is answered, in which headers.

use crate::support::{Event, Http, Lab, PATIENCE, Stream, block_on, config, until};
use longpoll_bridge::LongPollConfig;
use std::time::{Duration, Instant};
use ws_server::Session;

/// A session opened by hand.
fn opened(lab: &Lab) -> (Http, Session) {
    let reply = Http::new(lab.http_addr()).post("/ws/session", "").unwrap();
    assert_eq!(reply.status, 201);
    let hello = reply.json();
    let http = Http::new(lab.http_addr()).header("Longpoll-Session", hello["session"].as_str().unwrap());
    (http, lab.session())
}

fn hasty() -> LongPollConfig {
    LongPollConfig {
        wait: Duration::ZERO,
        ..config()
    }
}

#[test]
fn the_hello_says_where_counting_begins_and_the_limits() {
    let lab = Lab::echo(config());
    let reply = Http::new(lab.http_addr())
        .post("/ws/session", "whatever")
        .unwrap();
    let hello = reply.json();
    let id = hello["session"].as_str().unwrap();
    assert!(id.starts_with("lps_") && id.len() == 36, "{id}");
    let expected = format!(
        r#"{{"session":"{id}","cursor":0,"received":0,"resume_ms":60000,"wait_ms":25000,"heartbeat_ms":15000,"max_message_bytes":65536}}"#
    );
    assert_eq!((reply.status, reply.text()), (201, &*expected));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(lab.metric("ws_lp_sessions_total"), 1.0);
    assert_eq!(lab.metric("ws_lp_sessions_active"), 1.0);
    assert_eq!(lab.metric("ws_resumable_sessions_active"), 1.0);
}

#[test]
fn a_poll_takes_nothing_away_until_it_is_acknowledged() {
    let lab = Lab::echo(hasty());
    let (mut http, session) = opened(&lab);
    let mut poll = |target: &str| {
        http.get(&format!("/ws/session/poll{target}"))
            .unwrap()
            .text()
            .to_owned()
    };
    assert_eq!(poll(""), r#"{"messages":[],"cursor":0,"received":0}"#);
    session.send_text("a\n");
    session.send_binary([0, 1, 2]);
    session.send_text("c");
    let all = r#"{"messages":[{"seq":1,"text":"a\n"},{"seq":2,"base64":"AAEC"},{"seq":3,"text":"c"}],"cursor":3,"received":0}"#;
    assert_eq!(poll("?cursor=0"), all);
    // The answer was lost: the same question has the same answer.
    assert_eq!(poll("?cursor=0"), all);
    let rest = r#"{"messages":[{"seq":2,"base64":"AAEC"}],"cursor":2,"received":0}"#;
    assert_eq!(poll("?cursor=1&max=1"), rest);
    assert_eq!(poll("?cursor=3"), r#"{"messages":[],"cursor":3,"received":0}"#);
    assert!(block_on(session.drained()), "all is acknowledged");
    assert_eq!(lab.metric("ws_lp_polls_total"), 5.0);
    assert_eq!(
        lab.metric("ws_messages_out_total"),
        3.0,
        "sent again is not counted again"
    );
}

#[test]
fn an_idle_poll_returns_within_its_wait() {
    let lab = Lab::echo(LongPollConfig {
        wait: Duration::from_millis(200),
        ..config()
    });
    let (mut http, _session) = opened(&lab);
    let began = Instant::now();
    let reply = http.get("/ws/session/poll").unwrap();
    assert_eq!(reply.text(), r#"{"messages":[],"cursor":0,"received":0}"#);
    assert!(began.elapsed() >= Duration::from_millis(200) && began.elapsed() < PATIENCE / 2);
    assert_eq!(lab.bridge.waiting(), 0);
}

#[test]
fn a_poller_that_vanishes_mid_answer_gets_it_again() {
    let lab = Lab::echo(config());
    let (mut http, session) = opened(&lab);
    let waiting = http.begin("GET", "/ws/session/poll?cursor=0", b"").unwrap();
    until("it waits", || lab.bridge.waiting() == 1);
    drop(waiting);
    session.send_text("x");
    let expected = r#"{"messages":[{"seq":1,"text":"x"}],"cursor":1,"received":0}"#;
    assert_eq!(http.get("/ws/session/poll?cursor=0").unwrap().text(), expected);
    until("nobody waits any more", || lab.bridge.waiting() == 0);
}

#[test]
fn an_overflow_is_a_gap_in_the_answer_and_in_the_stream() {
    let lab = Lab::echo(LongPollConfig {
        ring_messages: 4,
        ..hasty()
    });
    let (mut http, session) = opened(&lab);
    (1..=9).for_each(|number| {
        session.send_text(number.to_string());
    });
    let answer = http.get("/ws/session/poll?cursor=0&max=1").unwrap();
    let expected =
        r#"{"messages":[{"seq":6,"text":"6"}],"cursor":6,"received":0,"gap":{"lost":5,"cursor":5}}"#;
    assert_eq!(answer.text(), expected);
    let (_, mut stream) = Stream::begin(http).unwrap();
    let mut next = || stream.next().unwrap();
    assert_eq!(
        next(),
        Event::Hello {
            cursor: 0,
            received: 0
        }
    );
    assert_eq!(next(), Event::Gap { lost: 5, cursor: 5 });
    for number in 6..=9 {
        assert_eq!(next(), Event::Message(number, number.to_string().as_str().into()));
    }
    assert!(lab.metric("ws_gap_messages_total") >= 5.0);
    assert_eq!(lab.metric("ws_messages_dropped_total"), 5.0);
}

#[test]
fn a_stream_has_headers_that_keep_proxies_from_holding_it_up_and_a_heartbeat() {
    let lab = Lab::echo(LongPollConfig {
        heartbeat: Duration::from_millis(50),
        ..config()
    });
    let (http, session) = opened(&lab);
    let (reply, mut stream) = Stream::begin(http).unwrap();
    assert_eq!(reply.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
    assert_eq!(
        stream.next().unwrap(),
        Event::Hello {
            cursor: 0,
            received: 0
        }
    );
    assert_eq!(stream.next().unwrap(), Event::Heartbeat);
    assert_eq!(
        (lab.bridge.streams(), lab.metric("ws_lp_streams_active")),
        (1, 1.0)
    );
    session.close(4000, "done");
    loop {
        match stream.next().unwrap() {
            Event::Heartbeat => {}
            Event::Closed { code, reason } => break assert_eq!((code, &*reason), (4000, "done")),
            other => panic!("{other:?}"),
        }
    }
    assert!(stream.has_ended(), "in an orderly way");
    until("its place is free", || lab.bridge.streams() == 0);
}

#[test]
fn an_event_source_goes_on_by_its_last_event_id() {
    let lab = Lab::echo(config());
    let reply = Http::new(lab.http_addr()).post("/ws/session", "").unwrap().json();
    let session = lab.session();
    let id = reply["session"].as_str().unwrap();
    (1..=3).for_each(|number| {
        session.send_text(number.to_string());
    });
    // As a browser asks: no header of ours, the id in the query.
    let events = |last: Option<&str>| {
        let http = last.map_or(Http::new(lab.http_addr()), |last| {
            Http::new(lab.http_addr()).header("Last-Event-ID", last)
        });
        let target = format!("/ws/session/events?session_id={id}&cursor=1");
        Stream::begin_at(http, &target).unwrap().1
    };
    let mut first = events(None);
    assert_eq!(
        first.next().unwrap(),
        Event::Hello {
            cursor: 1,
            received: 0
        }
    );
    assert_eq!(first.next().unwrap(), Event::Message(2, "2".into()));
    let mut second = events(Some("2"));
    assert_eq!(
        second.next().unwrap(),
        Event::Hello {
            cursor: 2,
            received: 0
        }
    );
    assert_eq!(second.next().unwrap(), Event::Message(3, "3".into()));
    assert_eq!(first.next().unwrap(), Event::Message(3, "3".into()));
    assert_eq!(first.next().unwrap(), Event::Replaced);
    assert!(first.has_ended());
}

#[test]
fn a_retried_send_is_applied_once_and_answered_the_same() {
    let lab = Lab::echo(hasty());
    let (mut http, _session) = opened(&lab);
    let mut send = |body: &str| {
        let reply = http.post("/ws/session/send", body).unwrap();
        (reply.status, reply.text().to_owned())
    };
    let body = r#"{"messages":[{"seq":1,"text":"a"},{"seq":2,"text":"b"}]}"#;
    let answer = (200, r#"{"received":2}"#.to_owned());
    assert_eq!(send(body), answer);
    assert_eq!(send(body), answer);
    // The rest of a batch whose beginning was had.
    let body = r#"{"messages":[{"seq":2,"text":"b"},{"seq":3,"text":"c"}],"cursor":1}"#;
    assert_eq!(send(body), (200, r#"{"received":3}"#.to_owned()));
    assert_eq!(send("{}"), (200, r#"{"received":3}"#.to_owned()));
    let answer = http.get("/ws/session/poll?cursor=1").unwrap();
    let expected = r#"{"messages":[{"seq":2,"text":"b"},{"seq":3,"text":"c"}],"cursor":3,"received":3}"#;
    assert_eq!(answer.text(), expected);
    assert_eq!(lab.metric("ws_messages_in_total"), 3.0);
    assert_eq!(lab.metric("ws_messages_duplicate_total"), 3.0);
}

#[test]
fn a_handler_goes_on_when_its_sender_leaves_and_a_retry_waits_for_it() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let lab = Lab::start(config(), |server| {
        server.on_message(move |session, text| {
            let mut gate = gate.clone();
            async move {
                gate.wait_for(|open| *open).await.unwrap();
                session.send_text(text);
            }
        })
    });
    let (mut http, _session) = opened(&lab);
    let other = http.another();
    let again = || other.another();
    let body = br#"{"messages":[{"seq":1,"text":"once"}]}"#;
    let left = http.begin("POST", "/ws/session/send", body).unwrap();
    until("it is at work", || lab.hub.metrics().messages_received() == 1);
    drop(left);
    // One retry waits for it; a second would only queue up behind that one.
    let text = std::str::from_utf8(body).unwrap();
    let retries: Vec<_> = (0..2)
        .map(|_| {
            let mut http = again();
            std::thread::spawn(move || http.post("/ws/session/send", text).unwrap().status)
        })
        .collect();
    until("one is refused", || lab.metric("ws_lp_refused_total") == 1.0);
    release.send(true).unwrap();
    let mut statuses: Vec<_> = retries.into_iter().map(|retry| retry.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let answer = http.get("/ws/session/poll").unwrap();
    assert_eq!(
        answer.text(),
        r#"{"messages":[{"seq":1,"text":"once"}],"cursor":1,"received":1}"#
    );
    assert_eq!(lab.hub.metrics().messages_received(), 1);
}

#[test]
fn a_close_in_an_answer_comes_with_the_last_messages_and_again_until_it_is_known() {
    let lab = Lab::echo(config());
    let (mut http, session) = opened(&lab);
    session.send_text("last");
    session.close(4000, "done");
    let expected = r#"{"messages":[{"seq":1,"text":"last"}],"cursor":1,"received":0,"close":{"code":4000,"reason":"done"}}"#;
    until("it is sealed", || {
        http.get("/ws/session/poll").unwrap().text() == expected
    });
    assert_eq!(
        http.get("/ws/session/poll").unwrap().text(),
        expected,
        "it was lost"
    );
    let known = http.get("/ws/session/poll?cursor=1").unwrap();
    assert_eq!(
        known.text(),
        r#"{"messages":[],"cursor":1,"received":0,"close":{"code":4000,"reason":"done"}}"#
    );
    assert_eq!(lab.close_info().code, 4000);
    until("it is gone", || {
        http.get("/ws/session/poll?cursor=1").unwrap().status == 410
    });
}

#[test]
fn the_close_of_a_client() {
    let lab = Lab::echo(config());
    let (mut http, _session) = opened(&lab);
    let reply = http.post("/ws/session/close", "").unwrap();
    assert_eq!((reply.status, reply.text()), (200, r#"{"closed":true}"#));
    assert_eq!(lab.close_info().code, 1000);
    http.post("/ws/session/close", "")
        .unwrap()
        .expect_error(410, "the session has ended");
    http.get("/ws/session/poll")
        .unwrap()
        .expect_error(410, "the session has ended");
    assert_eq!(lab.metric("ws_lp_sessions_active"), 0.0);
}
