//! Masked frames built once; only a stamp of sixteen characters differs from message to message.

use std::io::{self, Write};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The masking key of every frame. A fixed one is lawful for a measuring tool and keeps the client cheap.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Length of the stamp every plain payload begins with: who sent it, and its number.
pub const STAMP: usize = 16;
/// The largest number a stamp can tell.
pub const WIDEST_STAMP: u64 = (1 << 40) - 1;
/// Compressed messages in turn, so that no server profits from seeing one message again and again.
const VARIANTS: usize = 64;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const RSV1: u8 = 0x40;

/// The messages of a run.
#[derive(Debug)]
pub struct Template {
    opcode: u8,
    /// What every plain payload is, but for its stamp.
    payload: Vec<u8>,
    frame: Vec<u8>,
    header: usize,
    variants: Vec<Variant>,
}

/// One of the compressed messages.
#[derive(Debug)]
struct Variant {
    payload: Vec<u8>,
    frame: Vec<u8>,
    /// The bytes of an answer that was inflated and compared; the next one equal to it needs neither.
    proven: Vec<u8>,
}

impl Template {
    /// Messages of `size` bytes (at least the stamp), plain.
    #[must_use]
    pub fn plain(size: usize, is_binary: bool) -> Self {
        let letters = b"abcdefghijklmnopqrstuvwxyz012345";
        let payload: Vec<u8> = (0..size.max(STAMP))
            .map(|at| letters[(at * 7 + at / 32) % 32])
            .collect();
        let opcode = if is_binary { BINARY } else { TEXT };
        let frame = masked(opcode, &payload);
        Self {
            opcode,
            header: frame.len() - payload.len(),
            payload,
            frame,
            variants: Vec::new(),
        }
    }

    /// JSON messages of `size` bytes, compressed without context takeover.
    ///
    /// # Errors
    /// The compressor fails.
    pub fn deflated(size: usize) -> io::Result<Self> {
        let variants = (0..VARIANTS).map(|number| Variant::new(json(size, number)));
        Ok(Self {
            variants: variants.collect::<io::Result<_>>()?,
            ..Self::plain(size, false)
        })
    }

    /// Appends the message `number` of `sender` to `out`.
    pub fn write(&self, sender: usize, number: u64, out: &mut Vec<u8>) {
        if let Some(variant) = self.variant(number) {
            out.extend_from_slice(&self.variants[variant].frame);
            return;
        }
        let at = out.len() + self.header;
        out.extend_from_slice(&self.frame);
        for ((byte, stamp), mask) in out[at..]
            .iter_mut()
            .zip(stamp(sender, number))
            .zip(MASK.iter().cycle())
        {
            *byte = stamp ^ mask;
        }
    }

    /// Whether a received frame is exactly the message `number` of `sender`.
    pub fn is(&mut self, first_byte: u8, payload: &[u8], sender: usize, number: u64) -> bool {
        match self.variant(number) {
            None => {
                first_byte == self.opcode
                    && payload.len() == self.payload.len()
                    && payload[..STAMP] == stamp(sender, number)
                    && payload[STAMP..] == self.payload[STAMP..]
            }
            // A server may send a message plain although compression was agreed on.
            Some(variant) if first_byte == self.opcode => payload == self.variants[variant].payload,
            Some(variant) => first_byte == self.opcode | RSV1 && self.variants[variant].is(payload),
        }
    }

    fn variant(&self, number: u64) -> Option<usize> {
        let variants = self.variants.len() as u64;
        (variants > 0).then(|| (number % variants) as usize)
    }
}

impl Variant {
    fn new(payload: Vec<u8>) -> io::Result<Self> {
        let mut compressor = Compress::new(Compression::new(6), false);
        let mut deflated = Vec::with_capacity(payload.len() + 64);
        compressor.compress_vec(&payload, &mut deflated, FlushCompress::Sync)?;
        // RFC 7692 §7.2.1: the four bytes that end a flushed block are not sent.
        deflated.truncate(deflated.len().saturating_sub(4));
        Ok(Self {
            frame: masked(TEXT | RSV1, &deflated),
            payload,
            proven: Vec::new(),
        })
    }

