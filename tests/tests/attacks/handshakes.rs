//! Attacks before there is a session.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use workspace_tests::http;
use workspace_tests::raw::{Raw, TEXT, frame, handshake};

/// The limit for a handshake that is not finished: the default of `SERVER_HEAD_TIMEOUT`.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn pages_of_others_open_no_session_and_post_nothing() {
    let scene = Scene::new(&[]);
    let (ws, api) = (scene.lab.ws(), scene.lab.http());
    let status = |origin: &str| http::send(ws, &handshake("/", &format!("Origin: {origin}\r\n"))).status;
    let posted = |origin: &str| {
        let body = r#"{"type":"t"}"#;
        let length = body.len();
        http::send(
            api,
            &format!(
                "POST /ws/send HTTP/1.1\r\nHost: here:1\r\nOrigin: {origin}\r\nConnection: close\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ),
        )
        .status
    };
    let foreign = [
        "http://evil.example",
        "https://here.evil.example",
        "http://evil.example:1",
        "http://here@evil.example",
        "http://evil.example/here",
        "http://here.",
        "null",
        "",
        "here",
        "file://",
    ];
    for origin in foreign {
        assert_eq!((status(origin), posted(origin)), (403, 403), "{origin}");
    }
    for origin in ["http://here", "https://here:8443", "http://HERE:80"] {
        assert_eq!(posted(origin), 202, "{origin}: any port of the same host");
        let raw = Raw::offering(ws, "/", &format!("Origin: {origin}\r\n"));
        assert!(raw.answer.header("sec-websocket-accept").is_some());
    }
    let refused = scene.lab.metric("ws_handshakes_refused_total{status=\"403\"}");
    assert_eq!(refused, foreign.len() as f64);
    // The three sessions of this page's own host are known to the scene as well.
    scene.with_sessions(3).ends_unharmed(&[]);
}

#[test]
fn bad_handshakes_are_refused_and_counted() {
    let scene = Scene::new(&[]);
    let good = handshake("/", "");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let rows = [
        (
            "short key",
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            400,
        ),
        ("two keys", good.replace(key, &key.repeat(2)), 400),
        ("no key", good.replace(key, ""), 400),
        ("no Host", good.replace("Host: here:1\r\n", ""), 400),
        (
            "two Hosts",
            good.replace("Host: here:1\r\n", "Host: here:1\r\nHost: here:1\r\n"),
            400,
        ),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("no version", good.replace(version, ""), 426),
        (
            "another version",
            good.replace(version, "Sec-WebSocket-Version: 12\r\n"),
            426,
        ),
        ("POST", good.replace("GET", "POST"), 405),
        (
            "Connection: close",
            good.replace("Connection: Upgrade", "Connection: close"),
            400,
        ),
    ];
    for (name, request, status) in &rows {
        let answer = http::send(scene.lab.ws(), request);
        assert_eq!(answer.status, *status, "{name}");
        let version = answer.header("sec-websocket-version");
        assert_eq!(version, (*status == 426).then_some("13"), "{name}");
        assert!(answer.body.len() <= 200, "{name}");
    }
    // Two of the rows are no HTTP, and so no handshake either.
    for (status, count) in [(400, 5.0), (405, 1.0), (426, 2.0)] {
        let name = format!("ws_handshakes_refused_total{{status=\"{status}\"}}");
        assert_eq!(scene.lab.metric(&name), count, "{status}");
    }
    let malformed = scene
        .lab
        .metric("ws_connections_refused_total{reason=\"malformed\"}");
    assert_eq!(malformed, 2.0);
    scene.ends_unharmed(&[]);
}

#[test]
fn a_frame_right_behind_the_handshake_is_delivered_and_one_behind_a_refused_one_never() {
    let scene = Scene::new(&[]);
    let throw = frame(TEXT, br#"{"type":"throw"}"#);
    let bad = handshake("/", "").replace("Version: 13", "Version: 12");
    let mut refused = http::connect(scene.lab.ws());
    refused
        .write_all(&[bad.as_bytes(), &throw].concat())
        .expect("sent");
    let mut answer = Vec::new();
    let _ = refused.read_to_end(&mut answer);
    assert!(
        answer.starts_with(b"HTTP/1.1 426 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(scene.lab.event("handler_panics"), 0);

    let mut early = http::connect(scene.lab.ws());
    let bytes = [handshake("/", "").as_bytes(), &frame(TEXT, b"early")].concat();
    early.write_all(&bytes).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"echo: early") {
        let mut byte = [0];
        early.read_exact(&mut byte).expect("the echo comes");
        answer.push(byte[0]);
    }
    drop(early);
    scene.with_sessions(1).ends_unharmed(&[]);
}

#[test]
fn a_handshake_of_one_byte_per_second_ends_at_the_limit() {
    let scene = Scene::new(&[]);
    let mut slow = http::connect(scene.lab.ws());
    let mut writer = slow.try_clone().expect("a socket");
    let began = Instant::now();
    let writing = thread::spawn(move || {
        for byte in handshake("/", "").bytes().take(40) {
            if writer.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    slow.set_read_timeout(Some(HANDSHAKE_LIMIT * 2))
        .expect("a positive limit");
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    let took = began.elapsed();
    let margin = Duration::from_secs(1);
    assert!(
        took > HANDSHAKE_LIMIT - margin && took < HANDSHAKE_LIMIT + margin,
        "{took:?}"
    );
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    drop(slow);
    writing.join().expect("the writer ends");
    scene.ends_unharmed(&[]);
}
