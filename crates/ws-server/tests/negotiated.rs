//! What a handshake settles, seen from both ends: compression, subprotocol, and who it is that came.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::Write;
use std::net::TcpStream;

use flate2::{Decompress, FlushDecompress};
use support::{TestServer, block_on, config, echo, frame, handshake, read_frame, read_head, tcp};
use ws_server::{DeflateConfig, Encoded, HandshakeRequest, Refusal, WsConfig, WsServer};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate";

/// First byte of a compressed text frame.
const COMPRESSED: u8 = 0xc1;

fn chat(number: u32) -> String {
    format!(
        r#"{{"type":"chat","payload":{{"n":{number},"text":"{}"}}}}"#,
        "to be or not to be ".repeat(10)
    )
}

fn connect(server: &TestServer, more: &[&str]) -> (TcpStream, String) {
    let mut stream = tcp(server.addr);
    stream.write_all(&handshake("/", more)).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    (stream, head)
}

/// Inflates one message in a context.
fn inflate(context: &mut Decompress, data: &[u8]) -> String {
    let mut text = Vec::with_capacity(64 * 1024);
    let whole = [data, &[0, 0, 0xff, 0xff]].concat();
    context
        .decompress_vec(&whole, &mut text, FlushDecompress::Sync)
        .unwrap();
    String::from_utf8(text).unwrap()
}

/// A room of members with and without compression, and with different windows, hears the same.
#[test]
fn a_room_of_mixed_members() {
    let server = TestServer::start(WsServer::new(config()).on_open(|session| async move {
        session.join("room").unwrap();
    }));
    let (mut plain, _) = connect(&server, &[]);
    let windows = ["; server_max_window_bits=9", "", ""];
    let mut members: Vec<_> = windows
        .iter()
        .map(|window| connect(&server, &[&format!("{OFFER}{window}")]).0)
        .collect();
    for number in 0..3 {
        let published = block_on(server.hub.publish("room", Encoded::text(chat(number)))).unwrap();
        assert_eq!(published.delivered, 4);
        assert_eq!(read_frame(&mut plain), Some((0x81, chat(number).into_bytes())));
        for member in &mut members {
            let (first, data) = read_frame(member).unwrap();
            assert_eq!(
                (first, inflate(&mut Decompress::new(false), &data)),
                (COMPRESSED, chat(number))
            );
        }
    }
    block_on(
        server
            .hub
            .publish("room", Encoded::text(chat(9)).without_compression()),
    )
    .unwrap();
    for member in std::iter::once(&mut plain).chain(&mut members) {
        assert_eq!(read_frame(member), Some((0x81, chat(9).into_bytes())));
    }
}

/// With context takeover later messages refer to earlier ones, and short ones between them stay as they are.
#[test]
fn a_context_lives_as_long_as_its_session() {
    let server = TestServer::start(echo(WsConfig {
        deflate: DeflateConfig {
            context_takeover: true,
            ..DeflateConfig::default()
        },
        ..config()
    }));
    let (mut stream, head) = connect(&server, &[OFFER]);
    assert!(!head.contains("no_context_takeover"), "{head}");
    let mut context = Decompress::new(false);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        stream.write_all(&frame(0x81, chat(1).as_bytes())).unwrap();
        stream.write_all(&frame(0x81, b"short")).unwrap();
        let (first, data) = read_frame(&mut stream).unwrap();
        assert_eq!((first, inflate(&mut context, &data)), (COMPRESSED, chat(1)));
        assert_eq!(read_frame(&mut stream), Some((0x81, b"short".to_vec())));
        sizes.push(data.len());
    }
    assert!(sizes[1] * 3 < sizes[0], "{sizes:?}");
}

#[test]
fn the_session_knows_its_subprotocol() {
    let settings = WsConfig {
        subprotocols: vec!["v1.chat".to_owned(), "v2.chat".to_owned()],
        ..config()
    };
    let server = TestServer::start(WsServer::new(settings).on_open(|session| async move {
        session.send_text(session.subprotocol().unwrap_or("none"));
    }));
    for (offer, expected) in [("v9, v2.chat, v1.chat", "v2.chat"), ("v9", "none")] {
        let (mut stream, head) = connect(&server, &[&format!("Sec-WebSocket-Protocol: {offer}")]);
        let answered = head
            .to_ascii_lowercase()
            .contains("sec-websocket-protocol: v2.chat\r\n");
        assert_eq!(answered, expected != "none", "{head}");
        assert_eq!(
            read_frame(&mut stream),
            Some((0x81, expected.as_bytes().to_vec()))
        );
    }
}

struct User(String);

/// What `authorize` gives is there when `on_open` runs.
#[test]
fn the_session_knows_who_came() {
    let server = WsServer::new(config())
        .authorize(|request: HandshakeRequest| async move {
            let name = request
                .header("x-user")
                .ok_or(Refusal::new(http::StatusCode::UNAUTHORIZED, "who?"))?;
            Ok(User(name.to_owned()))
        })
        .on_open(|session| async move {
            session.send_text(&session.data::<User>().unwrap().0);
        });
    let server = TestServer::start(server);
    let (mut stream, _) = connect(&server, &["X-User: ada"]);
    assert_eq!(read_frame(&mut stream), Some((0x81, b"ada".to_vec())));
    let mut stranger = tcp(server.addr);
    stranger.write_all(&handshake("/", &[])).unwrap();
    assert!(read_head(&mut stranger).contains(" 401 "));
}
