//! Every setting of the WebSocket server has its effect, seen from outside.

use std::io::{Read, Write};
use std::time::{Duration, Instant};
use workspace_tests::example::{Example, Launch};
use workspace_tests::http::{self, Answer};
use workspace_tests::raw::{self, Raw};
use workspace_tests::ws::Client;

fn lab(settings: &[(&str, &str)]) -> Example {
    settings
        .iter()
        .fold(Launch::new("lab"), |launch, (key, value)| launch.set(key, value))
        .start()
}

fn metrics(example: &Example) -> String {
    http::get(example.metrics(), "/metrics").text().to_owned()
}

fn handshake(example: &Example, extra: &str) -> Answer {
    http::send(
        example.ws(),
        &format!(
            "GET / HTTP/1.1\r\nHost: here:1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        ),
    )
}

/// How long the server leaves a silent connection open.
fn closed_after(stream: &mut impl Read) -> Duration {
    let began = Instant::now();
    let mut sink = [0; 4096];
    while stream.read(&mut sink).is_ok_and(|count| count > 0) {}
    began.elapsed()
}

#[test]
fn message_size() {
    let lab = lab(&[("WEBSOCKET_MAX_MESSAGE_SIZE", "100")]);
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    client.send(&"x".repeat(100));
    assert_eq!(client.text().len(), 106);
    client.send(&"x".repeat(101));
    assert_eq!(client.closed().0, 1009);
}

#[test]
fn idle_limit() {
    let lab = lab(&[("WEBSOCKET_IDLE_TIMEOUT", "1"), ("WEBSOCKET_PING_INTERVAL", "0")]);
    let client = Client::connect(lab.ws(), "/");
    let idle = closed_after(&mut client.stream().try_clone().expect("a socket"));
    assert!(
        idle > Duration::from_millis(800) && idle < Duration::from_secs(4),
        "{idle:?}"
    );
}

/// The bytes a silent client is sent within 1.6 s, the greeting left out.
fn heard_by_a_silent_client(settings: &[(&str, &str)]) -> (Vec<u8>, Vec<String>) {
    let mut lab = lab(settings);
    let client = Client::connect(lab.ws(), "/");
    let mut stream = client.stream();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a positive limit");
    let (until, mut heard) = (Instant::now() + Duration::from_millis(1600), Vec::new());
    while Instant::now() < until {
        let mut bytes = [0; 256];
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&bytes[..count]),
            Err(_) => {}
        }
    }
    let greeting = b"\x81\x07welcome";
    let rest = heard.strip_prefix(greeting.as_slice()).unwrap_or(&heard).to_vec();
    (rest, lab.all_lines())
}

#[test]
fn ping_interval() {
    let (heard, _) = heard_by_a_silent_client(&[("WEBSOCKET_PING_INTERVAL", "1")]);
    assert_eq!(
        heard.first(),
        Some(&0x89),
        "a ping within its interval: {heard:?}"
    );
    let (heard, _) = heard_by_a_silent_client(&[("WEBSOCKET_PING_INTERVAL", "0")]);
    assert!(heard.is_empty(), "0 is off: {heard:?}");
}

#[test]
fn pong_timeout() {
    let mut lab = lab(&[("WEBSOCKET_PING_INTERVAL", "1"), ("WEBSOCKET_PONG_TIMEOUT", "1")]);
    let client = Client::connect(lab.ws(), "/");
    let gone = closed_after(&mut client.stream().try_clone().expect("a socket"));
    assert!(
        gone > Duration::from_millis(1800) && gone < Duration::from_secs(5),
        "{gone:?}"
    );
    let line = lab.wait_for_line(|line| line.contains("ws_close"));
    assert!(
        line.contains("code=1006") && line.contains("by=timeout"),
        "{line}"
    );
}

