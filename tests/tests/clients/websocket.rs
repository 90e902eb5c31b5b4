//! WebSocket over HTTP/2 over TLS (RFC 8441), on one port and on the server's own.

use std::io::{Read, Write};
use std::net::SocketAddr;

use workspace_tests::certificate::{Secure, connect};
use workspace_tests::http2::{self, END_STREAM, OPEN};
use workspace_tests::raw::{CLOSE, TEXT, frame};

use crate::scene::Scene;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
/// `:status: 200` (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;
/// SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441 §3).
const ENABLE_CONNECT: [u8; 6] = [0, 8, 0, 0, 0, 1];

/// One frame.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// One connection.
struct Connection(Secure);

impl Connection {
    /// Agrees on HTTP/2 and waits until the server has said that it knows the method.
    fn open(scene: &Scene, to: SocketAddr) -> Self {
        let pinned = scene.certificate.as_ref().expect("it speaks TLS");
        let mut connection = Self(connect(to, &pinned.certificate, &["h2"]));
        connection.send(&http2::opening());
        let first = connection.frame();
        assert_eq!(
            (first.kind, first.stream),
            (4, 0),
            "SETTINGS come first (RFC 9113 §3.4)"
        );
        let mut settings = first.payload.chunks(6);
        assert!(settings.any(|setting| setting == ENABLE_CONNECT), "{first:?}");
        assert_eq!(connection.0.conn.alpn_protocol(), Some(&b"h2"[..]));
        connection
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("taken");
    }

    fn frame(&mut self) -> Frame {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).expect("a frame in time");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).expect("its payload");
        Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        }
    }

    /// The next frame of this kind; those about the connection are passed over.
    fn next(&mut self, wanted: u8) -> Frame {
        loop {
            match self.frame() {
                frame if frame.kind == wanted => return frame,
                Frame { kind, stream: 0, .. } if kind != GOAWAY => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn session(&mut self, stream: u32, path: &str) {
        self.send(&http2::connect_websocket(stream, path));
        let answer = self.next(HEADERS);
        assert_eq!((answer.stream, answer.payload[0]), (stream, STATUS_200));
    }

    fn says(&mut self, stream: u32, first: u8, payload: &[u8]) {
        self.send(&http2::data(stream, &frame(first, payload), OPEN));
    }

    /// The next message is this one, unmasked and in one frame; whether it is the last on its stream.
    fn hears(&mut self, stream: u32, first: u8, payload: &[u8]) -> bool {
        let length = u8::try_from(payload.len()).expect("a short one");
        let data = self.next(DATA);
        let expected = [&[first, length], payload].concat();
        assert_eq!((data.stream, data.payload), (stream, expected));
        data.flags & END_STREAM != 0
    }
}

fn two_sessions_beside_requests(scene: &Scene, to: SocketAddr, path: &str) {
    let mut connection = Connection::open(scene, to);
    for stream in [1, 3] {
        connection.session(stream, path);
    }
    for (stream, text) in [(1, "first"), (3, "second"), (1, "third")] {
        connection.says(stream, TEXT, text.as_bytes());
        connection.hears(stream, TEXT, format!("{path} {text}").as_bytes());
    }
    if to == scene.http() {
        connection.send(&http2::get(5, "/", END_STREAM));
        assert_eq!(connection.next(HEADERS).stream, 5);
        assert_eq!(connection.next(DATA).payload, b"HTTP/2.0");
    }
    connection.says(1, CLOSE, &1000_u16.to_be_bytes());
    let is_last = connection.hears(1, CLOSE, &1000_u16.to_be_bytes());
    if !is_last {
        let end = connection.next(DATA);
        assert_eq!((end.stream, end.flags & END_STREAM), (1, END_STREAM), "{end:?}");
    }
    // Nothing more is wanted of it (RFC 9113 §8.1).
    assert_eq!(connection.next(RST_STREAM).payload, [0; 4], "NO_ERROR");
    connection.says(3, TEXT, b"still here");
    connection.hears(3, TEXT, format!("{path} still here").as_bytes());
}

#[test]
fn on_one_port() {
    let scene = Scene::secure();
    two_sessions_beside_requests(&scene, scene.http(), "/ws");
    assert_eq!(scene.upgraded("http"), 0, "an extended CONNECT is no upgrade");
}

#[test]
fn on_the_servers_own_port() {
    let scene = Scene::secure();
    two_sessions_beside_requests(&scene, scene.ws(), "/any");
    assert_eq!(scene.upgraded("ws"), 0, "an extended CONNECT is no upgrade");
}
