//! Frames as a server sends them, unmasked and whole, and their masked form for a client (RFC 6455 §5.1 to §5.3).

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::mask::unmask;

/// Longest header of a data frame of a server (RFC 6455 §5.2).
pub(crate) const MAX_DATA_HEADER: usize = 10;
/// Longest body whose length stands in the second byte of the header (RFC 6455 §5.2).
pub(crate) const MAX_SHORT: usize = 125;
/// Longest reason of a Close frame: 125 bytes less the code.
const MAX_REASON: usize = 123;

fn frame(opcode: OpCode, pieces: [&[u8]; 2]) -> (Bytes, usize) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    framed(header, pieces)
}

fn framed(header: FrameHeader, pieces: [&[u8]; 2]) -> (Bytes, usize) {
    let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let header_len = header.len(length as u64);
    let mut bytes = Vec::with_capacity(header_len + length);
    append_header(&header, length, &mut bytes);
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    (Bytes::from(bytes), header_len)
}

/// The same frame as a client sends it: masked with `key`, which must be fresh and unpredictable for each frame
/// (RFC 6455 §5.3). `frame` is one whole frame of the functions below.
#[allow(dead_code, reason = "the client and the fuzz targets use it")]
pub(crate) fn masked(frame: &[u8], key: [u8; 4]) -> Bytes {
    let header_len = match frame[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    let (header, body) = frame.split_at(header_len);
    let mut bytes = Vec::with_capacity(frame.len() + key.len());
    bytes.extend_from_slice(header);
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&key);
    bytes.extend_from_slice(body);
    unmask(&mut bytes[header_len + key.len()..], key, 0);
    Bytes::from(bytes)
}

/// One data message as one frame, and where its body begins.
pub(crate) fn data_frame(data: Data, body: &[u8]) -> (Bytes, usize) {
    frame(OpCode::Data(data), [body, &[]])
}

/// Length of a data message's frame.
#[inline]
pub(crate) fn data_frame_len(body: usize) -> usize {
    if body <= MAX_SHORT {
        return short_frame_len(body);
    }
    FrameHeader::default().len(body as u64) + body
}

/// Writes the frame of a data message behind others.
#[inline]
pub(crate) fn append_data_frame(data: Data, body: &[u8], frames: &mut Vec<u8>) {
    append_header(&data_header(data), body.len(), frames);
    frames.extend_from_slice(body);
}

/// Length of the frame of a message of at most [`MAX_SHORT`] bytes.
#[inline]
pub(crate) fn short_frame_len(body: usize) -> usize {
    2 + body
}

/// Writes the frame of a message of at most [`MAX_SHORT`] bytes behind others.
#[inline]
pub(crate) fn append_short_frame(data: Data, body: &[u8], frames: &mut Vec<u8>) {
    frames.extend_from_slice(&short_header(&data_header(data), body.len()));
    frames.extend_from_slice(body);
}

/// What `format` writes. For the short messages that are most of the traffic it is done by hand, because `format` costs
/// 95 instructions a message (callgrind, `echo-16-tcp`), which is a tenth of everything.
#[inline]
fn append_header(header: &FrameHeader, length: usize, frames: &mut Vec<u8>) {
    if length <= MAX_SHORT {
        frames.extend_from_slice(&short_header(header, length));
    } else {
        append_long_header(header, length, frames);
    }
}

#[inline(never)]
fn append_long_header(header: &FrameHeader, length: usize, frames: &mut Vec<u8>) {
    header
        .format(length as u64, frames)
        .expect("a Vec takes every write");
}

#[inline]
fn short_header(header: &FrameHeader, length: usize) -> [u8; 2] {
    [
        0x80 | u8::from(header.rsv1) << 6 | u8::from(header.opcode),
        length as u8,
    ]
}

/// The header of a data message's frame, at the front of `space`, and its length.
pub(crate) fn write_data_header(data: Data, body: usize, space: &mut [u8]) -> usize {
    let header = data_header(data);
    if body <= MAX_SHORT {
        space[..2].copy_from_slice(&short_header(&header, body));
        return 2;
    }
    header
        .format(body as u64, &mut &mut *space)
        .expect("a header fits MAX_DATA_HEADER bytes");
    header.len(body as u64)
}

