//! Bad handshakes as a table: each breach of RFC 6455 §4.2.1 and RFC 9112 with the status it is answered with.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{Record, TestServer, config, echo, frame, handshake, metric, read_frame, read_head, tcp};
use ws_server::WsConfig;

const HOST: &str = "Host: localhost";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";

/// A good handshake in which each line `from` is replaced by `to`; an empty `to` leaves the line out.
fn replaced(from: &str, to: &str) -> String {
    let good = String::from_utf8(handshake("/", &[])).unwrap();
    assert!(good.contains(from), "{from}");
    match to {
        "" => good.replace(&format!("{from}\r\n"), ""),
        to => good.replace(from, to),
    }
}

fn doubled(line: &str) -> String {
    replaced(line, &format!("{line}\r\n{line}"))
}

/// Sends a handshake with a frame and another request right behind it; gives the head of the one answer.
fn refused(server: &TestServer, name: &str, request: &str) -> String {
    let before = metric(&server.hub, "ws_connections_total");
    let mut stream = tcp(server.addr);
    stream.write_all(request.as_bytes()).unwrap();
    let _ = stream.write_all(&frame(0x81, b"too early"));
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = read_head(&mut stream).to_ascii_lowercase();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        !rest.contains("HTTP/1.1 ") && !rest.contains("HTTP/1.0 "),
        "{name}: a second answer: {rest}"
    );
    assert_eq!(metric(&server.hub, "ws_connections_total"), before, "{name}");
    head
}

