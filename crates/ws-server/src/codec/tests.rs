//! RFC 6455 as a table, and any split of the bytes gives the same events.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Decoder, Event, Incoming, Limits, PeerClose, Role, Violation, may_be_sent};

pub(super) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub(super) const LIMIT: usize = 1000;

pub(super) fn limits(message: usize) -> Limits {
    Limits {
        message: message as u64,
        fragments: 64,
        empty_fragments: 4,
    }
}

fn server(message: usize) -> Decoder {
    Decoder::new(Role::Server, limits(message))
}

/// A client frame: first byte, payload, and everything else lawful.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(
        payload
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ KEY[index % 4]),
    );
    bytes
}

pub(super) fn header(first: u8, length: u64) -> Vec<u8> {
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
    bytes.extend(KEY);
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason);
    frame(0x88, &payload)
}

/// A name with its section of RFC 6455, frames, events.
pub(super) type Row = (&'static str, Vec<Vec<u8>>, Vec<Event>);
pub(super) type Outcome = (Vec<Event>, Option<Violation>);

pub(super) fn decode_into(
    decoder: &mut Decoder,
    input: &[u8],
    events: &mut Vec<Event>,
) -> Result<(), Violation> {
    let mut input = input.to_vec();
    let mut rest = &mut input[..];
    while !rest.is_empty() {
        let (used, event) = decoder.decode(rest)?;
        assert!(used > 0 || event.is_some(), "no progress");
        events.extend(event);
        rest = &mut rest[used..];
    }
    Ok(())
}

/// Everything that comes out of `pieces` fed one after the other.
pub(super) fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    decode_with(server(LIMIT), pieces)
}

pub(super) fn decode_with<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(violation) = decode_into(&mut decoder, piece, &mut events) {
            return (events, Some(violation));
        }
    }
    (events, None)
}

pub(super) fn text(text: &str) -> Event {
    Event::Message(Incoming::Text(text.into()))
}

pub(super) fn binary(body: &[u8]) -> Event {
    Event::Message(Incoming::Binary(Bytes::copy_from_slice(body)))
}

/// What comes out of `frames`, in one piece and byte by byte.
pub(super) fn both_ways(frames: &[Vec<u8>]) -> Outcome {
    let bytes = frames.concat();
    let whole = decode([&bytes[..]]);
    assert_eq!(whole, decode(bytes.chunks(1)), "byte by byte");
    whole
}

#[test]
fn the_masked_hello_of_rfc_6455_section_5_7() {
    let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode([&bytes[..]]), (vec![text("Hello")], None));
}