    fn is(&mut self, deflated: &[u8]) -> bool {
        if deflated == self.proven {
            return true;
        }
        let mut stream = deflated.to_vec();
        stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let mut inflated = Vec::with_capacity(self.payload.len() + 64);
        let done = Decompress::new(false).decompress_vec(&stream, &mut inflated, FlushDecompress::Sync);
        let same = done.is_ok() && inflated == self.payload;
        if same {
            self.proven = deflated.to_vec();
        }
        same
    }
}

/// A masked Pong with the payload of a Ping.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8a, payload)
}

pub(crate) fn close() -> Vec<u8> {
    masked(0x88, &1000_u16.to_be_bytes())
}

fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=65535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

fn stamp(sender: usize, number: u64) -> [u8; STAMP] {
    let digits = b"0123456789abcdef";
    let value = ((sender as u64) << 40) | (number & WIDEST_STAMP);
    std::array::from_fn(|at| digits[(value >> (60 - 4 * at)) as usize & 15])
}

/// A text like those of chats and shops: repeating keys, changing values, a random tail.
fn json(size: usize, number: usize) -> Vec<u8> {
    let mut random = 2_654_435_761_u32.wrapping_mul(number as u32 + 1);
    let mut next = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random >> 8
    };
    let mut text = Vec::with_capacity(size + 128);
    let _ = write!(
        text,
        "{{\"type\":\"chat.message\",\"id\":{},\"payload\":{{\"items\":[",
        next()
    );
    while text.len() + 120 < size {
        let (sku, price, quantity) = (next() % 99_999, next() % 300, next() % 9);
        let _ = write!(
            text,
            "{{\"sku\":\"A{sku:05}\",\"name\":\"Wireless Mouse\",\"price\":{price},\"quantity\":{quantity},\"status\":\"ok\"}},"
        );
    }
    text.extend_from_slice(b"0],\"note\":\"");
    while text.len() + 3 < size {
        text.push(b'a' + (next() % 26) as u8);
    }
    text.extend_from_slice(b"\"}}");
    text
}

#[cfg(test)]
mod tests {
    use super::{MASK, Template};

    /// What a faithful server would answer: the same frame without its mask.
    fn echoed(template: &Template, number: u64) -> (u8, Vec<u8>) {
        let mut frame = Vec::new();
        template.write(7, number, &mut frame);
        let header = match frame[1] & 0x7f {
            126 => 8,
            127 => 14,
            _ => 6,
        };
        let payload = frame[header..].iter().zip(MASK.iter().cycle());
        (frame[0], payload.map(|(byte, mask)| byte ^ mask).collect())
    }

    #[test]
    fn only_the_right_answer_is_accepted() {
        for size in [20, 1024, 70_000] {
            let mut template = Template::plain(size, false);
            let (first, payload) = echoed(&template, 9);
            assert_eq!(payload.len(), size);
            assert!(template.is(first, &payload, 7, 9));
            assert!(!template.is(first, &payload, 7, 10), "another number");
            assert!(!template.is(first, &payload, 6, 9), "another sender");
            assert!(!template.is(0x82, &payload, 7, 9), "another kind");
            let mut damaged = payload;
            damaged[size - 1] ^= 1;
            assert!(!template.is(first, &damaged, 7, 9), "another byte");
        }
    }

    #[test]
    fn compressed_answers_are_inflated_and_compared() {
        let mut template = Template::deflated(1024).unwrap();
        let (first, mut payload) = echoed(&template, 3);
        assert!(
            first == 0xc1 && payload.len() < 700,
            "{first:x} {}",
            payload.len()
        );
        for _ in 0..2 {
            assert!(template.is(first, &payload, 7, 3));
            assert!(!template.is(first, &payload, 7, 4));
        }
        payload[20] ^= 1;
        assert!(!template.is(first, &payload, 7, 3));
    }
}
