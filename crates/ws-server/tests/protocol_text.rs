//! Texts that are not UTF-8 fail at the byte that says so: whole, in fragments, in frames that never end.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::{Read, Write};

use support::{Record, TestServer, config, echo, frame, metric, read_close};
use ws_server::ClosedBy;

/// Where the rule stands, what is done, the bytes.
type Row = (&'static str, String, Vec<u8>);

fn row(section: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Row {
    (section, name.into(), bytes.into())
}

#[test]
fn texts_that_are_not_utf_8() {
    let section = "RFC 6455 §8.1";
    let forms: [(&str, &[u8]); 12] = [
        ("a stray continuation byte", b"a\x80"),
        ("a byte that never occurs", b"\xff"),
        ("an overlong slash", b"\xc0\xaf"),
        ("an overlong NUL of three bytes", b"\xe0\x80\x80"),
        ("an overlong of four bytes", b"\xf0\x80\x80\x80"),
        ("the first surrogate", b"\xed\xa0\x80"),
        ("the last surrogate", b"\xed\xbf\xbf"),
        ("a pair of surrogates", b"\xed\xa0\x81\xed\xb0\x80"),
        ("above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("cut inside a character", b"a\xe2\x82"),
        ("a lead byte before ASCII", b"\xe2(a"),
    ];
    let mut rows = Vec::new();
    for (name, bytes) in forms {
        rows.push(row(section, name, frame(0x81, bytes)));
        let (first, rest) = bytes.split_at(1);
        let fragments = [frame(0x01, first), frame(0x00, b""), frame(0x80, rest)].concat();
        rows.push(row(section, format!("{name}, in fragments"), fragments));
    }
    // At the byte: the rest of the frame, of the message, never comes.
    rows.push(row(
        section,
        "the first bad byte of a long frame",
        declares_text(b"\xed\xa0"),
    ));
    rows.push(row(section, "in an unfinished message", frame(0x01, b"\xc1")));
    hold_open_ended(rows);
}

/// The first bytes of a text frame of 60 000.
fn declares_text(bytes: &[u8]) -> Vec<u8> {
    let mut whole = frame(0x81, &[bytes, &vec![b'x'; 60_000 - bytes.len()]].concat());
    whole.truncate(8 + bytes.len());
    whole
}

/// As [`hold`], for rows whose last frame may be unfinished: nothing can be sent behind them.
fn hold_open_ended(rows: Vec<Row>) {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let code = 1007;
    for (section, name, bytes) in rows {
        let mut stream = server.raw();
        stream.write_all(&bytes).unwrap();
        assert_eq!(read_close(&mut stream).0, code, "{section}: {name}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{section}: {name}: a FIN");
        drop(stream);
        assert_eq!(record.close(), (code, ClosedBy::Error), "{section}: {name}");
    }
    assert_eq!(metric(&server.hub, "ws_messages_in_total"), 0.0);
}
