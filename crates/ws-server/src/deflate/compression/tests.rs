//! Once for all, in a context, or not at all.

use super::Compression;
use crate::codec::{Decoder, Event, Incoming, Limits, Role};
use crate::deflate::{DeflateConfig, Direction, Negotiated};
use crate::encoded::Encoded;

const CONFIG: DeflateConfig = DeflateConfig {
    context_takeover: false,
    window_bits: 15,
    level: 6,
    min_length: 32,
    session_memory: 1 << 20,
};

fn direction(context_takeover: bool, window_bits: u8) -> Direction {
    Direction {
        context_takeover,
        window_bits,
    }
}

fn compression(context_takeover: bool, window_bits: u8) -> Compression {
    Compression::new(direction(context_takeover, window_bits), &CONFIG).unwrap()
}

/// What a client makes of the frames.
fn read(frames: &[bytes::Bytes], incoming: Direction) -> Vec<Event> {
    let negotiated = Negotiated {
        outgoing: incoming,
        incoming,
    };
    let limits = Limits {
        message: 1 << 20,
        fragments: 1,
        empty_fragments: 1,
    };
    let mut decoder = Decoder::new(Role::Client, limits).with_deflate(Some(&negotiated));
    let mut events = Vec::new();
    for frame in frames {
        let mut bytes = frame.to_vec();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let (used, event) = decoder.decode(rest).unwrap();
            events.extend(event);
            rest = &mut rest[used..];
        }
    }
    events
}

fn text(text: &str) -> Event {
    Event::Message(Incoming::Text(text.into()))
}

fn chat(number: u32) -> String {
    format!(
        r#"{{"type":"chat","payload":{{"number":{number},"text":"to be, or not to be, that is the question"}}}}"#
    )
}

#[test]
fn every_window_and_either_context_is_read_back() {
    for bits in 9..=15 {
        for takeover in [false, true] {
            let mut compression = compression(takeover, bits);
            let texts: Vec<_> = (0..5)
                .map(|number| chat(number).repeat(1 + number as usize * 40))
                .collect();
            let frames: Vec<_> = texts
                .iter()
                .map(|text| compression.frame(&Encoded::text(text)))
                .collect();
            assert!(
                frames.iter().all(|frame| frame[0] == 0xc1),
                "compressed text frames"
            );
            let expected: Vec<_> = texts.iter().map(|expected| text(expected)).collect();
            assert_eq!(
                read(&frames, direction(takeover, bits)),
                expected,
                "{bits} {takeover}"
            );
        }
    }
}

#[test]
fn clones_are_compressed_once_for_each_window() {
    let message = Encoded::text(chat(1).repeat(3));
    let clone = message.clone();
    // Kept while they are compared: memory that is given back may be had again.
    let frame = |bits, message: &Encoded| compression(false, bits).frame(message);
    let (first, narrow) = (frame(15, &message), frame(9, &message));
    assert_eq!(first.as_ptr(), frame(15, &clone).as_ptr());
    assert_eq!(narrow.as_ptr(), frame(9, &clone).as_ptr());
    assert_ne!(first.as_ptr(), narrow.as_ptr());
    let other = frame(15, &Encoded::text(chat(1).repeat(3)));
    assert_ne!(first.as_ptr(), other.as_ptr());
}

#[test]
fn a_context_makes_the_second_message_smaller() {
    let mut own = compression(true, 15);
    let message = Encoded::text(chat(1));
    own.frame(&Encoded::text("short"));
    assert!(
        own.context.is_none(),
        "a session that compresses nothing keeps no compressor"
    );
    let (first, second) = (own.frame(&message), own.frame(&message));
    assert!(second.len() * 3 < first.len(), "{} {}", first.len(), second.len());
}

#[test]
fn what_is_short_marked_or_does_not_shrink_goes_as_it_is() {
    let noise: Vec<u8> = (0..200_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let as_is = [
        Encoded::text("x".repeat(31)),
        Encoded::binary(&noise),
        Encoded::text(chat(1)).without_compression(),
    ];
    for message in as_is {
        assert_eq!(
            compression(false, 15).frame(&message),
            *message.frame(),
            "{message:?}"
        );
    }
    assert_eq!(compression(false, 15).frame(&Encoded::binary([0; 32]))[0], 0xc2);
    // In a context what was compressed must be sent.
    let frame = compression(true, 15).frame(&Encoded::binary(&noise));
    assert_eq!(
        read(&[frame], direction(true, 15)),
        [Event::Message(Incoming::Binary(noise.into()))]
    );
}

/// RFC 7692 §7.1.2.2: a server may ask for a window our compressor does not have.
#[test]
fn a_window_of_256_bytes_is_kept_to_by_not_compressing() {
    assert!(Compression::new(direction(false, 8), &CONFIG).is_none());
}
