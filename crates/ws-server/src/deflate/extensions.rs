//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

/// The header does not conform to its grammar: the handshake fails (RFC 6455 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One extension with its parameters, in order and as often as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) params: Vec<(String, Option<String>)>,
}

/// All extensions of all headers of this name, in order.
pub(super) fn extensions(headers: &HeaderMap) -> Result<Vec<Extension>, Malformed> {
    let mut all = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let text = value.to_str().map_err(|_| Malformed)?;
        Reader { rest: text }.list(&mut all)?;
    }
    Ok(all)
}

/// What is left to be read of one header.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// `1#extension`; empty elements are skipped (RFC 9110 §5.6.1.2).
    fn list(&mut self, all: &mut Vec<Extension>) -> Result<(), Malformed> {
        loop {
            while self.takes(',') {}
            if self.rest.is_empty() {
                return Ok(());
            }
            all.push(self.extension()?);
            if !self.rest.is_empty() && !self.takes(',') {
                return Err(Malformed);
            }
        }
    }

    fn extension(&mut self) -> Result<Extension, Malformed> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.takes(';') {
            let name = self.token()?;
            let value = if self.takes('=') {
                Some(self.value()?)
            } else {
                None
            };
            params.push((name, value));
        }
        Ok(Extension { name, params })
    }

    /// Skips white space, then this character if it stands there.
    fn takes(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let Some(rest) = self.rest.strip_prefix(wanted) else {
            return false;
        };
        self.rest = rest.trim_start_matches([' ', '\t']);
        true
    }

    fn token(&mut self) -> Result<String, Malformed> {
        let end = self
            .rest
            .find(|char: char| !is_token(char))
            .unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        if token.is_empty() {
            return Err(Malformed);
        }
        Ok(token.to_owned())
    }

    /// A token, or a quoted string that is one when its escapes are undone.
    fn value(&mut self) -> Result<String, Malformed> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token();
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, char)) = chars.next() {
            let char = match char {
                '"' if !value.is_empty() => {
                    self.rest = &quoted[at + 1..];
                    return Ok(value);
                }
                '\\' => chars.next().ok_or(Malformed)?.1,
                other => other,
            };
            if !is_token(char) {
                return Err(Malformed);
            }
            value.push(char);
        }
        Err(Malformed)
    }
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char)
}

#[cfg(test)]
mod tests {
    use super::{Malformed, extensions};
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    fn read(values: &[&str]) -> Result<String, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                "sec-websocket-extensions",
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let shown = extensions(&headers)?.into_iter().map(|extension| {
            let params = extension.params.into_iter().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            extension.name + &params.collect::<String>()
        });
        Ok(shown.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn what_the_grammar_allows() {
        let rows: &[(&[&str], &str)] = &[
            (&[], ""),
            (&[""], ""),
            (&["a"], "a"),
            (&["a, b", "c"], "a,b,c"),
            (&[",a , ,b,"], "a,b"),
            (&["a;x;y=1 ; z=\"2\""], "a;x;y=1;z=2"),
            (&["a; x = 3"], "a;x=3"),
            (&["a;x=\"1\\0\""], "a;x=10"),
            (&["a;x=1;x=2"], "a;x=1;x=2"),
        ];
        for (values, expected) in rows {
            assert_eq!(read(values).as_deref(), Ok(*expected), "{values:?}");
        }
    }

    #[test]
    fn what_it_does_not() {
        for value in [
            ";",
            "a;",
            "a;;b",
            "a;=1",
            "a;x=",
            "a b",
            "a;x=\"\"",
            "a;x=\"1",
            "a;x=\"1,2\"",
            "a;x=\"1\"2",
            "a/b",
            "\"a\"",
            "a;x=\"\\",
            "gr\u{fc}n",
        ] {
            assert_eq!(read(&[value]), Err(Malformed), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[a-z;=,\" \\\\\u{e9}\t]{0,40}") {
            let _ = read(&[&value]);
        }
    }
}
