//! Looks for control bytes and for the end of what one kind of byte makes up, eight bytes at a time.

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

/// The high bit of each byte that is neither a letter nor a hyphen. No sum reaches the next byte.
fn not_name(word: u64) -> u64 {
    let low = (word | (ONES * 0x20)) & !HIGHS;
    let is_letter = (low + ONES * (0x80 - b'a' as u64)) & !(low + ONES * (0x7f - b'z' as u64));
    let difference = word ^ (ONES * b'-' as u64);
    let is_hyphen = !(((difference & !HIGHS) + !HIGHS) | difference);
    (!(is_letter | is_hyphen) | word) & HIGHS
}

/// How many bytes at the front are token characters (RFC 9110 §5.6.2). Names of fields are letters and hyphens, nearly
/// all of them.
pub(super) fn token(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let found = not_name(u64::from_le_bytes(*word));
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            break;
        }
        at += 8;
    }
    at + Kind::Token.prefix(&bytes[at..])
}

/// The high bit of each byte that cannot stand in a target, exact up to the lowest one.
fn not_target(word: u64) -> u64 {
    let is = |byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference
    };
    (is(b' ') | is(b'\t') | is(b'#')) & HIGHS
}

/// How many bytes at the front may stand in a request target, as far as its end is to be found: no white space and no
/// fragment.
pub(super) fn target(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = not_target(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'#');
    bytes.len() - rest.len() + rest.iter().position(end).unwrap_or(rest.len())
}

/// A kind of byte, of which a text in a head is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Token characters (RFC 9110 §5.6.2).
    Token = 1,
    /// `reg-name` (RFC 3986 §3.2.2), which has every IPv4 address in it.
    HostName = 2,
    /// White space (RFC 9110 §5.6.3).
    Blank = 4,
}

impl Kind {
    pub(super) fn has(self, byte: u8) -> bool {
        KINDS[usize::from(byte)] & self as u8 != 0
    }

    /// How many bytes at the front are of this kind.
    pub(super) fn prefix(self, bytes: &[u8]) -> usize {
        let mut count = 0;
        while count < bytes.len() && self.has(bytes[count]) {
            count += 1;
        }
        count
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
    fn a_token_ends_at_every_byte_that_is_none() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                for filler in *b"aZ-_7" {
                    let mut bytes = [filler; 20];
                    bytes[place] = byte;
                    let end = if Kind::Token.has(byte) { 20 } else { place };
                    assert_eq!(token(&bytes), end, "{byte:#x} at {place} among {filler:#x}");
                }
            }
        }
    }

    #[test]
    fn a_target_ends_at_white_space_and_at_a_fragment() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                for filler in *b"/!\"$" {
                    let mut bytes = [filler; 20];
                    bytes[place] = byte;
                    let is_end = matches!(byte, b' ' | b'\t' | b'#');
                    let end = if is_end { place } else { 20 };
                    assert_eq!(target(&bytes), end, "{byte:#x} at {place} among {filler:#x}");
                }
            }
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
