//! Lawful frames with hostile content: JSON, names of rooms, requests that make handlers panic.

use std::io::{Read, Write};
use std::thread;

use crate::scene::Scene;
use workspace_tests::http;
use workspace_tests::raw::{CLOSE, TEXT, frame, handshake};

#[test]
fn json_of_any_shape_is_a_raw_message_or_an_envelope_and_never_the_end_of_the_process() {
    let mut scene = Scene::new(&[("WEBSOCKET_MAX_MESSAGE_SIZE", "1000000")]);
    let (mut raw, _) = scene.attacker();
    let deep = |depth: usize| {
        let open = r#"{"a":"#.repeat(depth);
        format!(r#"{{"type":"ping","payload":{open}1{}}}"#, "}".repeat(depth))
    };
    let arrays = |depth: usize| {
        format!(
            r#"{{"type":"ping","payload":{{"a":{}{}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let raws = [
        ("objects 100 000 deep", deep(100_000)),
        ("arrays 100 000 deep", arrays(100_000)),
        ("never closed", "[".repeat(900_000)),
        ("33 deep", deep(32)),
        ("a type twice", r#"{"type":"ping","type":"throw"}"#.to_owned()),
        (
            "a type twice, once escaped",
            r#"{"type":"ping","typ\u0065":"throw"}"#.to_owned(),
        ),
        (
            "a payload twice",
            r#"{"type":"ping","payload":{},"payload":{}}"#.to_owned(),
        ),
        (
            "a room twice",
            r#"{"room":"a","type":"ping","room":"b"}"#.to_owned(),
        ),
        (
            "a type that is a number",
            r#"{"type":18446744073709551616}"#.to_owned(),
        ),
        ("an unpaired surrogate", r#"{"type":"ping\ud800"}"#.to_owned()),
        ("a byte order mark", "\u{feff}{\"type\":\"ping\"}".to_owned()),
        ("two values", r#"{"type":"ping"}{"type":"ping"}"#.to_owned()),
    ];
    for (name, text) in &raws {
        raw.frame(TEXT, text.as_bytes());
        assert_eq!(raw.text(), format!("echo: {text}"), "{name}");
    }
    let envelopes = [
        ("32 deep", deep(31)),
        (
            "2^64",
            r#"{"type":"ping","payload":{"n":18446744073709551616}}"#.to_owned(),
        ),
        (
            "400 digits",
            format!(r#"{{"type":"ping","payload":{{"n":{}}}}}"#, "9".repeat(400)),
        ),
        ("1e999", r#"{"type":"ping","payload":{"n":1e999}}"#.to_owned()),
        (
            "a payload key twice",
            r#"{"type":"ping","payload":{"a":1,"a":2}}"#.to_owned(),
        ),
    ];
    for (name, text) in &envelopes {
        raw.frame(TEXT, text.as_bytes());
        // No `pong` of a raw message came in between.
        assert_eq!(raw.text(), format!("echo: {text}"), "{name}");
        assert_eq!(raw.text(), "pong", "{name}");
    }
    drop(raw);
    scene.ends_unharmed(&[]);
}

#[test]
fn the_same_shapes_over_http_get_400_and_numbers_stay_as_they_are() {
    let scene = Scene::new(&[]);
    let api = scene.lab.http();
    let deep = format!(
        r#"{{"type":"t","payload":{}1{}}}"#,
        r#"{"a":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    for body in [
        deep.as_str(),
        r#"{"type":"t","type":"t"}"#,
        r#"{"type":"t","payload":{},"payload":{}}"#,
        r#"{"type":18446744073709551616}"#,
    ] {
        let answer = http::post(api, "/ws/send", body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.body.len() <= 200 && answer.json()["error"].is_string());
    }
    let exact = r#"{"n":18446744073709551616,"z":-0.10,"a":1e400}"#;
    let body = format!(r#"{{"type":"t","session_id":"lp-exact","payload":{exact}}}"#);
    assert_eq!(http::post(api, "/ws/send", &body).status, 202);
    let polled = http::get(api, "/ws/poll?session_id=lp-exact");
    assert!(polled.text().contains(exact), "{}", polled.text());
    scene.ends_unharmed(&[]);
}

#[test]
fn a_handler_that_panics_ends_its_own_session_with_1011_and_nothing_else() {
    let mut scene = Scene::new(&[]);
    for number in 1..=20 {
        let (mut raw, session) = scene.attacker();
        raw.frame(TEXT, br#"{"type":"throw"}"#);
        scene.is_closed("throw", (raw, session), 1011, "error");
        scene.neighbour_is_served();
        assert_eq!(scene.lab.event("handler_panics"), number);
        assert_eq!(scene.lab.metric("ws_panics_total"), number as f64);
    }
    scene.ends_unharmed(&[("panic", 20)]);
}

#[test]
fn twenty_thousand_joins_and_names_of_any_bytes_leave_nothing_behind() {
    let mut scene = Scene::new(&[]);
    let (mut raw, _) = scene.attacker();
    let grown = scene.growth(|_| {
        let mut writer = raw.stream().try_clone().expect("a socket");
        let writing = thread::spawn(move || {
            for number in 0..20_000 {
                let text = format!(r#"{{"type":"room.join","room":"{}"}}"#, name(number));
                writer.write_all(&frame(TEXT, text.as_bytes())).expect("taken");
            }
        });
        for _ in 0..20_000 {
            assert!(raw.text().starts_with("echo: "));
            assert_eq!(raw.text(), "joined general");
        }
        writing.join().expect("the writer ends");
    });
    // The rings of the bridge are bounded by their own settings; no room was made but the one.
    assert!(grown < 40 * 1024, "{grown} KiB");
    assert_eq!(scene.lab.metric("ws_rooms_active"), 1.0);
    raw.frame(CLOSE, &[3, 0xe8]);
    assert_eq!(raw.closed().0, 1000);
    drop(raw);
    workspace_tests::observe::until("the room is gone with its member", || {
        scene.lab.metric("ws_rooms_active") == 0.0
    });
    scene.ends_unharmed(&[]);
}

/// Names no two of which are the same: control characters, quotes, long ones, other scripts.
fn name(number: u32) -> String {
    match number % 5 {
        0 => format!("\\u0000\\r\\n{number}"),
        1 => format!("\\\"../{number}"),
        2 => format!("{number}{}", "n".repeat(2000)),
        3 => format!("комната {number} 🦀"),
        _ => format!("room-{number}"),
    }
}

#[test]
fn control_characters_of_a_peer_reach_no_log_line() {
    let mut scene = Scene::new(&[("RUST_LOG", "trace"), ("LOGGING_ASYNC", "false")]);
    let bad = [
        "GET /%1b%0d%0aEV\u{1b}[2J HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "\u{1b}]0;title\u{7} / HTTP/1.1\r\n\r\n".to_owned(),
        handshake("/", "Origin: \u{1b}[2J\r\nCookie: \u{1b}[31m\r\n"),
    ];
    for request in &bad {
        let mut stream = http::connect(scene.lab.ws());
        stream.write_all(request.as_bytes()).expect("sent");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let (mut raw, session) = scene.attacker();
    raw.frame(TEXT, "\u{1b}[2J\r\nEV 1.0 forged".as_bytes());
    raw.text();
    raw.frame(
        TEXT,
        "{\"type\":\"\\u001b[2J\\nEV 1.0 forged\",\"room\":\"\\r\\nEV 1.0 forged\"}".as_bytes(),
    );
    raw.text();
    raw.frame(0x83, b"");
    let mut closing = vec![3, 0xe8];
    closing.extend_from_slice("\u{1b}[2J\r\nEV 1.0 forged".as_bytes());
    scene.is_closed("a reserved opcode", (raw, session), 1002, "error");
    let (mut raw, session) = scene.attacker();
    raw.frame(CLOSE, &closing);
    scene.is_closed("a forging reason", (raw, session), 1000, "peer");
    let lines = scene.lab.all_lines();
    for line in &lines {
        assert!(!line.contains('\u{1b}') && !line.contains('\u{7}'), "{line:?}");
        assert!(!line.starts_with("EV 1.0 "), "{line:?}");
    }
    assert!(lines.len() > 20, "the log is on");
    scene.ends_unharmed(&[("protocol", 1)]);
}
