//! Looks for control bytes, eight bytes at a time, and for the end of what one kind of byte makes up.

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

/// A kind of byte, of which a text in a head is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Token characters (RFC 9110 §5.6.2).
    Token = 1,
    /// What may stand in a request target, as far as its end is to be found: no white space and no fragment.
    Target = 2,
    /// `reg-name` (RFC 3986 §3.2.2), which has every IPv4 address in it.
    HostName = 4,
    /// White space (RFC 9110 §5.6.3).
    Blank = 8,
}

impl Kind {
    pub(super) fn has(self, byte: u8) -> bool {
        KINDS[usize::from(byte)] & self as u8 != 0
    }

    /// How many bytes at the front are of this kind.
    pub(super) fn prefix(self, bytes: &[u8]) -> usize {
        bytes
            .iter()
            .position(|byte| !self.has(*byte))
            .unwrap_or(bytes.len())
    }
}

static KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut kinds = 0;
        if byte.is_ascii_alphanumeric() || is_one_of(byte, b"!#$%&'*+-.^_`|~") {
            kinds |= Kind::Token as u8;
        }
        if !is_one_of(byte, b" \t#") {
            kinds |= Kind::Target as u8;
        }
        if byte.is_ascii_alphanumeric() || is_one_of(byte, b"-._~%!$&'()*+,;=") {
            kinds |= Kind::HostName as u8;
        }
        if is_one_of(byte, b" \t") {
            kinds |= Kind::Blank as u8;
        }
        table[byte as usize] = kinds;
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn is_one_of(byte: u8, set: &[u8]) -> bool {
    let mut index = 0;
    while index < set.len() {
        if set[index] == byte {
            return true;
        }
        index += 1;
    }
    false
}

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