#[test]
fn answering_pings() {
    let ping = |setting: &str| {
        let lab = lab(&[("WEBSOCKET_AUTO_PING_PONG", setting)]);
        let mut stream = http::connect(lab.ws());
        stream
            .set_read_timeout(Some(Duration::from_millis(700)))
            .expect("a positive limit");
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .expect("sent");
        stream.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'p']).expect("sent");
        let mut heard = Vec::new();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            heard.extend_from_slice(&bytes[..count]);
        }
        heard.windows(3).any(|window| window == [0x8a, 1, b'p'])
    };
    assert!(ping("true"));
    assert!(!ping("false"));
}

/// Lets a client that does not read fall behind, and gives how it ended and the metrics.
fn slow_reader(policy: &str) -> (Option<String>, String) {
    let mut lab = lab(&[
        ("WEBSOCKET_OUTBOX_POLICY", policy),
        ("WEBSOCKET_OUTBOX_MESSAGES", "50"),
        ("WEBSOCKET_CLOSE_TIMEOUT", "1"),
    ]);
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst","payload":{"n":400,"size":200000}}"#);
    client.send(r#"{"type":"ping"}"#);
    let until = Instant::now() + Duration::from_secs(10);
    let dropped = |page: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("ws_messages_dropped_total ").map(str::to_owned));
        line.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0)
    };
    loop {
        let page = metrics(&lab);
        let end = lab.all_lines().into_iter().find(|line| line.contains("ws_close"));
        let expects_end = policy == "close";
        if end.is_some() || (!expects_end && dropped(&page) > 0.0) || Instant::now() > until {
            return (end, page);
        }
    }
}

#[test]
fn outbox_policy_and_messages() {
    let (end, _) = slow_reader("close");
    let end = end.expect("the slow reader is closed");
    assert!(end.contains("by=slow"), "{end}");
    for policy in ["drop-oldest", "drop-newest"] {
        let (end, page) = slow_reader(policy);
        assert_eq!(end, None, "{policy} closes nobody");
        let dropped = page
            .lines()
            .find(|line| line.starts_with("ws_messages_dropped_total"));
        assert!(
            dropped.is_some_and(|line| !line.ends_with(" 0")),
            "{policy}: {dropped:?}"
        );
    }
}

#[test]
fn outbox_bytes() {
    let mut lab = lab(&[("WEBSOCKET_OUTBOX_BYTES", "1000")]);
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst","payload":{"n":20000,"size":900}}"#);
    let line = lab.wait_for_line(|line| line.contains("ws_close"));
    assert!(line.contains("by=slow"), "{line}");
}

#[test]
fn allowed_origins() {
    let strict = lab(&[]);
    assert_eq!(handshake(&strict, "").status, 101, "no Origin is allowed");
    assert_eq!(
        handshake(&strict, "Origin: http://here:8080\r\n").status,
        101,
        "any port of the same host"
    );
    assert_eq!(handshake(&strict, "Origin: http://elsewhere\r\n").status, 403);
    let listed = lab(&[("WEBSOCKET_ALLOWED_ORIGINS", "http://elsewhere, http://third")]);
    assert_eq!(handshake(&listed, "Origin: http://elsewhere\r\n").status, 101);
    assert_eq!(handshake(&listed, "Origin: http://fourth\r\n").status, 403);
}

