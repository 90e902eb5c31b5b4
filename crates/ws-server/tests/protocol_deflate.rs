//! permessage-deflate (RFC 7692) as tables: what is agreed on, what is declined, and what breaks its rules.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use support::{
    Record, TestServer, config, echo, frame, handshake, metric, read_close, read_frame, read_head, tcp,
};
use ws_server::ClosedBy;

/// First byte of a whole compressed text, and of the first fragment of one.
const COMPRESSED: u8 = 0xc1;
const COMPRESSED_FIRST: u8 = 0x41;

/// A handshake with this offer: the connection, the status, and the extension of the answer.
fn offer(server: &TestServer, offer: &str) -> (TcpStream, String, Option<String>) {
    let mut stream = tcp(server.addr);
    let line = format!("Sec-WebSocket-Extensions: {offer}");
    stream.write_all(&handshake("/", &[&line])).unwrap();
    let head = read_head(&mut stream);
    let answer = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-extensions")
            .then(|| value.to_owned())
    });
    (stream, head[9..12].to_owned(), answer)
}

fn compressed_connection(server: &TestServer) -> TcpStream {
    let (stream, status, answer) = offer(server, "permessage-deflate");
    assert_eq!(status, "101");
    assert!(answer.is_some(), "the plain offer is taken");
    stream
}

/// A message as RFC 7692 §7.2.1 compresses it.
fn deflate(body: &[u8]) -> Vec<u8> {
    let mut bytes = compress(body, FlushCompress::Sync);
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn compress(body: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 1024);
    Compress::new(Compression::best(), false)
        .compress_vec(body, &mut bytes, flush)
        .unwrap();
    bytes
}

/// So many MiB of zeros in as many KiB.
fn bomb(mebibytes: usize) -> Vec<u8> {
    // A full flush makes each piece independent of those before it.
    let mut bytes = compress(&vec![0; 1 << 20], FlushCompress::Full).repeat(mebibytes);
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// The next message, inflated if it says that it is compressed.
fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let (first, mut payload) = read_frame(stream).expect("a message");
    if first & 0x40 == 0 {
        return payload;
    }
    payload.extend([0, 0, 0xff, 0xff]);
    let mut body = Vec::with_capacity(1 << 20);
    Decompress::new(false)
        .decompress_vec(&payload, &mut body, FlushDecompress::Sync)
        .unwrap();
    body
}

