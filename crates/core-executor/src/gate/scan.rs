//! Looks for control bytes, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Where the first control byte (0x00–0x1f, 0x7f) at or behind `from` stands.
pub(super) fn control(bytes: &[u8], from: usize) -> Option<usize> {
    let (words, rest) = bytes.get(from..)?.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(from + index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let behind = bytes.len() - rest.len();
    rest.iter()
        .position(u8::is_ascii_control)
        .map(|index| behind + index)
}

/// The high bit of each control byte, exact up to the lowest one.
fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let difference = word ^ (ONES * 0x7f);
    let delete = difference.wrapping_sub(ONES) & !difference;
    (below_space | delete) & HIGHS
}

/// Token characters (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(bytes in proptest::collection::vec(any::<u8>(), 0..40), from in 0..45usize) {
            let plain = bytes
                .iter()
                .enumerate()
                .skip(from)
                .find(|(_, byte)| byte.is_ascii_control())
                .map(|(index, _)| index);
            prop_assert_eq!(control(&bytes, from), plain);
        }
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                assert_eq!(
                    control(&bytes, 0),
                    byte.is_ascii_control().then_some(place),
                    "{byte:#x}"
                );
            }
        }
    }
}
