//! The values that say where a body ends: Content-Length and Transfer-Encoding.

use super::Refusal;

/// `Content-Length = 1*DIGIT` (RFC 9110 §8.6). A list is refused, also one of equal values.
pub(super) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    const INVALID: Refusal = Refusal::bad("invalid Content-Length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let length = value.iter().try_fold(0, add).ok_or(INVALID)?;
    // Hyper keeps the two largest values for itself.
    if length > u64::MAX - 2 {
        Err(INVALID)
    } else {
        Ok(length)
    }
}

/// What the Transfer-Encoding fields of a head list, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Codings {
    listed: bool,
    chunked: u32,
    /// Whether the last one is `chunked`.
    ends_chunked: bool,
    others: bool,
    unknown: bool,
    malformed: bool,
}

impl Codings {
    /// One field's value: a list (RFC 9110 §10.1.4), empty elements left out.
    pub(super) fn add(&mut self, value: &[u8]) {
        self.listed = true;
        for element in value.split(|byte| *byte == b',') {
            let name = element.trim_ascii();
            if name.is_empty() {
                continue;
            }
            self.ends_chunked = name.eq_ignore_ascii_case(b"chunked");
            if self.ends_chunked {
                self.chunked = self.chunked.saturating_add(1);
            } else if has_parameter(name, b"chunked") {
                // RFC 9112 §7.1: chunked has no parameters, and their presence is an error.
                self.malformed = true;
            } else if REGISTERED.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                self.others = true;
            } else {
                self.unknown = true;
            }
        }
    }

    /// Whether the body is chunked; anything but exactly `chunked` is refused.
    pub(super) fn verdict(&self) -> Result<bool, Refusal> {
        if !self.listed {
            Ok(false)
        } else if self.malformed {
            Err(Refusal::bad("invalid Transfer-Encoding"))
        } else if self.unknown {
            Err(Refusal::unknown_coding())
        } else if !self.ends_chunked || self.chunked > 1 {
            // RFC 9112 §6.1 and §6.3: once, and last.
            Err(Refusal::bad("invalid Transfer-Encoding"))
        } else if self.others {
            Err(Refusal::unknown_coding())
        } else {
            Ok(true)
        }
    }
}

/// The other codings of the registry (RFC 9112 §7.2).
const REGISTERED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];

fn has_parameter(element: &[u8], name: &[u8]) -> bool {
    let bare = element.split(|byte| *byte == b';').next();
    bare.is_some_and(|bare| bare.trim_ascii().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (text, length) in [("0", 0), ("007", 7), ("18446744073709551613", u64::MAX - 2)] {
            assert_eq!(content_length(text.as_bytes()), Ok(length), "{text}");
        }
        for text in [
            "",
            "+1",
            "-1",
            "1 ",
            "1,1",
            "1, 1",
            "0x1",
            "1e3",
            "18446744073709551614",
            "99999999999999999999",
        ] {
            assert!(content_length(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn codings() {
        let verdict = |fields: &[&str]| {
            let mut codings = Codings::default();
            fields.iter().for_each(|field| codings.add(field.as_bytes()));
            codings.verdict().map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(verdict(&[]), Ok(false));
        for chunked in ["chunked", "Chunked", "CHUNKED", " chunked ,", ",chunked"] {
            assert_eq!(verdict(&[chunked]), Ok(true), "{chunked}");
        }
        for bad in [
            "",
            ",",
            "gzip",
            "chunked, gzip",
            "chunked, chunked",
            "chunked;a=1",
            "chunked ;",
        ] {
            assert_eq!(verdict(&[bad]), Err(400), "{bad}");
        }
        assert_eq!(verdict(&["chunked", "chunked"]), Err(400));
        for unknown in [
            "xchunked",
            "identity",
            "gzip, chunked",
            "chunked, identity",
            "\"chunked\"",
            "chunked chunked",
        ] {
            assert_eq!(verdict(&[unknown]), Err(501), "{unknown}");
        }
    }
}
