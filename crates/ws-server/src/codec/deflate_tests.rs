//! RFC 7692 in the decoder: RSV1, limits on what is inflated, and any split gives the same events.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::tests::{LIMIT, Outcome, Row, binary, decode_with, frame, header, limits, text};
use super::{Decoder, Event, Role, Violation};
use crate::deflate::{Direction, Negotiated};

fn decoder(context_takeover: bool) -> Decoder {
    let direction = Direction {
        context_takeover,
        window_bits: 15,
    };
    let negotiated = Negotiated {
        outgoing: direction,
        incoming: direction,
    };
    Decoder::new(Role::Server, limits(LIMIT)).with_deflate(Some(&negotiated))
}

fn decode(bytes: &[u8], takeover: bool) -> Outcome {
    let whole = decode_with(decoder(takeover), [bytes]);
    let bitten = decode_with(decoder(takeover), bytes.chunks(1));
    assert_eq!(whole, bitten);
    whole
}

fn deflated(body: &[u8]) -> Vec<u8> {
    deflate(&mut Compress::new(Compression::default(), false), body)
}

fn deflate(state: &mut Compress, body: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(body.len() + 1024);
    state
        .compress_vec(body, &mut output, FlushCompress::Sync)
        .unwrap();
    // The second of two empty messages in one context is nothing at all.
    output
        .strip_suffix(&[0, 0, 0xff, 0xff])
        .unwrap_or(&output)
        .to_vec()
}

fn code(outcome: &Outcome) -> Option<u16> {
    outcome.1.map(|violation| u16::from(violation.code))
}

#[test]
fn compressed_plain_and_fragmented_messages() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let rows: Vec<Row> = vec![
        (
            "7.2.3.1 one frame",
            vec![frame(0xc1, &hello)],
            vec![text("Hello")],
        ),
        (
            "7.2.3.1 fragments: RSV1 on the first only",
            vec![frame(0x41, &hello[..3]), frame(0x80, &hello[3..])],
            vec![text("Hello")],
        ),
        (
            "control frames between",
            vec![
                frame(0x42, &hello[..3]),
                frame(0x8a, b""),
                frame(0x00, &hello[3..6]),
                frame(0x80, &hello[6..]),
            ],
            vec![Event::Pong, binary(b"Hello")],
        ),
        (
            "6.2 a plain message",
            vec![frame(0x81, b"Hello")],
            vec![text("Hello")],
        ),
        (
            "7.2.3.6 an empty message",
            vec![frame(0xc1, &[0]), frame(0xc2, &[])],
            vec![text(""), binary(b"")],
        ),
        (
            "an empty frame at the end",
            vec![frame(0x41, &hello), frame(0x80, &[])],
            vec![text("Hello")],
        ),
    ];
    for (name, frames, events) in rows {
        for takeover in [false, true] {
            assert_eq!(
                decode(&frames.concat(), takeover),
                (events.clone(), None),
                "{name}"
            );
        }
    }
}

#[test]
fn violations_and_their_codes() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("6.1 RSV1 on a ping", frame(0xc9, b""), 1002),
        ("6.1 RSV1 on a close", frame(0xc8, b""), 1002),
        (
            "6.1 RSV1 on a continuation",
            [frame(0x41, &hello[..3]), frame(0xc0, &hello[3..])].concat(),
            1002,
        ),
        ("RSV1 and RSV2", frame(0xe1, &hello), 1002),
        ("RSV2", frame(0xa1, b"x"), 1002),
        ("broken data", frame(0xc1, &[0xff; 10]), 1007),
        ("data that breaks off", frame(0xc1, &hello[..5]), 1007),
        (
            "bad UTF-8 inside",
            frame(0xc1, &deflated(b"text \xff text")),
            1007,
        ),
        (
            "a character cut at the end",
            frame(0xc1, &deflated(b"text \xe2\x82")),
            1007,
        ),
        (
            "one byte over the limit",
            frame(0xc2, &deflated(&[0; LIMIT + 1])),
            1009,
        ),
        ("a bomb", frame(0xc2, &deflated(&[0; 1 << 20])), 1009),
        (
            "a bomb in fragments",
            [frame(0x42, b""), header(0x80, 1 << 40)].concat(),
            1009,
        ),
        ("a declared length", header(0xc2, 1 << 20), 1009),
        (
            "blocks that hold nothing",
            frame(0xc2, &[0, 0, 0, 0xff, 0xff].repeat(500)),
            1009,
        ),
    ];
    for (name, bytes, expected) in rows {
        let outcome = decode(&bytes, false);
        assert_eq!((outcome.0.len(), code(&outcome)), (0, Some(expected)), "{name}");
    }
    assert_eq!(
        decode(&frame(0xc2, &deflated(&[7; LIMIT])), false),
        (vec![binary(&[7; LIMIT])], None)
    );
}