#[test]
fn offers_are_taken_or_declined_and_never_answered_wrongly() {
    let server = TestServer::start(echo(config()));
    let declined = [
        (
            "§7.1.2.1 window 7",
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            "§7.1.2.1 window 16",
            "permessage-deflate; server_max_window_bits=16",
        ),
        (
            "§7.1.2.1 window 0",
            "permessage-deflate; server_max_window_bits=0",
        ),
        (
            "§7.1.2.1 a leading zero",
            "permessage-deflate; server_max_window_bits=09",
        ),
        (
            "§7.1.2.1 no number",
            "permessage-deflate; server_max_window_bits=ten",
        ),
        ("§7.1.2.1 no value", "permessage-deflate; server_max_window_bits"),
        (
            "§7.1.2.2 window 7",
            "permessage-deflate; client_max_window_bits=7",
        ),
        (
            "§7.1.2.2 window 16",
            "permessage-deflate; client_max_window_bits=16",
        ),
        (
            "§7.1.1.1 a value",
            "permessage-deflate; server_no_context_takeover=1",
        ),
        (
            "§7.1.1.2 a value",
            "permessage-deflate; client_no_context_takeover=true",
        ),
        ("§7.1 an unknown parameter", "permessage-deflate; level=9"),
        (
            "§7.1 a parameter twice",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ),
        (
            "§7.1 a window twice",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=10",
        ),
        ("§5 another extension", "x-webkit-deflate-frame"),
        (
            "§5 one that does not exist",
            "permessage-bzip2; client_max_window_bits",
        ),
    ];
    for (name, text) in declined {
        let (mut stream, status, answer) = offer(&server, text);
        assert_eq!((status.as_str(), answer), ("101", None), "RFC 7692 {name}");
        stream.write_all(&frame(0x81, b"plain")).unwrap();
        assert_eq!(read_frame(&mut stream), Some((0x81, b"plain".to_vec())), "{name}");
        stream.write_all(&frame(COMPRESSED, &deflate(b"x"))).unwrap();
        assert_eq!(
            read_close(&mut stream).0,
            1002,
            "RFC 6455 §5.2: {name}: RSV1 was not agreed on"
        );
    }
    let taken = [
        ("§7.1", "permessage-deflate"),
        ("§7.1.2.2", "permessage-deflate; client_max_window_bits"),
        ("§7.1.2.2", "permessage-deflate; client_max_window_bits=8"),
        ("§7.1.2.1", "permessage-deflate; server_max_window_bits=10"),
        (
            "§5 a quoted value",
            "permessage-deflate; server_max_window_bits=\"10\"",
        ),
        (
            "§7.1.1",
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
        ),
        (
            "§5.1 the second one",
            "permessage-deflate; server_max_window_bits=7, permessage-deflate",
        ),
        (
            "§5 behind a stranger",
            "x-other; a=b, permessage-deflate; client_max_window_bits",
        ),
    ];
    for (name, text) in taken {
        let (mut stream, status, answer) = offer(&server, text);
        let answer = answer.unwrap_or_else(|| panic!("RFC 7692 {name}: {text} is declined"));
        assert_eq!(status, "101");
        let mut params = answer.split(';').map(str::trim);
        assert_eq!(params.next(), Some("permessage-deflate"), "{answer}");
        let may_say_client_window = text.contains("client_max_window_bits");
        for param in params {
            match param.split_once('=') {
                None => assert!(
                    ["server_no_context_takeover", "client_no_context_takeover"].contains(&param),
                    "{answer}"
                ),
                Some(("server_max_window_bits", bits)) => {
                    let limit = if text.contains("10") { 10 } else { 15 };
                    assert!((8..=limit).contains(&bits.parse::<u8>().unwrap()), "{answer}");
                }
                Some(("client_max_window_bits", _)) => assert!(may_say_client_window, "{answer}"),
                Some(_) => panic!("unknown: {answer}"),
            }
        }
        if text.contains("server_max_window_bits=\"") || text.contains("=10") {
            assert!(answer.contains("server_max_window_bits"), "§7.1.2.1: {answer}");
        }
        let body = b"as small as the window allows ".repeat(60);
        stream.write_all(&frame(COMPRESSED, &deflate(&body))).unwrap();
        assert_eq!(read_message(&mut stream), body, "{name}");
    }
    for malformed in [
        "permessage-deflate;",
        "permessage-deflate; a=",
        "=",
        "a b",
        "permessage-deflate; a=\"b",
    ] {
        let (_, status, answer) = offer(&server, malformed);
        assert_eq!(
            (status.as_str(), answer),
            ("400", None),
            "RFC 6455 §9.1: {malformed}"
        );
    }
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    let server = TestServer::start(echo(config()));
    let mut stream = compressed_connection(&server);
    let rows: [(&str, &[u8]); 4] = [
        ("§7.2.3.1 one block", b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        ("§7.2.3.3 no compression", b"\x00\x05\x00\xfa\xffHello\x00"),
        ("§7.2.3.4 a final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        (
            "§7.2.3.5 two blocks",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ),
    ];
    for (name, bytes) in rows {
        stream.write_all(&frame(COMPRESSED, bytes)).unwrap();
        assert_eq!(read_message(&mut stream), b"Hello", "RFC 7692 {name}");
        for cut in 1..bytes.len() {
            let (first, rest) = bytes.split_at(cut);
            let fragments = [frame(COMPRESSED_FIRST, first), frame(0x80, rest)].concat();
            stream.write_all(&fragments).unwrap();
            assert_eq!(
                read_message(&mut stream),
                b"Hello",
                "RFC 7692 {name}, cut at {cut}"
            );
        }
    }
    stream.write_all(&frame(0x81, b"plain")).unwrap();
    assert_eq!(
        read_message(&mut stream),
        b"plain",
        "§6: not every message is compressed"
    );
    stream.write_all(&frame(COMPRESSED, b"\x00")).unwrap();
    assert_eq!(read_message(&mut stream), b"", "§7.2.3.6: an empty message");
}

#[test]
fn what_breaks_the_rules_is_closed_with_its_code() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let whole = deflate(&b"abcdefgh".repeat(40));
    let half = &whole[..whole.len() / 2];
    let in_fragments = |first: u8, bytes: &[u8]| {
        let mut pieces = bytes.chunks(16_000);
        let begin = frame(first & 0x7f, pieces.next().unwrap());
        [begin, pieces.flat_map(|piece| frame(0x00, piece)).collect()].concat()
    };
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("RFC 7692 §6.1 RSV1 on a ping", frame(0xc9, b""), 1002),
        ("RFC 7692 §6.1 RSV1 on a pong", frame(0xca, b""), 1002),
        ("RFC 7692 §6.1 RSV1 on a close", frame(0xc8, b"\x03\xe8"), 1002),
        (
            "RFC 7692 §6.1 RSV1 on a last fragment",
            [frame(COMPRESSED_FIRST, half), frame(0xc0, half)].concat(),
            1002,
        ),
        (
            "RFC 7692 §6.1 RSV1 on a middle fragment",
            [frame(0x01, b"a"), frame(0x40, b"b")].concat(),
            1002,
        ),
        ("RFC 6455 §5.2 RSV2", frame(0xe1, &whole), 1002),
        ("RFC 6455 §5.2 RSV3 alone", frame(0x91, b"x"), 1002),
        (
            "RFC 1951 §3.2.3 a reserved block type",
            frame(COMPRESSED, b"\x06\x00"),
            1007,
        ),
        (
            "RFC 1951 §3.2.4 a length that does not fit its complement",
            frame(COMPRESSED, b"\x00\x05\x00\x00\x00Hello\x00"),
            1007,
        ),
        (
            "RFC 1951 §3.2.5 a distance before the beginning",
            frame(COMPRESSED, b"\x02\x02\x00"),
            1007,
        ),
        (
            "RFC 1951 §3.2.7 broken code lengths",
            frame(COMPRESSED, &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff]),
            1007,
        ),
        ("RFC 7692 §7.2.2 cut off", frame(COMPRESSED, half), 1007),
        (
            "RFC 7692 §7.2.2 a stored block without its end",
            frame(COMPRESSED, b"\x00\xff\x00\x00\xffabc"),
            1007,
        ),
        (
            "RFC 6455 §8.1 bad UTF-8 inside",
            frame(COMPRESSED, &deflate(b"ok \xff")),
            1007,
        ),
        (
            "RFC 6455 §8.1 a surrogate inside",
            frame(COMPRESSED, &deflate(b"\xed\xa0\x80")),
            1007,
        ),
        (
            "RFC 6455 §8.1 a cut character inside",
            frame(COMPRESSED, &deflate(b"\xe2\x82")),
            1007,
        ),
        (
            "RFC 6455 §8.1 bad UTF-8 in a message that never ends",
            frame(COMPRESSED_FIRST, b"\x00\x02\x00\xfd\xff\xff\xff"),
            1007,
        ),
        (
            "RFC 6455 §10.4 one byte over the limit",
            frame(COMPRESSED, &deflate(&[b'x'; 65_537])),
            1009,
        ),
        (
            "RFC 6455 §10.4 1 GiB in a frame",
            frame(COMPRESSED, &bomb(1024)),
            1009,
        ),
        (
            "RFC 6455 §10.4 1 GiB in fragments",
            in_fragments(COMPRESSED, &bomb(1024)),
            1009,
        ),
        (
            "RFC 6455 §10.4 1 GiB of binary",
            in_fragments(0xc2, &bomb(1024)),
            1009,
        ),
    ];
    for (name, bytes, code) in rows {
        let mut stream = compressed_connection(&server);
        stream.write_all(&frame(COMPRESSED, &whole)).unwrap();
        assert_eq!(
            read_message(&mut stream),
            b"abcdefgh".repeat(40),
            "{name}: before"
        );
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            let _ = writer.write_all(&bytes);
        });
        assert_eq!(read_close(&mut stream).0, code, "{name}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{name}: a FIN, not a reset");
        drop(stream);
        writing.join().unwrap();
        assert_eq!(record.close(), (code, ClosedBy::Error), "{name}");
    }
    assert_eq!(metric(&server.hub, "ws_connections_active"), 0.0);
}

