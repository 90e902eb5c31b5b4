//! A WebSocket peer of bare bytes: it sends what it is told to, lawful or not, and shows every byte that comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::http::{self, Answer};

/// First byte of an unfragmented text frame.
pub const TEXT: u8 = 0x81;
/// First byte of an unfragmented binary frame.
pub const BINARY: u8 = 0x82;
/// First byte of a Close frame.
pub const CLOSE: u8 = 0x88;
/// First byte of a ping frame.
pub const PING: u8 = 0x89;
/// First byte of a pong frame.
pub const PONG: u8 = 0x8a;

/// One connection whose handshake has succeeded.
pub struct Raw {
    stream: TcpStream,
    /// The answer to the handshake.
    pub answer: Answer,
}

impl Raw {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        Self::offering(address, path, "")
    }

    /// The same with more header lines, each with its line end.
    pub fn offering(address: SocketAddr, path: &str, more: &str) -> Self {
        let mut stream = http::connect(address);
        stream
            .write_all(handshake(path, more).as_bytes())
            .expect("the handshake can be sent");
        let head = read_head(&mut stream);
        let answer = http::read_answer(&mut head.as_slice()).expect("there is an answer");
        assert_eq!(answer.status, 101, "the handshake was refused");
        Self { stream, answer }
    }

    /// Sends these bytes as they are; a peer that has closed already is no error.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends one masked frame.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    /// The next frame: first byte and payload; `None` at the end of the connection.
    pub fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.fill(&mut head)?;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.fill(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.fill(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length that fits")];
        self.fill(&mut payload)?;
        Some((head[0], payload))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came in time"),
            Err(_) => None,
        }
    }

    /// The next message that is a text.
    pub fn text(&mut self) -> String {
        loop {
            let (first, payload) = self.read_frame().expect("a text before the end");
            match first {
                TEXT => return String::from_utf8(payload).expect("a server's text is UTF-8"),
                PING | PONG => {}
                other => panic!("expected a text, got {other:#x} {payload:?}"),
            }
        }
    }

    /// Reads on to the server's Close: its code (1005 when it has none) and reason.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            let (first, payload) = self.read_frame().expect("a Close before the end");
            if first == CLOSE {
                return parse_close(&payload);
            }
        }
    }

    /// Whether the connection ends here with a FIN: nothing more comes, and no reset took anything away.
    pub fn ends_in_order(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Tells the server that nothing more comes from here.
    pub fn say_fin(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The bare socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Code and reason of a Close frame's payload.
pub fn parse_close(payload: &[u8]) -> (u16, String) {
    let code = payload
        .get(..2)
        .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
    let reason = payload.get(2..).unwrap_or_default().to_vec();
    (
        code,
        String::from_utf8(reason).expect("a server's reason is UTF-8"),
    )
}

/// A lawful handshake with more header lines, each with its line end.
pub fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: here:1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = declared(first, payload.len() as u64);
    let key = [
        bytes[bytes.len() - 4],
        bytes[bytes.len() - 3],
        bytes[bytes.len() - 2],
        bytes[bytes.len() - 1],
    ];
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// The header of a masked frame that declares this length, and nothing of its payload.
pub fn declared(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0x37, 0xfa, 0x21, 0x3d]);
    bytes
}

/// The bytes of an HTTP head, so that a frame right behind it is left alone.
fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer in time") == 1 {
        head.push(byte[0]);
    }
    head
}