#[test]
fn every_bad_handshake_gets_its_status_and_the_connection_ends() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let key = |value: &str| replaced(KEY, format!("Sec-WebSocket-Key: {value}").trim_end());
    let version = |value: &str| replaced(VERSION, format!("Sec-WebSocket-Version: {value}").trim_end());
    let rows: Vec<(&str, &str, String, u16)> = vec![
        ("RFC 9110 §15.5.6", "POST", replaced("GET /", "POST /"), 405),
        ("RFC 9110 §15.5.6", "HEAD", replaced("GET /", "HEAD /"), 405),
        ("RFC 9110 §15.5.6", "PUT", replaced("GET /", "PUT /"), 405),
        (
            "RFC 6455 §4.2.1 (1)",
            "HTTP/1.0",
            replaced("HTTP/1.1", "HTTP/1.0"),
            400,
        ),
        ("RFC 9112 §3.2", "no Host", replaced(HOST, ""), 400),
        ("RFC 9112 §3.2", "two Hosts", doubled(HOST), 400),
        ("RFC 9112 §3.2", "an empty Host", replaced(HOST, "Host:"), 400),
        ("RFC 6455 §4.2.1 (3)", "no Upgrade", replaced(UPGRADE, ""), 426),
        ("RFC 6455 §4.2.1 (3)", "two Upgrades", doubled(UPGRADE), 400),
        (
            "RFC 6455 §4.2.1 (3)",
            "another Upgrade",
            replaced(UPGRADE, "Upgrade: h2c"),
            426,
        ),
        (
            "RFC 6455 §4.2.1 (3)",
            "websocket/13",
            replaced(UPGRADE, "Upgrade: websocket/13"),
            426,
        ),
        (
            "RFC 6455 §4.2.1 (4)",
            "no Connection",
            replaced(CONNECTION, ""),
            400,
        ),
        ("RFC 6455 §4.2.1 (4)", "two Connections", doubled(CONNECTION), 400),
        (
            "RFC 6455 §4.2.1 (4)",
            "close",
            replaced(CONNECTION, "Connection: close"),
            400,
        ),
        (
            "RFC 6455 §4.2.1 (4)",
            "keep-alive",
            replaced(CONNECTION, "Connection: keep-alive"),
            400,
        ),
        (
            "RFC 6455 §4.2.1 (4)",
            "part of a word",
            replaced(CONNECTION, "Connection: upgrades"),
            400,
        ),
        ("RFC 6455 §4.2.1 (5)", "no key", replaced(KEY, ""), 400),
        ("RFC 6455 §11.3.1", "two keys", doubled(KEY), 400),
        ("RFC 6455 §4.2.1 (5)", "an empty key", key(""), 400),
        (
            "RFC 6455 §4.2.1 (5)",
            "15 bytes",
            key("AAAAAAAAAAAAAAAAAAAA"),
            400,
        ),
        (
            "RFC 6455 §4.2.1 (5)",
            "17 bytes",
            key("AAAAAAAAAAAAAAAAAAAAAAA="),
            400,
        ),
        ("RFC 6455 §4.2.1 (5)", "32 bytes", key(&"A".repeat(43)), 400),
        (
            "RFC 6455 §4.2.1 (5)",
            "no padding",
            key("dGhlIHNhbXBsZSBub25jZQ"),
            400,
        ),
        (
            "RFC 6455 §4.2.1 (5)",
            "not base64",
            key("!!!!!!!!!!!!!!!!!!!!!!=="),
            400,
        ),
        (
            "RFC 6455 §4.2.1 (5)",
            "the alphabet of URLs",
            key("____________________-A=="),
            400,
        ),
        ("RFC 6455 §4.2.1 (6)", "no version", replaced(VERSION, ""), 426),
        ("RFC 6455 §11.3.5", "two versions", doubled(VERSION), 400),
        ("RFC 6455 §4.2.1 (6)", "version 8", version("8"), 426),
        ("RFC 6455 §4.2.1 (6)", "version 14", version("14"), 426),
        ("RFC 6455 §4.2.1 (6)", "version 013", version("013"), 426),
        ("RFC 6455 §4.2.1 (6)", "a list of versions", version("13, 8"), 426),
        ("RFC 6455 §4.2.1 (6)", "no number", version("x"), 426),
        (
            "RFC 9110 §7.8",
            "a body",
            replaced(UPGRADE, "Upgrade: websocket\r\nContent-Length: 3"),
            400,
        ),
        (
            "RFC 9110 §7.8",
            "a chunked body",
            replaced(UPGRADE, "Upgrade: websocket\r\nTransfer-Encoding: chunked"),
            400,
        ),
        (
            "RFC 6454 §7.3",
            "two Origins",
            replaced(
                HOST,
                "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost",
            ),
            400,
        ),
        (
            "RFC 6455 §10.2",
            "a foreign Origin",
            replaced(HOST, "Host: localhost\r\nOrigin: http://localhost.example"),
            403,
        ),
    ];
    let count = rows.len();
    for (section, name, request, status) in rows {
        let name = format!("{section}: {name}");
        let head = refused(&server, &name, &request);
        assert!(head[8..].starts_with(&format!(" {status} ")), "{name}: {head}");
        let names_version = head.contains("\r\nsec-websocket-version: 13\r\n");
        assert_eq!(names_version, status == 426, "RFC 6455 §4.4: {name}: {head}");
        assert!(!head.contains("sec-websocket-accept"), "{name}: {head}");
    }
    // What is no HTTP request at all is refused and counted ahead of the handshake.
    let malformed = metric(&server.hub, "ws_connections_refused_total");
    let refused = metric(&server.hub, "ws_handshakes_refused_total");
    assert_eq!((malformed, refused), (4.0, count as f64 - 4.0));
    assert_eq!(metric(&server.hub, "ws_connections_active"), 0.0);
    assert_eq!(record.counts(), (0, 0), "no callback heard of any of them");
}

/// What is no HTTP at all is answered by the layer below, and never with 101.
#[test]
fn broken_heads_never_open_a_session() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let rows = [
        (
            "RFC 9112 §5.1",
            "a space before the colon",
            replaced(HOST, "Host : localhost"),
        ),
        (
            "RFC 9112 §5.2",
            "a folded line",
            replaced(HOST, "Host: localhost\r\n folded"),
        ),
        ("RFC 9112 §2.3", "HTTP/2.0", replaced("HTTP/1.1", "HTTP/2.0")),
        ("RFC 9112 §2.3", "HTTP/1.2", replaced("HTTP/1.1", "HTTP/1.2")),
        ("RFC 9112 §3", "no version", replaced(" HTTP/1.1", "")),
        ("RFC 9112 §2.2", "a NUL", replaced(HOST, "Host: local\0host")),
        (
            "RFC 9112 §6.3",
            "two lengths",
            replaced(HOST, "Host: localhost\r\nContent-Length: 0\r\nContent-Length: 5"),
        ),
    ];
    for (section, name, request) in rows {
        let head = refused(&server, name, &request);
        assert!(!head.contains(" 101 "), "{section}: {name}: {head}");
    }
    assert_eq!(record.counts(), (0, 0));
}

