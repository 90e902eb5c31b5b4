//! The opening handshake over real sockets: rules, Origin, `authorize`.

mod support;

use std::io::Write;

use support::{
    Record, TestServer, config, echo, frame, handshake, metric, read_frame, read_head, say, tcp, text_of,
    try_connect,
};
use ws_server::{HandshakeRequest, Refusal, WsConfig};

#[test]
fn a_frame_right_behind_the_handshake_is_delivered() {
    let server = TestServer::start(echo(config()));
    let mut stream = tcp(server.addr);
    let mut bytes = handshake("/", &[]);
    bytes.extend(frame(0x81, b"early"));
    stream.write_all(&bytes).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101"));
    assert_eq!(read_frame(&mut stream), Some((0x81, b"early".to_vec())));
}

#[test]
fn the_authorize_hook_decides_before_anything_is_opened() {
    let (server, record) = Record::watch(echo(config()).authorize(|request: HandshakeRequest| async move {
        assert!(request.path() != "/panic", "asked to");
        match request.header("authorization") {
            Some("secret") => Ok(()),
            Some(_) => Err(Refusal::new(http::StatusCode::FORBIDDEN, "not you")),
            None => Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "log in first")),
        }
    }));
    let server = TestServer::start(server);
    assert_eq!(try_connect(server.addr, "/", &[]).err(), Some(401));
    assert_eq!(
        try_connect(server.addr, "/", &[("authorization", "guess")]).err(),
        Some(403)
    );
    assert_eq!(try_connect(server.addr, "/panic", &[]).err(), Some(500));
    assert_eq!(record.counts(), (0, 0));
    assert_eq!(metric(&server.hub, "ws_handshakes_refused_total"), 3.0);
    let mut client = try_connect(server.addr, "/", &[("authorization", "secret")]).unwrap();
    say(&mut client, "in");
    assert_eq!(text_of(&mut client), "in");
}

#[test]
fn foreign_origins_are_refused_unless_listed() {
    let allowed_origins = vec!["https://app.example".to_owned()];
    let server = TestServer::start(echo(WsConfig {
        allowed_origins,
        ..config()
    }));
    let refused = |origin: &str| try_connect(server.addr, "/", &[("origin", origin)]).err();
    assert_eq!(refused("http://127.0.0.1:8080"), None, "same host, any port");
    assert_eq!(refused("https://app.example"), None);
    assert_eq!(refused("https://evil.example"), Some(403));
    assert_eq!(refused("null"), Some(403));
}

#[test]
fn bad_handshakes_get_an_http_answer_and_the_connection_ends() {
    let server = TestServer::start(echo(config()));
    let good = String::from_utf8(handshake("/", &[])).unwrap();
    for (status, version, change) in [
        (405, false, good.replace("GET", "POST")),
        (400, false, good.replace("Host: localhost\r\n", "")),
        (
            400,
            false,
            good.replace("Host: localhost", "Host: localhost\r\nHost: localhost"),
        ),
        (426, true, good.replace("Version: 13", "Version: 8")),
        (426, true, good.replace("Upgrade: websocket\r\n", "")),
        (
            400,
            false,
            good.replace("Connection: Upgrade", "Connection: close"),
        ),
        (400, false, good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")),
        (
            400,
            false,
            good.replace("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 3"),
        ),
    ] {
        let mut stream = tcp(server.addr);
        stream.write_all(change.as_bytes()).unwrap();
        // What follows a refused handshake must not be read as another request.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{status}: {head}"
        );
        assert_eq!(head.contains("sec-websocket-version: 13"), version, "{head}");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
        let rest = String::from_utf8(rest).unwrap();
        assert!(!rest.contains("HTTP/1.1"), "a second answer: {rest}");
    }
    let mut old = tcp(server.addr);
    old.write_all(good.replace("HTTP/1.1", "HTTP/1.0").as_bytes())
        .unwrap();
    assert!(read_head(&mut old).contains(" 400 "));
}

#[test]
fn no_subprotocol_and_no_extension_is_answered_where_none_is_configured() {
    let server = TestServer::start(echo(WsConfig {
        enable_deflate: false,
        ..config()
    }));
    let mut stream = tcp(server.addr);
    let offers = [
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ];
    stream.write_all(&handshake("/", &offers)).unwrap();
    let head = read_head(&mut stream).to_ascii_lowercase();
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    assert!(
        !head.contains("protocol:") && !head.contains("extensions"),
        "{head}"
    );
}
