//! The cookie by which readers of the plain form are told from each other.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::readers::{Mark, Reader, ReaderId};
use crate::resolver::is_hex;
use crate::ring::Position;

const NAME: &str = "lp_reader";

/// Who a request comes from: the reader of its cookie, or the one that all without a cookie share.
pub(crate) fn reader_of(headers: &HeaderMap) -> Reader {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == NAME)
        .find_map(|(_, value)| parse(value))
        .unwrap_or(Reader::Shared)
}

/// A `Set-Cookie` value for a new reader who has just been given everything up to `mark`.
///
/// The random part alone says who it is. The mark is there so that the server need not remember a reader who never
/// comes back with the cookie; it is no secret, and a false one shows its reader nothing else than any other poll of
/// the same mailbox would. No `Path`: the default is the directory of the endpoint, wherever it is mounted.
pub(crate) fn for_new_reader(mark: Mark) -> HeaderValue {
    let id: u128 = rand::random();
    let Mark { epoch, position } = mark;
    let text = format!(
        "{NAME}={id:032x}.{epoch:016x}.{:016x}; HttpOnly; SameSite=Lax",
        position.0
    );
    HeaderValue::from_str(&text).expect("letters, digits and punctuation")
}

/// `<32 hex>` or `<32 hex>.<16 hex>.<16 hex>`; anything else is no cookie of ours.
fn parse(value: &str) -> Option<Reader> {
    let mut parts = value.split('.');
    let id = u128::from_str_radix(digits(parts.next()?, 32)?, 16).ok()?;
    let mark = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(epoch), Some(position), None) => Some(Mark {
            epoch: number(epoch)?,
            position: Position(number(position)?),
        }),
        _ => return None,
    };
    Some(Reader::Own(ReaderId(id), mark))
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(digits(text, 16)?, 16).ok()
}

fn digits(text: &str, count: usize) -> Option<&str> {
    is_hex(text, count).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{for_new_reader, reader_of};
    use crate::readers::{Mark, Reader, ReaderId};
    use crate::ring::Position;
    use http::{HeaderMap, HeaderValue};

    fn with(cookies: &[&str]) -> HeaderMap {
        cookies
            .iter()
            .map(|text| (http::header::COOKIE, HeaderValue::from_str(text).unwrap()))
            .collect()
    }

    #[test]
    fn what_is_set_is_read_back() {
        let mark = Mark {
            epoch: u64::MAX,
            position: Position(7),
        };
        let (first, second) = (for_new_reader(mark), for_new_reader(mark));
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        assert!(text.ends_with("; HttpOnly; SameSite=Lax"), "{text}");
        let pair = text.split(';').next().unwrap();
        let headers = with(&["theme=dark", &format!("a=b; {pair} ;c=d")]);
        let Reader::Own(_, read) = reader_of(&headers) else {
            panic!("{text} was not read")
        };
        assert_eq!(read, Some(mark));
    }

    #[test]
    fn a_random_part_is_enough_and_anything_else_is_nobody() {
        let id = "000000000000000000000000000000ff";
        let own = reader_of(&with(&[&format!("lp_reader={id}")]));
        assert_eq!(own, Reader::Own(ReaderId(255), None));
        for value in [
            "",
            "ff",
            &id[1..],
            &format!("{id}.1"),
            &format!("{id}.x.y"),
            &id.to_uppercase(),
        ] {
            assert_eq!(
                reader_of(&with(&[&format!("lp_reader={value}")])),
                Reader::Shared,
                "{value}"
            );
        }
        assert_eq!(reader_of(&with(&[&format!("other={id}")])), Reader::Shared);
        assert_eq!(reader_of(&HeaderMap::new()), Reader::Shared);
    }
}
