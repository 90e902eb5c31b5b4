//! HTTP/2 as bare frames (RFC 9113 §4.1), for what a proper client would not send. Fields are never compressed
//! (RFC 7541 §6.2.2), so the same bytes mean the same on every connection.

/// What every connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Flags of a frame behind which its stream goes on, and of the last frame of its stream.
pub const OPEN: u8 = 0;
/// See [`OPEN`].
pub const END_STREAM: u8 = 1;
/// The error code CANCEL (RFC 9113 §7).
pub const CANCEL: u32 = 8;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_HEADERS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short payload")
        .to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface and SETTINGS that change nothing.
pub fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A request without more fields than it needs.
pub fn get(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    request(stream, "GET", path, &[], flags)
}

/// A request; more fields may begin with a colon when they stand first.
pub fn request(stream: u32, method: &str, path: &str, more: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let mut block = Vec::new();
    let own = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
    ];
    for (name, value) in own.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            block.push(
                u8::try_from(text.len())
                    .ok()
                    .filter(|length| *length < 127)
                    .expect("a short text"),
            );
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// An extended CONNECT for WebSocket (RFC 8441 §4).
pub fn connect_websocket(stream: u32, path: &str) -> Vec<u8> {
    let more = [(":protocol", "websocket"), ("sec-websocket-version", "13")];
    request(stream, "CONNECT", path, &more, OPEN)
}

/// DATA, in one frame.
pub fn data(stream: u32, bytes: &[u8], flags: u8) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// PING.
pub fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"12345678")
}

/// GOAWAY without an error: nothing more comes from us.
pub fn goaway() -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0; 8])
}

/// Room for so many more bytes in a stream, or with stream 0 in the connection.
pub fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}
