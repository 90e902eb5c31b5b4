//! The bodies of the fuzz targets (`fuzz/`): any bytes go in, and what must always hold is asserted. The same bodies
//! run as ordinary tests over the corpus and over random bytes.

use bytes::Bytes;
use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue, Method, Request, Version};

use crate::codec::{Decoder, Event, Incoming, Limits, Role, Violation, data_frame, masked};
use crate::config::WsConfig;
use crate::deflate::{Compression, DeflateConfig, Direction, Negotiated, accept_answer};
use crate::encoded::Encoded;
use crate::handshake;
use crate::message::JsonMessage;

const LIMITS: Limits = Limits {
    message: 4096,
    fragments: 32,
    empty_fragments: 4,
};

/// Everything that came out of a decoder.
type Outcome = (Vec<Event>, Option<Violation>);

fn negotiated(context_takeover: bool, window_bits: u8) -> Negotiated {
    let direction = Direction {
        context_takeover,
        window_bits,
    };
    Negotiated {
        outgoing: direction,
        incoming: direction,
    }
}

fn decode<'a>(mut decoder: Decoder, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut events = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            match decoder.decode(rest) {
                Ok((used, event)) => {
                    assert!(used > 0 || event.is_some(), "no progress");
                    events.extend(event);
                    rest = &mut rest[used..];
                }
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

/// The bytes of a peer: whole, bitten and byte by byte they give the same, and no message passes the limit.
fn same_in_any_pieces(decoder: impl Fn() -> Decoder, wire: &[u8], piece: usize) -> Outcome {
    let whole = decode(decoder(), std::iter::once(wire));
    for size in [piece.max(1), 1] {
        assert_eq!(whole, decode(decoder(), wire.chunks(size)), "in pieces of {size}");
    }
    for event in &whole.0 {
        if let Event::Message(message) = event {
            assert!(message.len() as u64 <= LIMITS.message, "past the limit");
        }
    }
    whole
}

/// A frame's header alone, for either role, with and without an extension.
pub fn header(data: &[u8]) {
    for role in [Role::Server, Role::Client] {
        for deflate in [None, Some(negotiated(false, 15))] {
            let decoder = || Decoder::new(role, LIMITS).with_deflate(deflate.as_ref());
            same_in_any_pieces(decoder, &data[..data.len().min(14)], 3);
        }
    }
}

/// Raw bytes of a peer. The first byte chooses role, extension and context, the second how the rest is cut.
pub fn codec(data: &[u8]) {
    let [choice, piece, wire @ ..] = data else {
        return;
    };
    let role = if choice & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let deflate = (choice & 2 != 0).then(|| negotiated(choice & 4 != 0, 15));
    let decoder = || Decoder::new(role, LIMITS).with_deflate(deflate.as_ref());
    same_in_any_pieces(decoder, wire, usize::from(*piece));
}

/// First what the peer compressed: any bytes as one message and as two frames. Then the other way round: what we
/// compress is read back, in every window and either context.
pub fn deflate(data: &[u8]) {
    let [choice, body @ ..] = data else {
        return;
    };
    let body = &body[..body.len().min(LIMITS.message as usize)];
    let bits = 9 + choice % 7;
    let takeover = choice & 0x80 != 0;
    let negotiated = negotiated(takeover, bits);
    inflate(body, &negotiated, usize::from(*choice));

    let config = DeflateConfig {
        level: 1 + choice % 9,
        min_length: usize::from(choice % 3),
        ..DeflateConfig::default()
    };
    let mut compression = Compression::new(negotiated.outgoing, &config).expect("a window we have");
    let mut wire = Vec::new();
    for _ in 0..2 {
        let message = Encoded::binary(body);
        wire.extend_from_slice(&compression.frame(&message));
    }
    let decoder = || Decoder::new(Role::Client, LIMITS).with_deflate(Some(&negotiated));
    let expected = Event::Message(Incoming::Binary(Bytes::copy_from_slice(body)));
    let outcome = same_in_any_pieces(decoder, &wire, usize::from(*choice));
    assert_eq!(outcome, (vec![expected.clone(), expected], None));
}

fn inflate(body: &[u8], negotiated: &Negotiated, piece: usize) {
    let (half, rest) = body.split_at(body.len() / 2);
    let wire = [
        with_first(0xc2, body),
        with_first(0x41, half),
        with_first(0x80, rest),
    ];
    let decoder = || Decoder::new(Role::Server, LIMITS).with_deflate(Some(negotiated));
    same_in_any_pieces(decoder, &wire.concat(), piece);
}

/// A masked frame with this first byte.
fn with_first(first: u8, body: &[u8]) -> Vec<u8> {
    let (frame, _) = data_frame(tungstenite::protocol::frame::coding::Data::Binary, body);
    let mut frame = masked(&frame, [1, 2, 3, 4]).to_vec();
    frame[0] = first;
    frame
}

/// A handshake: lines `name: value`, put onto a lawful one. Nothing is granted that was not offered.
pub fn handshake(data: &[u8]) {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    for (name, value) in [
        ("host", "here"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut lines = data.split(|byte| *byte == b'\n');
    if let Some(Ok(method)) = lines.next().map(Method::from_bytes) {
        *request.method_mut() = method;
    }
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            request.headers_mut().append(name, value);
        }
    }
    granted(&request);
    let _either = accept_answer(request.headers());
}

fn granted(request: &Request<()>) {
    let config = WsConfig {
        subprotocols: vec!["chat".to_owned(), "a".to_owned()],
        ..WsConfig::default()
    };
    let Ok(granted) = handshake::check(request, &config, true) else {
        return;
    };
    assert_eq!(request.method(), Method::GET);
    let answer = granted.opening();
    let offers = |name, text: &str| {
        let values = request.headers().get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains(text))
    };
    if let Some(subprotocol) = answer.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        let subprotocol = subprotocol.to_str().expect("ours are ASCII");
        assert!(offers(SEC_WEBSOCKET_PROTOCOL, subprotocol), "never offered");
    }
    if answer.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        assert!(
            offers(SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate"),
            "never offered"
        );
        assert!(
            accept_answer(answer.headers()).is_ok(),
            "an answer no client takes"
        );
    }
}

/// Any text: what is read as an envelope is written as one that reads the same.
pub fn envelope(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Some(message) = JsonMessage::parse(text, 32) else {
        return;
    };
    assert!(!message.type_.is_empty());
    let written = message.to_text();
    let again = JsonMessage::parse(&written, 32).expect("what we write is an envelope");
    assert_eq!(again.to_text(), written);
    assert_eq!(
        again.payload.get(),
        message.payload.get(),
        "the payload is kept as it is"
    );
    assert!(text.contains(message.payload.get()) || message.payload.get() == "{}");
}

#[cfg(test)]
#[path = "fuzzing/tests.rs"]
mod tests;