#[test]
fn rooms_and_their_names() {
    for setting in [
        ("WEBSOCKET_MAX_ROOM_NAME", "6"),
        ("WEBSOCKET_MAX_ROOMS_PER_SESSION", "1"),
    ] {
        let allowed = setting.0 == "WEBSOCKET_MAX_ROOMS_PER_SESSION";
        let lab = lab(&[setting]);
        let mut client = Client::connect(lab.ws(), "/");
        client.send(r#"{"type":"room.join"}"#);
        assert_eq!(client.text(), "welcome");
        assert!(client.text().starts_with("echo: "));
        // `general` has seven bytes.
        assert_eq!(client.text() == "joined general", allowed, "{setting:?}");
    }
}

#[test]
fn nesting_of_envelopes() {
    let lab = lab(&[("WEBSOCKET_MAX_JSON_DEPTH", "3")]);
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    client.send(r#"{"type":"ping","payload":{"a":{}}}"#);
    assert!(client.text().starts_with("echo: "));
    assert_eq!(client.text(), "pong");
    client.send(r#"{"type":"ping","payload":{"a":{"b":{}}}}"#);
    assert!(client.text().starts_with("echo: "), "too deep: a raw message");
    client.send("next");
    assert_eq!(client.text(), "echo: next", "and no envelope");
}

/// How a session ends after `most` frames of this payload, none of them the last of its message, and after one more.
fn after_fragments(setting: (&str, &str), payload: &[u8], most: usize) -> (u16, u16) {
    let lab = lab(&[setting]);
    let end = |count: usize| {
        let mut peer = Raw::connect(lab.ws(), "/");
        peer.frame(0x01, payload);
        for _ in 1..count {
            peer.frame(0x00, payload);
        }
        peer.frame(raw::CLOSE, &1000_u16.to_be_bytes());
        peer.closed().0
    };
    (end(most), end(most + 1))
}

#[test]
fn fragments() {
    assert_eq!(
        after_fragments(("WEBSOCKET_MAX_FRAGMENTS", "5"), b"x", 5),
        (1000, 1008)
    );
    assert_eq!(
        after_fragments(("WEBSOCKET_MAX_FRAGMENTS", "0"), b"x", 2000),
        (1000, 1000)
    );
}

#[test]
fn empty_fragments() {
    assert_eq!(
        after_fragments(("WEBSOCKET_MAX_EMPTY_FRAGMENTS", "3"), b"", 3),
        (1000, 1008)
    );
    assert_eq!(
        after_fragments(("WEBSOCKET_MAX_EMPTY_FRAGMENTS", "0"), b"", 500),
        (1000, 1000)
    );
}

#[test]
fn deflate() {
    for (setting, answered) in [("true", true), ("false", false)] {
        let lab = lab(&[("WEBSOCKET_ENABLE_DEFLATE", setting)]);
        let answer = handshake(&lab, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert_eq!(answer.status, 101);
        assert_eq!(
            answer.header("sec-websocket-extensions").is_some(),
            answered,
            "{setting}"
        );
    }
}

#[test]
fn frame_time() {
    let end = |setting: &str| {
        let lab = lab(&[
            ("WEBSOCKET_FRAME_TIMEOUT", setting),
            ("WEBSOCKET_IDLE_TIMEOUT", "3"),
        ]);
        let mut peer = Raw::connect(lab.ws(), "/");
        peer.send(&raw::declared(raw::TEXT, 5));
        peer.closed().0
    };
    assert_eq!(end("1"), 1008, "half a frame, then silence");
    assert_eq!(end("0"), 1000, "only the idle limit is left");
}

/// How a session ends that sends this many pings at once and then its Close.
fn after_pings(settings: &[(&str, &str)], pings: usize) -> u16 {
    let lab = lab(settings);
    let mut peer = Raw::connect(lab.ws(), "/");
    let mut bytes = raw::frame(raw::PING, b"").repeat(pings);
    bytes.extend(raw::frame(raw::CLOSE, &1000_u16.to_be_bytes()));
    peer.send(&bytes);
    peer.closed().0
}

#[test]
fn control_frames() {
    let (rate, burst) = ("WEBSOCKET_CONTROL_RATE", "WEBSOCKET_CONTROL_BURST");
    assert_eq!(after_pings(&[(rate, "1"), (burst, "20")], 19), 1000);
    assert_eq!(after_pings(&[(rate, "1"), (burst, "20")], 40), 1008);
    assert_eq!(
        after_pings(&[(rate, "0"), (burst, "20")], 400),
        1000,
        "no rate, no limit"
    );
}

#[test]
fn write_stall() {
    let mut lab = lab(&[
        ("WEBSOCKET_WRITE_STALL_TIMEOUT", "1"),
        ("WEBSOCKET_OUTBOX_BYTES", "0"),
        ("WEBSOCKET_OUTBOX_MESSAGES", "0"),
        ("WEBSOCKET_CLOSE_TIMEOUT", "1"),
    ]);
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst","payload":{"n":400,"size":200000}}"#);
    let line = lab.wait_for_line(|line| line.contains("ws_close"));
    assert!(line.contains("by=slow"), "{line}");
}
