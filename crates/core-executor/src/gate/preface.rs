//! The words that an HTTP/2 connection begins with when nothing was agreed on before (RFC 9113 §3.3 and §3.4). They are
//! no lawful request of HTTP/1, on purpose.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the bytes of a new connection are those words, as far as there are any.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let count = bytes.len().min(PREFACE.len());
    bytes[..count] == PREFACE[..count]
}

/// Whether all of them are there.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_known_by_every_part_of_it() {
        for length in 0..PREFACE.len() {
            assert!(
                may_begin(&PREFACE[..length]) && !is_whole(&PREFACE[..length]),
                "{length}"
            );
        }
        let more = [PREFACE, b"\0\0\0"].concat();
        assert!(may_begin(&more) && is_whole(&more));
        for other in [
            "POST / HTTP/1.1",
            "PRI * HTTP/1.1\r\n",
            "G",
            "PRI * HTTP/2.0\r\n\r\nX",
        ] {
            assert!(!may_begin(other.as_bytes()), "{other}");
        }
    }
}
