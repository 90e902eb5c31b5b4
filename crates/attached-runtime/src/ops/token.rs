//! The secret that opens the operator's page, kept in a form that cannot be shown.

use crate::RuntimeError;
use ring::hmac::{self, HMAC_SHA256};
use std::fmt;
use std::sync::Arc;

/// What a token looks like, for errors.
pub(super) const FORM: &str = "16 to 256 visible ASCII characters";

/// A secret that opens the operator's page. Only a keyed digest of it is kept, under a key that lives as long as the
/// process: it can be compared with, and neither printed nor found in memory.
#[derive(Clone)]
pub struct OpsToken {
    digest: Arc<Digest>,
}

struct Digest {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl OpsToken {
    /// A token of 16 to 256 visible ASCII characters, so that it fits into a header field.
    ///
    /// # Errors
    /// [`RuntimeError::OpsToken`] for anything else.
    pub fn new(token: &str) -> Result<Self, RuntimeError> {
        let is_lawful =
            (16..=256).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_lawful {
            return Err(RuntimeError::OpsToken);
        }
        let key = random_key();
        let tag = hmac::sign(&key, token.as_bytes());
        Ok(Self {
            digest: Arc::new(Digest { key, tag }),
        })
    }

    /// Whether it is this one. Takes as long whatever the difference is.
    pub(super) fn is(&self, attempt: &[u8]) -> bool {
        let Digest { key, tag } = &*self.digest;
        hmac::verify(key, attempt, tag.as_ref()).is_ok()
    }
}

/// A key that nobody else has.
pub(super) fn random_key() -> hmac::Key {
    hmac::Key::new(HMAC_SHA256, &rand::random::<[u8; 32]>())
}

/// Nothing of it.
impl fmt::Debug for OpsToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OpsToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_knows_itself_and_shows_nothing() {
        let token = OpsToken::new("correct-horse-battery").expect("long enough");
        assert!(token.is(b"correct-horse-battery"));
        for other in [
            "",
            "correct-horse-batter",
            "correct-horse-battery ",
            "Correct-horse-battery",
        ] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?} {token:#?}"), "OpsToken(..) OpsToken(..)");
    }

    #[test]
    fn short_long_and_unseen_ones_are_refused() {
        for wrong in [
            "fifteen-letters",
            &"x".repeat(257),
            "with a space inside",
            "with\u{1b}escape-inside",
        ] {
            assert!(OpsToken::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(OpsToken::new(&"x".repeat(16)).is_ok() && OpsToken::new(&"x".repeat(256)).is_ok());
    }
}