#[test]
fn unusual_but_lawful_handshakes_are_served() {
    let server = TestServer::start(echo(config()));
    let rows = [
        (
            "RFC 9110 §5.1",
            "names in any case",
            replaced("Sec-WebSocket-Key", "SEC-WEBSOCKET-KEY"),
        ),
        (
            "RFC 6455 §4.2.1 (3)",
            "websocket in any case",
            replaced(UPGRADE, "Upgrade: WebSocket"),
        ),
        (
            "RFC 9110 §7.8",
            "a list of protocols",
            replaced(UPGRADE, "Upgrade: h2c, websocket"),
        ),
        (
            "RFC 9110 §7.6.1",
            "a list of options",
            replaced(CONNECTION, "Connection: keep-alive,upgrade"),
        ),
        (
            "RFC 9110 §5.3",
            "options on two lines",
            replaced(CONNECTION, "Connection: keep-alive\r\nConnection: Upgrade"),
        ),
        (
            "RFC 9110 §5.5",
            "spaces around values",
            replaced(VERSION, "Sec-WebSocket-Version: \t13 "),
        ),
        (
            "RFC 9110 §8.6",
            "a length of 0",
            replaced(HOST, "Host: localhost\r\nContent-Length: 0"),
        ),
    ];
    for (section, name, request) in rows {
        let mut stream = tcp(server.addr);
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{section}: {name}: {head}");
        echoes(&mut stream, name);
    }
}

fn echoes(stream: &mut TcpStream, name: &str) {
    stream.write_all(&frame(0x81, b"hello")).unwrap();
    assert_eq!(read_frame(stream), Some((0x81, b"hello".to_vec())), "{name}");
}

/// RFC 6455 §4.2.2 (5): an answer that names a protocol the client has not offered makes it fail the connection.
#[test]
fn a_subprotocol_is_never_answered_unless_it_was_offered() {
    let server = TestServer::start(echo(config()));
    for offers in [
        &[][..],
        &["Sec-WebSocket-Protocol: chat"],
        &["Sec-WebSocket-Protocol: chat, superchat"],
        &[
            "Sec-WebSocket-Protocol: chat",
            "Sec-WebSocket-Protocol: superchat",
        ],
    ] {
        let mut stream = tcp(server.addr);
        stream.write_all(&handshake("/", offers)).unwrap();
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{offers:?}: {head}");
        assert!(!head.contains("sec-websocket-protocol"), "{offers:?}: {head}");
        echoes(&mut stream, "an offer that is not taken changes nothing");
    }
}

/// RFC 6455 §4.2.2 (5.4): one of those the client offered, or none; §4.1 (10): names stand once and are tokens.
#[test]
fn the_subprotocol_is_one_that_both_sides_speak() {
    let server = TestServer::start(echo(WsConfig {
        subprotocols: vec!["chat.v2".to_owned(), "chat".to_owned()],
        ..config()
    }));
    for (offer, status, answer) in [
        ("", "101", None),
        ("other", "101", None),
        ("Chat", "101", None),
        ("chat", "101", Some("chat")),
        ("chat.v2", "101", Some("chat.v2")),
        ("other, chat", "101", Some("chat")),
        ("chat, chat", "400", None),
        ("chat room", "400", None),
        ("chat;q=1", "400", None),
    ] {
        let mut stream = tcp(server.addr);
        let line = format!("Sec-WebSocket-Protocol: {offer}");
        let lines: &[&str] = if offer.is_empty() { &[] } else { &[&line] };
        stream.write_all(&handshake("/", lines)).unwrap();
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert_eq!(&head[9..12], status, "{offer}: {head}");
        let named = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(named, answer, "{offer}: {head}");
    }
}
