//! What a conformance suite leaves out, as a table: each breach of RFC 6455 with its section and its exact answer.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::{Read, Write};

use support::{Record, TestServer, config, echo, frame, metric, read_close, read_frame};
use ws_server::ClosedBy;

/// Where the rule stands, what is done, the bytes, the close code.
type Row = (&'static str, String, Vec<u8>, u16);

const LAWFUL_CODES: [u16; 17] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4500, 4999,
];

/// Sends each row on a connection of its own behind a good message, with another good one after it: the first is
/// delivered, the second never, and the peer gets the Close of the row and then a FIN.
fn hold(rows: Vec<Row>) {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let count = rows.len();
    for (section, name, bytes, code) in rows {
        let name = format!("{section}: {name}");
        let errors = metric(&server.hub, "ws_errors_total");
        let mut stream = server.raw();
        stream.write_all(&frame(0x81, b"before")).unwrap();
        assert_eq!(
            read_frame(&mut stream),
            Some((0x81, b"before".to_vec())),
            "{name}"
        );
        stream.write_all(&bytes).unwrap();
        let _ = stream.write_all(&frame(0x81, b"after"));
        assert_eq!(read_close(&mut stream).0, code, "{name}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{name}: a FIN, not a reset");
        drop(stream);
        assert!(record.error().contains(&code.to_string()), "{name}");
        assert_eq!(record.close(), (code, ClosedBy::Error), "{name}");
        assert_eq!(metric(&server.hub, "ws_errors_total"), errors + 1.0, "{name}");
    }
    assert_eq!(metric(&server.hub, "ws_messages_in_total"), count as f64);
    assert_eq!(metric(&server.hub, "ws_connections_active"), 0.0);
    assert_eq!(record.counts(), (count, count));
}

fn row(section: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>, code: u16) -> Row {
    (section, name.into(), bytes.into(), code)
}

