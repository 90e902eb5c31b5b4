//! Every way in which the two endpoints say no.

use crate::support::{Client, Lab, block_on, envelopes, hasty, open, poll_target, serve_router};
use core_executor::RuntimeExecutor;
use http::StatusCode;
use longpoll_bridge::{LongPollBridge, LongPollConfig};
use std::time::{Duration, Instant};
use ws_server::{JsonMessage, Refusal};

const ISSUED: &str = "lps_0123456789abcdef0123456789abcdef";
const CLOSED: &str =
    "mailboxes named by clients are not served here; LONGPOLL_OPEN_MAILBOXES=true opens them";

#[test]
fn before_it_is_attached() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let http = serve_router(&LongPollBridge::new(open()), &executor);
    let mut client = Client::connect(http.local_addr());
    for reply in [client.get("/ws/poll", &[]), client.post("/ws/send", &[], b"{")] {
        reply.expect_error(503, "long-polling bridge not attached");
        assert!(reply.header("retry-after").is_some());
    }
}

#[test]
fn with_the_switch_off() {
    let lab = Lab::start(LongPollConfig {
        open_mailboxes: false,
        ..hasty()
    });
    for mailbox in ["", "broadcast", "lp-1", "room:general"] {
        lab.poll(mailbox).expect_error(403, CLOSED);
        lab.post(&format!(r#"{{"type":"x","session_id":"{mailbox}"}}"#))
            .expect_error(403, CLOSED);
    }
    lab.post(r#"{"type":"x","room":"general"}"#)
        .expect_error(403, CLOSED);
    refused_whatever_the_switch(&lab);
    assert_eq!((lab.refused("closed"), lab.refused("unknown")), (9, 2));
}

#[test]
fn with_the_switch_on() {
    let lab = Lab::start(hasty());
    refused_whatever_the_switch(&lab);
    lab.poll("lp-1").expect(200, "[]");
}

#[test]
fn the_switch_can_be_set_by_the_program() {
    let lab = Lab::start(LongPollConfig {
        open_mailboxes: false,
        ..hasty()
    });
    let bridge = lab.bridge.clone().open_mailboxes(true);
    lab.poll("lp-1").expect(200, "[]");
    let _closed = bridge.open_mailboxes(false);
    lab.poll("lp-1").expect_error(403, CLOSED);
}

fn refused_whatever_the_switch(lab: &Lab) {
    lab.poll(ISSUED).expect_error(404, "unknown session_id");
    lab.post(&format!(r#"{{"type":"x","session_id":"{ISSUED}"}}"#))
        .expect_error(404, "unknown session_id");
    for malformed in [
        "a%20b",
        "a%00",
        "%ff",
        "a%2Fb",
        "lps_1",
        "room:",
        "room:a%0Ab",
        &"x".repeat(129),
    ] {
        lab.poll(malformed)
            .expect_error(400, "malformed session_id or room");
    }
    lab.post(r#"{"type":"x","session_id":"a b"}"#)
        .expect_error(400, "malformed session_id or room");
    assert_eq!(lab.bridge.mailboxes(), 0, "nothing was made for them");
}

#[test]
fn queries_that_cannot_be_read() {
    let lab = Lab::start(hasty());
    for max in ["x", "-1", "1.5", ""] {
        lab.get(&format!("/ws/poll?session_id=lp-1&max={max}"))
            .expect_error(400, "'max' must be a whole number");
    }
    lab.get("/ws/poll?session_id=a&session_id=b")
        .expect_error(400, "invalid query");
    assert_eq!(lab.refused("malformed"), 5);
}

#[test]
fn bodies_that_are_no_message() {
    let lab = Lab::start(hasty());
    let deep = format!(
        r#"{{"type":"x","payload":{{"a":{}{}}}}}"#,
        "[".repeat(31),
        "]".repeat(31)
    );
    for (body, error) in [
        ("", "invalid JSON body"),
        ("{\"type\"", "invalid JSON body"),
        ("[1]", "JSON body must be an object"),
        ("\"x\"", "JSON body must be an object"),
        ("{}", "missing 'type' field"),
        (r#"{"type":""}"#, "missing 'type' field"),
        (r#"{"type":7}"#, "'type' must be a string"),
        (r#"{"type":"x","room":7}"#, "'room' must be a string"),
        (r#"{"type":"x","id":{}}"#, "'id' must be a string"),
        (r#"{"type":"x","kind":[]}"#, "'kind' must be a string"),
        (r#"{"type":"x","ts":1}"#, "'ts' must be a string"),
        (r#"{"type":"x","session_id":1}"#, "'session_id' must be a string"),
        (r#"{"type":"x","payload":1}"#, "'payload' must be an object"),
        (r#"{"type":"x","type":"y"}"#, "'type' comes twice"),
        (&deep, "JSON body is nested too deeply"),
    ] {
        lab.post(body).expect_error(400, error);
    }
    let less = deep.replacen("[[", "[", 1).replacen("]]", "]", 1);
    assert_eq!(lab.post(&less).status, 202);
}

#[test]
fn a_body_larger_than_a_mailbox() {
    let lab = Lab::start(LongPollConfig {
        ring_bytes: 100,
        ..hasty()
    });
    let body = format!(r#"{{"type":"{}"}}"#, "x".repeat(100));
    lab.post(&body).expect_error(413, "request body too large");
    let mut client = Client::connect(lab.addr());
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = "POST /ws/send HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_raw(format!("{head}{chunk}").as_bytes());
    client.reply().expect_error(413, "request body too large");
    assert_eq!(lab.refused("too_large"), 2);
}

#[test]
fn other_methods() {
    let lab = Lab::start(hasty());
    lab.send("lp-1", "a");
    let mut client = Client::connect(lab.addr());
    client.write_raw(b"HEAD /ws/poll?session_id=lp-1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(client.head_reply(), 405);
    lab.poll("lp-1").expect(200, &envelopes(&["a"]));
    assert_eq!(lab.get("/ws/send").status, 405);
    assert_eq!(Client::connect(lab.addr()).post("/ws/poll", &[], b"").status, 405);
}

#[test]
fn pages_of_other_hosts() {
    let lab = Lab::start(hasty());
    let mut client = Client::connect(lab.addr());
    for (origin, status) in [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://127.0.0.1:8080", 200),
    ] {
        let headers = [("origin", origin)];
        let poll = client.get(&poll_target("lp-1"), &headers);
        let send = client.post("/ws/send", &headers, br#"{"type":"x","session_id":"lp-2"}"#);
        assert_eq!(
            (poll.status, send.status),
            (status, if status == 200 { 202 } else { 403 }),
            "{origin}"
        );
        if status == 403 {
            poll.expect_error(403, "origin not allowed");
            send.expect_error(403, "origin not allowed");
        }
    }
    assert_eq!(lab.refused("denied"), 6);
}

#[test]
fn the_authorize_hook_holds_for_both_endpoints() {
    let lab = Lab::with(hasty(), |server| {
        server.authorize(|request| async move {
            match (request.header("x-token"), request.path()) {
                (Some("good"), "/ws/poll" | "/ws/send") | (Some("below"), "/below/ws/poll") => Ok(()),
                _ => Err(Refusal::new(StatusCode::UNAUTHORIZED, "log in first")),
            }
        })
    });
    let mut client = Client::connect(lab.addr());
    client
        .get("/ws/poll?max=x", &[])
        .expect_error(401, "log in first");
    client
        .post("/ws/send", &[("x-token", "bad")], b"{")
        .expect_error(401, "log in first");
    let good = [("x-token", "good")];
    assert_eq!(client.get(&poll_target("lp-1"), &good).status, 200);
    let below = format!("/below{}", poll_target("lp-1"));
    assert_eq!(
        client.get(&below, &[("x-token", "below")]).status,
        200,
        "it sees the whole path"
    );
    assert_eq!(client.post("/ws/send", &good, br#"{"type":"x"}"#).status, 202);
}

#[test]
fn one_mailbox_too_many() {
    let lab = Lab::start(LongPollConfig {
        max_sessions: 2,
        ..hasty()
    });
    lab.poll("lp-1");
    lab.send("lp-2", "a");
    let refusals = [
        lab.poll("lp-3"),
        lab.post(r#"{"type":"x"}"#),
        lab.post(r#"{"type":"x","room":"r"}"#),
    ];
    for reply in refusals {
        reply.expect_error(503, "too many mailboxes, try again later");
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    lab.poll("lp-2").expect(200, &envelopes(&["a"]));
    assert_eq!((lab.bridge.mailboxes(), lab.refused("full")), (2, 3));
}

#[test]
fn ten_thousand_made_up_ids_stay_within_the_bound() {
    let lab = Lab::start(LongPollConfig {
        max_sessions: 500,
        ..hasty()
    });
    let mut client = Client::connect(lab.addr());
    let mut statuses = std::collections::BTreeMap::new();
    for hundred in 0..100 {
        for number in 0..100 {
            client.write("GET", &poll_target(&format!("lp-{hundred}-{number}")), &[], b"");
        }
        for _ in 0..100 {
            *statuses.entry(client.reply().status).or_insert(0) += 1;
        }
    }
    assert_eq!(
        statuses.into_iter().collect::<Vec<_>>(),
        [(200, 500), (503, 9_500)]
    );
    assert_eq!(
        (lab.bridge.mailboxes(), lab.metric("ws_lp_sessions_active")),
        (500, 500)
    );
}

#[test]
fn one_waiting_poll_too_many() {
    let lab = Lab::start(LongPollConfig {
        max_waiting: 1,
        ..open()
    });
    let poll = lab.waiting_poll("lp-1", None);
    let reply = lab.poll("lp-1");
    reply.expect_error(503, "too many polls are waiting, try again later");
    assert_eq!(reply.header("retry-after"), Some("5"));
    lab.send("lp-2", "a");
    lab.poll("lp-2").expect(200, &envelopes(&["a"]));
    lab.send("lp-1", "b");
    poll.join().unwrap().expect(200, &envelopes(&["b"]));
}

#[test]
fn a_handler_that_panics() {
    let lab = Lab::with(hasty(), |server| {
        server.on_typed_message(|_, message: JsonMessage| async move {
            assert_ne!(message.type_, "throw", "on purpose");
        })
    });
    lab.post(r#"{"type":"throw","room":"r"}"#)
        .expect_error(500, "a handler failed");
    assert_eq!(lab.post(r#"{"type":"x","room":"r"}"#).status, 202);
    assert_eq!(lab.refused("failed"), 1);
}

#[test]
fn what_takes_too_long() {
    let (request_limit, wait) = (Duration::from_millis(40), Duration::from_millis(120));
    let lab = Lab::with(
        LongPollConfig {
            request_limit,
            wait,
            ..open()
        },
        |server| {
            server
                .authorize(|request| async move {
                    if request.query() == Some("slow") {
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                })
                .on_typed_message(|_, _| std::future::pending())
        },
    );
    let slow_handler = lab.post(r#"{"type":"x","room":"r"}"#);
    slow_handler.expect_error(503, "the request was not handled in time");
    let slow_hook = lab.get("/ws/poll?slow");
    slow_hook.expect_error(503, "the request was not handled in time");
    let mut slow_sender = Client::connect(lab.addr());
    slow_sender.write_raw(b"POST /ws/send HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{");
    slow_sender
        .reply()
        .expect_error(408, "the request body did not come in time");
    assert_eq!(lab.refused("failed"), 3);
    // A poll may wait longer than that.
    let began = Instant::now();
    lab.poll("lp-1").expect(200, "[]");
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
}

#[test]
fn after_the_websocket_server_has_stopped() {
    let mut lab = Lab::start(hasty());
    lab.stop_websocket();
    for reply in [lab.poll("lp-1"), lab.post(r#"{"type":"x","room":"r"}"#)] {
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert!(reply.body.starts_with(r#"{"error":"#) && reply.header("retry-after").is_some());
    }
}

#[test]
fn a_message_longer_than_a_mailbox_is_missed_and_said_so() {
    let lab = Lab::start(LongPollConfig {
        ring_bytes: 100,
        ..hasty()
    });
    let cookie = lab.poll("room:r").cookie();
    block_on(async {
        lab.hub()
            .broadcast_text_to_room("r", "x".repeat(200))
            .await
            .unwrap();
        lab.hub().broadcast_text_to_room("r", "y").await.unwrap();
    });
    let reply = lab.poll_as("room:r", &cookie);
    reply.expect(200, r#"[{"payload":{"text":"y"},"room":"r","type":"text"}]"#);
    assert_eq!(reply.header("longpoll-missed"), Some("1"));
}