/// The byte that is no text comes long before the end of its frame.
#[test]
fn bad_text_fails_inside_a_compressed_frame() {
    let data = deflated(
        &[
            &[b'a', 0xff][..],
            &(0..=255_u8)
                .map(|byte| byte.wrapping_mul(151))
                .collect::<Vec<_>>(),
        ]
        .concat(),
    );
    let bytes = frame(0xc1, &data);
    let outcome = decode_with(decoder(false), bytes[..bytes.len() - 10].chunks(1));
    assert_eq!(outcome.1, Some(Violation::not_utf8("text is not UTF-8")));
}

#[test]
fn a_decoder_at_rest_holds_no_decompressor() {
    let mut decoder = decoder(false);
    let mut bytes = frame(0xc1, &deflated(b"Hello"));
    decoder.decode(&mut bytes).unwrap();
    assert_eq!(
        format!("{:?}", decoder.inflater.unwrap()),
        "Inflater { keeps_context: false, state: None }"
    );
}

#[derive(Debug, Clone)]
enum Sent {
    Compressed(Vec<u8>, bool, u8),
    Frame(u8, Vec<u8>),
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let body = prop_oneof![
        "\\PC{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(0_u8..3, 0..600),
        (0_usize..1200).prop_map(|length| vec![b'a'; length]),
    ];
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x81, 0x82, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    prop_oneof![
        4 => (body.clone(), any::<bool>(), 1_u8..4).prop_map(|(body, is_text, frames)| Sent::Compressed(body, is_text, frames)),
        2 => (first, body).prop_map(|(first, body)| Sent::Frame(first, body)),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(|garbage| Sent::Frame(0xc2, garbage)),
    ]
}

fn on_the_wire(sent: &[Sent], takeover: bool) -> Vec<u8> {
    let mut state = Compress::new(Compression::default(), false);
    let mut bytes = Vec::new();
    for sent in sent {
        match sent {
            Sent::Frame(first, body) => bytes.extend(frame(*first, body)),
            Sent::Compressed(body, is_text, frames) => {
                if !takeover {
                    state.reset();
                }
                let data = deflate(&mut state, body);
                let size = data.len().div_ceil(usize::from(*frames)).max(1);
                let count = data.chunks(size).len();
                for (at, piece) in data.chunks(size).enumerate() {
                    let opcode = if at > 0 {
                        0
                    } else {
                        0x40 | if *is_text { 1 } else { 2 }
                    };
                    let is_last = if at + 1 == count { 0x80 } else { 0 };
                    bytes.extend(frame(opcode | is_last, piece));
                }
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        sent in proptest::collection::vec(any_sent(), 0..8),
        sizes in proptest::collection::vec(1_usize..60, 1..8),
        takeover: bool,
    ) {
        let bytes = on_the_wire(&sent, takeover);
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
        prop_assert_eq!(decode_with(decoder(takeover), pieces), decode_with(decoder(takeover), [&bytes[..]]));
    }
}
