//! Bad input gets a clear answer, costs a bounded amount, and hurts nobody else.

use std::fs;
use std::io::{BufReader, Read, Write};
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::ws::Client;

fn resident_kib(example: &Example) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", example.pid())).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn ten_thousand_made_up_mailboxes_are_bounded() {
    let lab = Launch::new("lab")
        .set("LAB_QUIET", 1)
        .set("LONGPOLL_WAIT", 0)
        .start();
    let before = resident_kib(&lab);
    let mut stream = BufReader::new(http::connect(lab.http()));
    let mut counts = [0, 0];
    for id in 0..10_500 {
        let request = format!("GET /ws/poll?session_id=lp-{id} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("sent");
        let answer = http::read_answer(&mut stream).expect("an answer");
        match answer.status {
            200 => counts[0] += 1,
            503 => {
                counts[1] += 1;
                assert!(answer.header("retry-after").is_some());
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(counts, [10_000, 500]);
    let grown = resident_kib(&lab) - before;
    assert!(grown < 40 * 1024, "10 000 mailboxes took {grown} KiB");
    assert_eq!(http::get(lab.http(), "/status").status, 200);
}

#[test]
fn made_up_mailboxes_cost_nothing_when_they_are_not_open() {
    let closed = Launch::new("mailboxes").set("LONGPOLL_WAIT", 0).start();
    for id in ["lp-guess", "room:general", "broadcast", ""] {
        assert_eq!(
            http::get(closed.http(), &format!("/ws/poll?session_id={id}")).status,
            403,
            "{id}"
        );
    }
    assert_eq!(http::get(closed.http(), "/ws/poll?session_id=%00").status, 400);
}

#[test]
fn unusual_but_lawful_requests_are_answered() {
    let lab = Launch::new("lab").start();
    let lower = http::send(
        lab.http(),
        "GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(lower.status, 200);
    let chunked = "POST /ws/send HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   5\r\n{\"typ\r\n7;ext=1\r\ne\":\"t\"}\r\n0\r\n\r\n";
    assert_eq!(http::send(lab.http(), chunked).status, 202);
}

#[test]
fn both_lengths_are_one_request_and_the_end_of_the_connection() {
    let lab = Launch::new("lab").start();
    let mut stream = http::connect(lab.http());
    let smuggled = "POST /ws/send HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    c\r\n{\"type\":\"t\"}\r\n0\r\n\r\nGET /stop HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(smuggled.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream
        .read_to_string(&mut answers)
        .expect("the connection is closed in order");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert_eq!(
        http::get(lab.http(), "/status").status,
        200,
        "the request behind it was never read"
    );
}

#[test]
fn envelopes_of_wrong_types_are_raw_messages() {
    let lab = Launch::new("lab").start();
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    for text in [
        "[]",
        "null",
        r#"{"type":1}"#,
        r#"{"type":""}"#,
        r#"{"type":"ping","id":7}"#,
        r#"{"type":"ping","room":{}}"#,
        r#"{"type":"ping","ts":1}"#,
        r#"{"type":"ping","kind":null}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping""#,
        r#"{"payload":{}}"#,
    ] {
        client.send(text);
        assert_eq!(client.text(), format!("echo: {text}"));
    }
    // No `pong` came in between; a payload that is no object counts as an empty one.
    client.send(r#"{"type":"ping","payload":[1]}"#);
    assert!(client.text().starts_with("echo: "));
    assert_eq!(client.text(), "pong");
}

#[test]
fn the_same_errors_in_a_posted_message_are_named() {
    let lab = Launch::new("lab").start();
    for (body, error) in [
        ("[]", "JSON body must be an object"),
        ("{", "invalid JSON body"),
        ("{}", "missing 'type' field"),
    ] {
        let answer = http::post(lab.http(), "/ws/send", body);
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (400, Some(error)),
            "{body}"
        );
    }
    for body in [
        r#"{"type":1}"#,
        r#"{"type":"t","room":1}"#,
        r#"{"type":"t","id":[]}"#,
    ] {
        let answer = http::post(lab.http(), "/ws/send", body);
        assert!(
            answer.status == 400 && answer.body.len() <= 200,
            "{body}: {}",
            answer.text()
        );
    }
    assert_eq!(http::get(lab.http(), "/ws/poll?max=many").status, 400);
}

#[test]
fn a_deep_json_text_harms_nobody() {
    let lab = Launch::new("lab")
        .set("WEBSOCKET_MAX_MESSAGE_SIZE", 1_000_000)
        .start();
    let deep = format!(
        r#"{{"type":"ping","payload":{}{}}}"#,
        "{\"a\":".repeat(100_000),
        "1".to_owned() + &"}".repeat(100_000)
    );
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    client.send(&deep);
    assert_eq!(client.text().len(), deep.len() + 6);
    client.send("next");
    assert_eq!(client.text(), "echo: next");
    assert_eq!(http::post(lab.http(), "/ws/send", &deep).status, 400);
    assert_eq!(http::get(lab.http(), "/status").status, 200);
}

#[test]
fn a_panic_is_one_session_or_one_request() {
    let mut lab = Launch::new("lab").start();
    let (mut thrower, mut other) = (Client::connect(lab.ws(), "/"), Client::connect(lab.ws(), "/"));
    thrower.send(r#"{"type":"throw"}"#);
    assert_eq!(thrower.closed().0, 1011);
    assert_eq!(other.text(), "welcome");
    other.send("still here");
    assert_eq!(other.text(), "echo: still here");
    let page = http::get(lab.metrics(), "/metrics");
    assert!(page.text().contains("\nws_panics_total 1\n"), "{}", page.text());
    assert_eq!(http::get(lab.http(), "/events").json()["handler_panics"], 1);
    drop((thrower, other));
    assert_eq!(lab.terminate(), Some(0));
}