/// Length of the frame that `frames` begins with; all of them are ours and whole.
pub(crate) fn first_frame_len(frames: &[u8]) -> usize {
    let mut cursor = Cursor::new(frames);
    match FrameHeader::parse(&mut cursor) {
        Ok(Some((_, length))) => cursor.position() as usize + length as usize,
        _ => frames.len(),
    }
}

#[inline]
fn data_header(data: Data) -> FrameHeader {
    FrameHeader {
        opcode: OpCode::Data(data),
        ..FrameHeader::default()
    }
}

/// One data message as one frame whose payload is compressed already (RFC 7692 §7.2.1).
pub(crate) fn compressed_frame(is_text: bool, payload: &[u8]) -> Bytes {
    let header = FrameHeader {
        rsv1: true,
        opcode: OpCode::Data(if is_text { Data::Text } else { Data::Binary }),
        ..FrameHeader::default()
    };
    framed(header, [payload, &[]]).0
}

/// A ping without a payload.
pub(crate) fn ping_frame() -> Bytes {
    frame(OpCode::Control(Control::Ping), [&[], &[]]).0
}

/// The answer to a ping, with the ping's payload (RFC 6455 §5.5.3).
pub(crate) fn pong_frame(payload: &[u8]) -> Bytes {
    frame(OpCode::Control(Control::Pong), [payload, &[]]).0
}

/// A Close frame; without a code it has no body. The reason is cut at a character so that it fits 123 bytes.
pub(crate) fn close_frame(code: Option<u16>, reason: &str) -> Bytes {
    let Some(code) = code else {
        return frame(OpCode::Control(Control::Close), [&[], &[]]).0;
    };
    let reason = cut_at_character(reason, MAX_REASON);
    frame(
        OpCode::Control(Control::Close),
        [&code.to_be_bytes(), reason.as_bytes()],
    )
    .0
}

/// The longest start of `text` that has at most `limit` bytes and ends with a whole character.
fn cut_at_character(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{close_frame, data_frame, masked, ping_frame, pong_frame};
    use tungstenite::protocol::frame::coding::Data;

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        assert_eq!(
            data_frame(Data::Text, b"Hello").0[..],
            [0x81, 5, b'H', b'e', b'l', b'l', b'o']
        );
        assert_eq!(pong_frame(b"Hello")[..], [0x8a, 5, b'H', b'e', b'l', b'l', b'o']);
        assert_eq!(data_frame(Data::Binary, &[7; 256]).0[..4], [0x82, 126, 1, 0]);
        assert_eq!(
            data_frame(Data::Binary, &[7; 65536]).0[..10],
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(ping_frame()[..], [0x89, 0]);
    }

    #[test]
    fn the_masked_example_of_rfc_6455_section_5_7() {
        let (frame, _) = data_frame(Data::Text, b"Hello");
        assert_eq!(
            masked(&frame, [0x37, 0xfa, 0x21, 0x3d])[..],
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
        assert_eq!(masked(&ping_frame(), [1, 2, 3, 4])[..], [0x89, 0x80, 1, 2, 3, 4]);
        for (length, header) in [(125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let (frame, _) = data_frame(Data::Binary, &vec![0; length]);
            let masked = masked(&frame, [9; 4]);
            assert_eq!(masked.len(), header + 4 + length);
            assert!(masked[header..].iter().all(|byte| *byte == 9), "{length}");
        }
    }

    #[test]
    fn a_close_has_no_body_or_a_code_and_a_reason_that_fits() {
        assert_eq!(close_frame(None, "ignored")[..], [0x88, 0]);
        assert_eq!(close_frame(Some(1000), "")[..], [0x88, 2, 3, 0xe8]);
        let long = close_frame(Some(1001), &"€".repeat(60));
        assert_eq!(long[1], 2 + 123, "41 characters of three bytes fit 123");
        assert!(str::from_utf8(&long[4..]).is_ok());
    }
}