/// The header of a masked frame that declares this length in eight bytes.
fn declares(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

#[test]
fn frames_without_a_mask() {
    let section = "RFC 6455 §5.1";
    let mut rows: Vec<Row> = [0x81, 0x01, 0x82, 0x02, 0x88, 0x89, 0x8a]
        .map(|first| row(section, format!("first byte {first:#x}"), [first, 1, b'x'], 1002))
        .into();
    rows.push(row(
        section,
        "length in two bytes",
        [&[0x82, 126, 0, 200][..], &[0; 200]].concat(),
        1002,
    ));
    rows.push(row(
        section,
        "length in eight bytes",
        [&[0x82, 127][..], &70_000_u64.to_be_bytes()].concat(),
        1002,
    ));
    rows.push(row(section, "empty", [0x81, 0], 1002));
    rows.push(row(
        section,
        "a continuation",
        [frame(0x01, b"a"), vec![0x80, 1, b'b']].concat(),
        1002,
    ));
    hold(rows);
}

/// "The minimal number of bytes MUST be used to encode the length."
#[test]
fn lengths_that_are_not_in_their_shortest_form() {
    let section = "RFC 6455 §5.2";
    let mut rows = Vec::new();
    for length in [0_u16, 1, 5, 125] {
        for (first, kind) in [(0x81, "text"), (0x82, "binary"), (0x01, "fragment")] {
            let body = vec![b'x'; length.into()];
            let two = [&[first, 0xfe][..], &length.to_be_bytes(), &[0; 4], &body].concat();
            rows.push(row(section, format!("{kind}: {length} in two bytes"), two, 1002));
            let eight = [declares(first, length.into()), body].concat();
            rows.push(row(
                section,
                format!("{kind}: {length} in eight bytes"),
                eight,
                1002,
            ));
        }
    }
    for length in [126, 65_535] {
        rows.push(row(
            section,
            format!("{length} in eight bytes"),
            declares(0x82, length),
            1002,
        ));
    }
    let continuation = [frame(0x01, b"a"), declares(0x80, 1)].concat();
    rows.push(row(
        section,
        "a continuation of one byte in eight",
        continuation,
        1002,
    ));
    hold(rows);
}

#[test]
fn reserved_bits_and_opcodes() {
    let mut rows = Vec::new();
    for (bit, name) in [
        (0x40, "RSV1"),
        (0x20, "RSV2"),
        (0x10, "RSV3"),
        (0x70, "all three"),
    ] {
        for (first, kind) in [
            (0x81, "text"),
            (0x02, "fragment"),
            (0x88, "close"),
            (0x89, "ping"),
            (0x8a, "pong"),
        ] {
            let name = format!("{name} on {kind}");
            rows.push(row("RFC 6455 §5.2", name, frame(first | bit, b"\x03\xe8"), 1002));
        }
        let continuation = [frame(0x01, b"a"), frame(0x80 | bit, b"b")].concat();
        rows.push(row(
            "RFC 6455 §5.2",
            format!("{name} on a continuation"),
            continuation,
            1002,
        ));
    }
    for opcode in (3..8).chain(11..16) {
        let name = format!("opcode {opcode}");
        rows.push(row(
            "RFC 6455 §5.2",
            name.clone(),
            frame(0x80 | opcode, b""),
            1002,
        ));
        rows.push(row(
            "RFC 6455 §5.2",
            format!("{name} with a payload"),
            frame(0x80 | opcode, b"x"),
            1002,
        ));
    }
    hold(rows);
}

#[test]
fn declared_lengths() {
    let section = "RFC 6455 §5.2";
    let mut rows: Vec<Row> = [17, 20, 24, 31, 32, 40, 62]
        .map(|power| {
            row(
                "RFC 6455 §10.4",
                format!("2^{power}"),
                declares(0x82, 1 << power),
                1009,
            )
        })
        .into();
    rows.push(row(
        "RFC 6455 §10.4",
        "one over the limit",
        declares(0x81, 65_537),
        1009,
    ));
    rows.push(row(
        "RFC 6455 §10.4",
        "2^63 - 1",
        declares(0x82, (1 << 63) - 1),
        1009,
    ));
    rows.push(row(section, "2^63", declares(0x82, 1 << 63), 1002));
    rows.push(row(section, "2^64 - 1", declares(0x81, u64::MAX), 1002));
    rows.push(row(section, "a ping of 2^40", declares(0x89, 1 << 40), 1002));
    let sum = [frame(0x02, &[0; 65_000]), frame(0x80, &[0; 537])].concat();
    rows.push(row("RFC 6455 §10.4", "a sum one over the limit", sum, 1009));
    let sum = [frame(0x02, b"x"), declares(0x00, 65_536)].concat();
    rows.push(row("RFC 6455 §10.4", "a declared sum over the limit", sum, 1009));
    hold(rows);
}

#[test]
fn fragments_and_control_frames() {
    let rows = [
        (
            "RFC 6455 §5.4",
            "a continuation of nothing",
            frame(0x80, b"x"),
            1002,
        ),
        (
            "RFC 6455 §5.4",
            "an unfinished continuation of nothing",
            frame(0x00, b"x"),
            1002,
        ),
        (
            "RFC 6455 §5.4",
            "a text inside a text",
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
            1002,
        ),
        (
            "RFC 6455 §5.4",
            "a fragment that begins anew",
            [frame(0x02, b"a"), frame(0x02, b"b")].concat(),
            1002,
        ),
        (
            "RFC 6455 §5.4",
            "bad UTF-8 in a continuation",
            [frame(0x01, b"a"), frame(0x00, b"\xff")].concat(),
            1007,
        ),
        ("RFC 6455 §5.5", "a fragmented ping", frame(0x09, b"x"), 1002),
        ("RFC 6455 §5.5", "a fragmented pong", frame(0x0a, b""), 1002),
        (
            "RFC 6455 §5.5",
            "a fragmented close",
            frame(0x08, b"\x03\xe8"),
            1002,
        ),
        (
            "RFC 6455 §5.5",
            "a ping of 126 bytes",
            frame(0x89, &[0; 126]),
            1002,
        ),
        (
            "RFC 6455 §5.5",
            "a pong of 126 bytes",
            frame(0x8a, &[0; 126]),
            1002,
        ),
        (
            "RFC 6455 §5.5",
            "a ping of 65536 bytes",
            frame(0x89, &[0; 65536]),
            1002,
        ),
        ("RFC 6455 §5.5.1", "a close of 1 byte", frame(0x88, b"\x03"), 1002),
        (
            "RFC 6455 §5.5",
            "a close of 126 bytes",
            close(1000, &[b'x'; 124]),
            1002,
        ),
        (
            "RFC 6455 §5.5.1",
            "a reason that is not UTF-8",
            close(1000, b"\xc3\x28"),
            1007,
        ),
        (
            "RFC 6455 §5.5.1",
            "a reason cut inside a character",
            close(1000, b"ab\xe2\x82"),
            1007,
        ),
    ];
    hold(
        rows.map(|(section, name, bytes, code)| row(section, name, bytes, code))
            .into(),
    );
}

#[test]
fn close_codes_nobody_may_send() {
    let below = (0..1000).map(|code| ("RFC 6455 §7.4.2", code));
    let reserved = [1004, 1005, 1006, 1015].map(|code| ("RFC 6455 §7.4.1", code));
    let unassigned = [1016, 1100, 2000, 2999].map(|code| ("RFC 6455 §7.4.2", code));
    let beyond = [5000, 5001, 9999, 32768, 65535].map(|code| ("RFC 6455 §7.4.2", code));
    let all = below.chain(reserved).chain(unassigned).chain(beyond);
    hold(
        all.map(|(section, code)| row(section, format!("code {code}"), close(code, b""), 1002))
            .collect(),
    );
}

#[test]
fn lawful_closes_are_echoed_and_told_once() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let longest = "r".repeat(123);
    for reason in ["", "bye", "€", &longest] {
        for code in LAWFUL_CODES {
            let mut stream = server.raw();
            let bytes = [close(code, reason.as_bytes()), frame(0x81, b"after")].concat();
            stream.write_all(&bytes).unwrap();
            assert_eq!(
                read_close(&mut stream).0,
                code,
                "RFC 6455 §5.5.1: {code} {reason}"
            );
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{code}: a FIN, not a reset");
            assert_eq!(record.close(), (code, ClosedBy::Peer), "RFC 6455 §7.1.5: {code}");
        }
    }
    let mut stream = server.raw();
    stream.write_all(&frame(0x88, b"")).unwrap();
    assert_eq!(
        read_frame(&mut stream),
        Some((0x88, Vec::new())),
        "a Close without a body"
    );
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(record.close(), (1005, ClosedBy::Peer));
    assert_eq!(metric(&server.hub, "ws_errors_total"), 0.0);
    assert_eq!(
        metric(&server.hub, "ws_messages_in_total"),
        0.0,
        "nothing after a Close"
    );
    let sessions = LAWFUL_CODES.len() * 4 + 1;
    assert_eq!(record.counts(), (sessions, sessions));
}

