//! Numbers of fragments, and who has to mask.

use tungstenite::protocol::frame::coding::Data;

use super::tests::{KEY, LIMIT, binary, both_ways, decode, decode_into, frame, header, limits, text};
use super::{Decoder, Role, Violation, data_frame, masked};

#[test]
fn fragments_are_bounded_by_number() {
    for (payload, most) in [(&b"x"[..], 64), (b"", 4)] {
        let mut frames = vec![frame(0x02, payload)];
        frames.resize(most, frame(0x00, payload));
        assert_eq!(both_ways(&frames), (vec![], None), "{most} fragments");
        let mut whole = frames.clone();
        whole[most - 1] = frame(0x80, payload);
        assert_eq!(both_ways(&whole).1, None, "the last of {most}");
        frames.push(frame(0x09 | 0x80, b"a ping is no fragment"));
        frames.push(header(0x00, payload.len() as u64));
        let (events, violation) = both_ways(&frames);
        assert_eq!(
            (events.len(), violation.map(|violation| u16::from(violation.code))),
            (1, Some(1008))
        );
    }
    let empty = vec![frame(0x81, b""); 100];
    assert_eq!(
        both_ways(&empty).0.len(),
        100,
        "a whole empty message is no fragment"
    );
}

/// RFC 6455 §5.1: a server must not mask, a client must.
#[test]
fn a_client_reads_what_a_server_writes_and_nothing_masked() {
    let (frame, _) = data_frame(Data::Text, "grüß".as_bytes());
    let mut events = Vec::new();
    let mut client = Decoder::new(Role::Client, limits(LIMIT));
    decode_into(&mut client, &frame, &mut events).unwrap();
    assert_eq!(events, [text("grüß")]);
    let refused = decode_into(&mut client, &masked(&frame, KEY), &mut events);
    assert_eq!(refused, Err(Violation::protocol("masked frame")));
}

#[test]
fn a_server_reads_what_a_client_writes() {
    let (frame, _) = data_frame(Data::Binary, &[7; 300]);
    assert_eq!(
        decode([&masked(&frame, KEY)[..]]),
        (vec![binary(&[7; 300])], None)
    );
}
