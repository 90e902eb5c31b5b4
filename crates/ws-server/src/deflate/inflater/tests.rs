//! The examples of RFC 7692 §7.2.3, broken data, bombs, and what is kept between messages.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::{BAD_DATA, CHUNK, Inflater, TAIL};
use crate::codec::Violation;
use crate::deflate::Direction;

fn inflater(context_takeover: bool) -> Inflater {
    Inflater::new(Direction {
        context_takeover,
        window_bits: 15,
    })
}

fn message_in(inflater: &mut Inflater, piece: usize, data: &[u8], room: u64) -> Result<Vec<u8>, Violation> {
    let mut message = Vec::new();
    for piece in data.chunks(piece) {
        let left = room - message.len() as u64;
        inflater.push(piece, left, |inflated| {
            message.extend_from_slice(inflated);
            Ok(())
        })?;
    }
    inflater.finish(data.is_empty())?;
    Ok(message)
}

fn inflate(data: &[u8]) -> Result<Vec<u8>, Violation> {
    message_in(&mut inflater(false), usize::MAX, data, 1 << 20)
}

fn compressor() -> Compress {
    Compress::new(Compression::default(), false)
}

fn deflate(state: &mut Compress, body: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(body.len() + 1024);
    state
        .compress_vec(body, &mut output, FlushCompress::Sync)
        .unwrap();
    assert!(output.len() < output.capacity());
    output.strip_suffix(&TAIL[..4]).unwrap_or(&output).to_vec()
}

#[test]
fn the_examples_of_rfc_7692_section_7_2_3() {
    let one_block = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let final_block = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for data in [&one_block[..], &stored, &final_block, &two_blocks] {
        for piece in [1, 2, 3, usize::MAX] {
            let message = message_in(&mut inflater(false), piece, data, 5);
            assert_eq!(message.as_deref(), Ok(&b"Hello"[..]), "{data:x?} by {piece}");
        }
    }
    // §7.2.3.6, and what some senders make of it.
    assert_eq!(inflate(&[0]), Ok(vec![]));
    assert_eq!(inflate(&[]), Ok(vec![]));
}

/// §7.2.3.2: the second message refers to the first.
#[test]
fn context_takeover() {
    let (first, second) = (
        [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        [0xf2, 0x00, 0x11, 0x00, 0x00],
    );
    let mut keeps = inflater(true);
    for data in [&first[..], &second] {
        assert_eq!(
            message_in(&mut keeps, usize::MAX, data, 5).as_deref(),
            Ok(&b"Hello"[..])
        );
    }
    let mut forgets = inflater(false);
    assert_eq!(
        message_in(&mut forgets, usize::MAX, &first, 5).as_deref(),
        Ok(&b"Hello"[..])
    );
    assert!(forgets.state.is_none(), "nothing is kept at rest");
    assert_eq!(
        message_in(&mut forgets, usize::MAX, &second, 5),
        Err(BAD_DATA),
        "a message must not reach into what the thread inflated before"
    );
}

#[test]
fn broken_data_is_found() {
    let whole = deflate(
        &mut compressor(),
        "a text that is compressed, compressed, compressed".as_bytes(),
    );
    for length in 1..whole.len() {
        assert!(
            inflate(&whole[..length]).is_err(),
            "cut to {length} of {}",
            whole.len()
        );
    }
    for data in [
        &[0xff][..],
        &[0x07],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xfe],
    ] {
        assert_eq!(inflate(data), Err(BAD_DATA), "{data:x?}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = deflate(&mut compressor(), &vec![0; 16 << 20]);
    assert!(bomb.len() < 20_000);
    for room in [0, 1, 1000, CHUNK as u64, 65536, 100_000] {
        let mut seen = 0;
        let outcome = inflater(false).push(&bomb, room, |inflated| {
            seen += inflated.len() as u64;
            Ok(())
        });
        assert_eq!(outcome, Err(Violation::TOO_BIG));
        assert!(seen <= room, "{seen} of {room}");
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    for length in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let body = vec![b'x'; length];
        let data = deflate(&mut compressor(), &body);
        let limit = length as u64;
        assert_eq!(
            message_in(&mut inflater(false), usize::MAX, &data, limit),
            Ok(body)
        );
        assert_eq!(
            message_in(&mut inflater(false), usize::MAX, &data, limit - 1),
            Err(Violation::TOO_BIG)
        );
    }
}

proptest! {
    #[test]
    fn any_messages_in_any_pieces(
        messages in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..500), 1..5),
        piece in 1_usize..40,
        takeover: bool,
    ) {
        let (mut compress, mut inflater) = (compressor(), inflater(takeover));
        for message in messages {
            if !takeover {
                compress.reset();
            }
            let data = deflate(&mut compress, &message);
            prop_assert_eq!(message_in(&mut inflater, piece, &data, 1000), Ok(message));
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_pass_the_limit(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..40,
    ) {
        if let Ok(message) = message_in(&mut inflater(false), piece, &data, 1000) {
            prop_assert!(message.len() <= 1000);
        }
    }
}