#[test]
fn messages_and_fragments() {
    let rows: Vec<Row> = vec![
        (
            "5.6 text",
            vec![frame(0x81, "grüß".as_bytes())],
            vec![text("grüß")],
        ),
        (
            "5.6 binary",
            vec![frame(0x82, &[0, 255])],
            vec![binary(&[0, 255])],
        ),
        ("5.2 empty text", vec![frame(0x81, b"")], vec![text("")]),
        (
            "5.2 126 bytes",
            vec![frame(0x82, &[1; 126])],
            vec![binary(&[1; 126])],
        ),
        (
            "5.2 at the limit",
            vec![frame(0x82, &[1; LIMIT])],
            vec![binary(&[1; LIMIT])],
        ),
        (
            "5.4 fragments",
            vec![frame(0x01, b"Hel"), frame(0x00, b"l"), frame(0x80, b"o")],
            vec![text("Hello")],
        ),
        (
            "5.4 empty fragments",
            vec![frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")],
            vec![binary(b"")],
        ),
        (
            "5.4 control frames in between",
            vec![
                frame(0x01, b"a"),
                frame(0x89, b"p"),
                frame(0x8a, b""),
                frame(0x80, b"b"),
            ],
            vec![Event::Ping(Bytes::from_static(b"p")), Event::Pong, text("ab")],
        ),
        (
            "8.1 a character cut by a fragment",
            vec![frame(0x01, &[0xe2, 0x82]), frame(0x80, &[0xac])],
            vec![text("€")],
        ),
        (
            "5.5 a control frame of 125 bytes",
            vec![frame(0x89, &[7; 125])],
            vec![Event::Ping(Bytes::from_static(&[7; 125]))],
        ),
        (
            "5.5.1 close without body",
            vec![frame(0x88, b"")],
            vec![Event::Close(None)],
        ),
        (
            "1.4 nothing is delivered after a close",
            vec![close(1000, b""), frame(0x81, b"late"), frame(0x00, b"nonsense")],
            vec![Event::Close(Some(PeerClose {
                code: 1000,
                reason: String::new(),
            }))],
        ),
    ];
    for (name, frames, events) in rows {
        assert_eq!(both_ways(&frames), (events, None), "{name}");
    }
}

#[test]
fn violations_and_their_codes() {
    let unmasked = vec![0x81, 0x02, b'h', b'i'];
    let rows: Vec<(&str, Vec<Vec<u8>>, u16)> = vec![
        ("5.1 unmasked", vec![unmasked], 1002),
        ("5.2 RSV1", vec![frame(0xc1, b"x")], 1002),
        ("5.2 RSV2", vec![frame(0xa1, b"x")], 1002),
        ("5.2 RSV3", vec![frame(0x91, b"x")], 1002),
        ("5.2 RSV1 on a control frame", vec![frame(0xc9, b"")], 1002),
        (
            "5.2 RSV1 on a continuation",
            vec![frame(0x01, b"a"), frame(0xc0, b"")],
            1002,
        ),
        ("5.2 opcode 3", vec![frame(0x83, b"")], 1002),
        ("5.2 opcode 7", vec![frame(0x87, b"")], 1002),
        ("5.2 opcode 11", vec![frame(0x8b, b"")], 1002),
        ("5.2 opcode 15", vec![frame(0x8f, b"")], 1002),
        ("5.2 top bit of the length", vec![header(0x82, 1 << 63)], 1002),
        ("5.2 all bits of the length", vec![header(0x82, u64::MAX)], 1002),
        ("5.4 continuation of nothing", vec![frame(0x80, b"x")], 1002),
        (
            "5.4 text inside a fragmented text",
            vec![frame(0x01, b"a"), frame(0x81, b"b")],
            1002,
        ),
        (
            "5.4 binary inside a fragmented text",
            vec![frame(0x01, b"a"), frame(0x02, b"b")],
            1002,
        ),
        ("5.4 fragmented ping", vec![frame(0x09, b"x")], 1002),
        ("5.4 fragmented close", vec![frame(0x08, b"")], 1002),
        ("5.5 ping of 126 bytes", vec![frame(0x89, &[0; 126])], 1002),
        ("5.5 close of 126 bytes", vec![frame(0x88, &[3; 126])], 1002),
        ("5.5.1 close of one byte", vec![frame(0x88, &[3])], 1002),
        ("5.5.1 close reason not UTF-8", vec![close(1000, &[0xff])], 1007),
        (
            "5.5.1 close reason cut in a character",
            vec![close(1000, &[0xe2, 0x82])],
            1007,
        ),
        ("8.1 text not UTF-8", vec![frame(0x81, &[0xff])], 1007),
        ("8.1 surrogate", vec![frame(0x81, &[0xed, 0xa0, 0x80])], 1007),
        ("8.1 ends in a character", vec![frame(0x81, &[0xe2, 0x82])], 1007),
        (
            "8.1 fragments end in a character",
            vec![frame(0x01, &[0xe2]), frame(0x80, &[0x82])],
            1007,
        ),
        (
            "10.4 one byte over the limit",
            vec![header(0x82, LIMIT as u64 + 1)],
            1009,
        ),
        ("10.4 length 2^40", vec![header(0x81, 1 << 40)], 1009),
        ("10.4 length 2^62", vec![header(0x82, 1 << 62)], 1009),
        (
            "10.4 fragments over the limit",
            vec![frame(0x02, &[0; 600]), header(0x80, 401)],
            1009,
        ),
    ];
    for (name, frames, code) in rows {
        let (events, violation) = both_ways(&frames);
        assert_eq!(events, [], "{name}");
        assert_eq!(
            violation.map(|violation| u16::from(violation.code)),
            Some(code),
            "{name}"
        );
    }
}

#[test]
fn close_codes_of_section_7_4() {
    let lawful: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    for code in 0..=u16::MAX {
        assert_eq!(may_be_sent(code), lawful.contains(&code), "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let (events, violation) = both_ways(&[close(code, b"x")]);
        assert_eq!(
            (events.len(), violation.map(|violation| u16::from(violation.code))),
            (0, Some(1002))
        );
    }
    for code in [1000, 1001, 1011, 3000, 4999] {
        let expected = Event::Close(Some(PeerClose {
            code,
            reason: "bye".to_owned(),
        }));
        assert_eq!(both_ways(&[close(code, b"bye")]), (vec![expected], None));
    }
}

#[test]
fn bad_text_fails_at_its_byte_long_before_the_frame_is_whole() {
    let mut bytes = header(0x81, 900);
    bytes.extend([b'a' ^ KEY[0], 0xff ^ KEY[1]]);
    let (_, violation) = decode([&bytes[..]]);
    assert_eq!(violation.map(|violation| u16::from(violation.code)), Some(1007));
}

#[test]
fn broken_headers_fail_at_their_byte() {
    for (bytes, rule) in [
        (&[0xc1][..], "reserved bit set"),
        (&[0x83], "reserved opcode"),
        (&[0x09], "fragmented control frame"),
        (&[0x80], "continuation of nothing"),
        (&[0x81, 0x00], "unmasked frame"),
        (&[0x89, 0xfe], "control frame over 125 bytes"),
    ] {
        assert_eq!(
            decode([bytes]).1.map(|violation| violation.rule),
            Some(rule),
            "{bytes:x?}"
        );
    }
}

#[test]
fn a_declared_length_buffers_nothing() {
    let mut decoder = server(usize::MAX);
    let mut events = Vec::new();
    decode_into(&mut decoder, &header(0x82, 1 << 40), &mut events).unwrap();
    assert_eq!(held(&decoder), 0);
}

fn held(decoder: &Decoder) -> usize {
    let message = decoder.message.as_ref().map_or(0, super::Assembly::held);
    message + decoder.control.capacity()
}

#[test]
fn after_the_end_everything_is_swallowed() {
    let mut decoder = server(LIMIT);
    assert!(decode_into(&mut decoder, &frame(0x83, b""), &mut Vec::new()).is_err());
    let mut rest = frame(0x81, b"late");
    let length = rest.len();
    assert_eq!(decoder.decode(&mut rest), Ok((length, None)));
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        "\\PC{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(Just(b'a'), 100..400),
    ];
    let first = prop_oneof![
        10 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        frames in proptest::collection::vec(any_frame(), 0..12),
        sizes in proptest::collection::vec(1_usize..40, 1..10),
    ) {
        let bytes = frames.concat();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(decode(pieces), decode([&bytes[..]]));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _either = decode([&bytes[..]]);
    }
}