#[test]
fn endless_fragments_end_at_their_limits() {
    let server = TestServer::start(echo(config()));
    for (name, kind, first, next, limit) in [
        ("fragments of one byte", 0x02, &b"x"[..], &b"x"[..], 1024),
        ("empty fragments", 0x01, b"", b"", 16),
        ("empty ones behind a first with a byte", 0x01, b"x", b"", 17),
    ] {
        let fragments = |count: usize| [frame(kind, first), frame(0x00, next).repeat(count - 1)].concat();
        let mut stream = server.raw();
        stream.write_all(&fragments(limit)).unwrap();
        stream.write_all(&frame(0x89, b"?")).unwrap();
        assert_eq!(
            read_frame(&mut stream),
            Some((0x8a, b"?".to_vec())),
            "{name}: up to the limit all is well"
        );
        stream.write_all(&frame(0x00, next)).unwrap();
        assert_eq!(read_close(&mut stream).0, 1008, "RFC 6455 §10.4: {name}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{name}: a FIN");
    }
    // A message of just as many fragments is delivered, and the next one counts anew.
    let mut stream = server.raw();
    for _ in 0..2 {
        let whole = [
            frame(0x02, b"x"),
            frame(0x00, b"x").repeat(1022),
            frame(0x80, b"y"),
        ]
        .concat();
        stream.write_all(&whole).unwrap();
        let (first, payload) = read_frame(&mut stream).unwrap();
        assert_eq!((first, payload.len()), (0x82, 1024));
        let sparse = [frame(0x01, b""), frame(0x00, b"").repeat(15), frame(0x80, b"end")].concat();
        stream.write_all(&sparse).unwrap();
        assert_eq!(read_frame(&mut stream), Some((0x81, b"end".to_vec())));
    }
}