#[test]
fn a_message_of_exactly_the_limit_is_delivered_however_small_it_came() {
    let server = TestServer::start(echo(config()));
    let mut stream = compressed_connection(&server);
    let body = vec![b'x'; 65_536];
    for _ in 0..3 {
        stream.write_all(&frame(COMPRESSED, &deflate(&body))).unwrap();
        assert!(read_message(&mut stream) == body);
    }
}

/// RFC 7692 §7.1.1.2: who has agreed not to refer to earlier messages must not.
#[test]
fn a_reference_to_an_earlier_message_is_refused_where_that_was_agreed() {
    let server = TestServer::start(echo(config()));
    let (mut stream, _, answer) = offer(&server, "permessage-deflate; client_no_context_takeover");
    assert!(answer.is_some());
    let mut state = Compress::new(Compression::best(), false);
    let mut next = |body: &[u8]| {
        let mut bytes = Vec::with_capacity(1024);
        state.compress_vec(body, &mut bytes, FlushCompress::Sync).unwrap();
        bytes.truncate(bytes.len() - 4);
        bytes
    };
    let body = b"a text that is long enough to be found again";
    stream.write_all(&frame(COMPRESSED, &next(body))).unwrap();
    assert_eq!(read_message(&mut stream), body);
    stream.write_all(&frame(COMPRESSED, &next(body))).unwrap();
    assert_eq!(read_close(&mut stream).0, 1007);
}
