//! The id by which a client comes back to its session.

use std::fmt;
use std::str::FromStr;

use super::error::ResumeError;

const PREFIX: &str = "lps_";
const DIGITS: usize = 32;

/// 128 random bits, written `lps_` and 32 lower-case hexadecimal digits. Whoever knows one can take the session over,
/// as far as it is not bound to more: it is not to be logged, and its `Debug` form shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResumeId(u128);

impl ResumeId {
    /// A new one, from the operating system's randomness.
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for ResumeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{:032x}", self.0)
    }
}

impl fmt::Debug for ResumeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResumeId(..)")
    }
}

impl FromStr for ResumeId {
    type Err = ResumeError;

    fn from_str(text: &str) -> Result<Self, ResumeError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ResumeError::Malformed)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != DIGITS || !digits.bytes().all(is_hex) {
            return Err(ResumeError::Malformed);
        }
        u128::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| ResumeError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::{ResumeError, ResumeId};

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = ResumeId::new();
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (36, Ok(id)));
        assert_ne!(id, ResumeId::new());
        assert!(!format!("{id:?}").contains(&text[4..]));
        for wrong in [
            "",
            "lps_",
            &text[..35],
            &format!("{text}0"),
            &text.to_uppercase(),
            &format!("lps_+{}", &text[5..]),
            &text[4..],
        ] {
            assert_eq!(wrong.parse::<ResumeId>(), Err(ResumeError::Malformed), "{wrong}");
        }
    }
}
