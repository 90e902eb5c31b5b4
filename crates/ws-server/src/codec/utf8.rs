//! Incremental UTF-8 (RFC 3629): checks each piece once and fails at the byte that cannot be part of a text.

/// A text that arrives in pieces which may be cut inside a character.
#[derive(Debug, Default)]
pub(crate) struct PartialText {
    /// The characters that are complete.
    text: String,
    /// The first bytes of a character whose last byte has not come yet.
    tail: [u8; 4],
    /// How many bytes of `tail` are set, 0 to 3.
    tail_len: usize,
}

/// The bytes are no UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl PartialText {
    /// Bytes held so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + self.tail_len
    }

    /// Appends the next piece.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.tail_len > 0 {
            let Some((first, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            self.complete_with(*first)?;
        }
        self.push_whole(piece)
    }

    /// The whole text; an unfinished character at the end is an error.
    pub(crate) fn finish(self) -> Result<String, NotUtf8> {
        if self.tail_len == 0 {
            Ok(self.text)
        } else {
            Err(NotUtf8)
        }
    }

    fn complete_with(&mut self, byte: u8) -> Result<(), NotUtf8> {
        self.tail[self.tail_len] = byte;
        self.tail_len += 1;
        match str::from_utf8(&self.tail[..self.tail_len]) {
            Ok(character) => {
                self.text.push_str(character);
                self.tail_len = 0;
                Ok(())
            }
            Err(error) if error.error_len().is_none() => Ok(()),
            Err(_) => Err(NotUtf8),
        }
    }

    fn push_whole(&mut self, piece: &[u8]) -> Result<(), NotUtf8> {
        let error = match str::from_utf8(piece) {
            Ok(text) => {
                self.text.push_str(text);
                return Ok(());
            }
            Err(error) => error,
        };
        if error.error_len().is_some() {
            return Err(NotUtf8);
        }
        let (whole, tail) = piece.split_at(error.valid_up_to());
        self.text.push_str(str::from_utf8(whole).map_err(|_| NotUtf8)?);
        self.tail[..tail.len()].copy_from_slice(tail);
        self.tail_len = tail.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{NotUtf8, PartialText};
    use proptest::prelude::*;

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, NotUtf8> {
        let mut text = PartialText::default();
        for piece in pieces {
            text.push(piece)?;
        }
        text.finish()
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_belong() {
        for bad in [
            &[0xc0][..],
            &[0xff],
            &[0xf5],
            &[0xe0, 0x80],
            &[0xed, 0xa0],
            &[0xf0, 0x80],
            &[0xf4, 0x90],
            &[0x80],
        ] {
            let (last, good) = bad.split_last().unwrap();
            let mut text = PartialText::default();
            assert_eq!(
                text.push(good),
                Ok(()),
                "{bad:x?}: a prefix that may still become a character"
            );
            assert_eq!(
                text.push(&[*last]),
                Err(NotUtf8),
                "{bad:x?}: must fail at its last byte"
            );
        }
    }

    #[test]
    fn an_unfinished_character_is_no_text() {
        assert_eq!(in_pieces([&[0xe2, 0x82][..]]), Err(NotUtf8));
        assert_eq!(in_pieces([&[0xe2, 0x82][..], &[0xac]]).as_deref(), Ok("€"));
    }

    proptest! {
        #[test]
        fn agrees_with_std_however_the_bytes_are_cut(
            bytes in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..40),
            ],
            size in 1_usize..7,
        ) {
            let ours = in_pieces(bytes.chunks(size));
            prop_assert_eq!(ours.ok(), String::from_utf8(bytes).ok());
        }
    }
}
