//! The head of a request, read line by line as it comes (RFC 9112 §2.2, §3, §5).

use super::codings::{Codings, content_length};
use super::request_line::{RequestLine, is_host};
use super::scan::{Kind, control, token};
use super::{Bounds, Refusal};

/// Where a request's body ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// After so many bytes.
    Length(u64),
    /// Where the chunks say so.
    Chunked,
}

/// A whole head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, with the empty line at its end.
    pub(super) length: usize,
    pub(super) body: BodyEnd,
    /// Whether what comes behind the request may be another protocol.
    pub(super) may_switch: bool,
}

/// Reads one head. It is given all bytes of the head so far and looks at each of them once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadParser {
    /// The next byte to look at.
    at: usize,
    /// Where the line in the making begins.
    line: usize,
    request: Option<RequestLine>,
    fields: usize,
    hosts: u32,
    length: Option<u64>,
    codings: Codings,
    has_codings: bool,
    upgrade: bool,
    websocket: bool,
}

impl HeadParser {
    /// Whether a head has begun, beyond empty lines before it (RFC 9112 §2.2).
    pub(super) fn has_begun(&self, bytes: &[u8]) -> bool {
        self.request.is_some() || bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// The head, or `None` while its end is not there. The verdict does not depend on how the bytes were cut.
    pub(super) fn parse(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<Head>, Refusal> {
        let view = &bytes[..bytes.len().min(bounds.head)];
        while let Some(hit) = control(view, self.at) {
            match (view[hit], view.get(hit + 1)) {
                (b'\t', _) => self.at = hit + 1,
                (b'\r', Some(b'\n')) => {
                    let line = &view[self.line..hit];
                    (self.at, self.line) = (hit + 2, hit + 2);
                    if self.take_line(line, bounds)? {
                        return self.finish(hit + 2).map(Some);
                    }
                }
                (b'\r', None) => {
                    self.at = hit;
                    return self.unfinished(bytes, bounds);
                }
                (b'\r' | b'\n', _) => return Err(Refusal::bad("invalid line end")),
                _ => return Err(Refusal::bad("control character in the header")),
            }
        }
        self.at = view.len();
        self.unfinished(bytes, bounds)
    }

    fn unfinished(&self, bytes: &[u8], bounds: &Bounds) -> Result<Option<Head>, Refusal> {
        match (bytes.len() > bounds.head, self.request) {
            (false, _) => Ok(None),
            (true, None) => Err(Refusal::target_too_long()),
            (true, Some(_)) => Err(Refusal::head_too_long()),
        }
    }

    /// Whether the line ends the head.
    fn take_line(&mut self, line: &[u8], bounds: &Bounds) -> Result<bool, Refusal> {
        if self.request.is_none() {
            if !line.is_empty() {
                self.request = Some(RequestLine::parse(line)?);
            }
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.fields += 1;
        if self.fields > bounds.headers {
            return Err(Refusal::too_many_fields());
        }
        // As nearly everybody writes the one field that every request has.
        let (name, value) = match line.strip_prefix(b"Host: ") {
            Some(value) => (&line[..4], value),
            None => split_field(line)?,
        };
        // Names of other lengths are no business of ours.
        if matches!(name.len(), 4 | 7 | 14 | 17) {
            self.take_field(name, value)?;
        }
        Ok(false)
    }

    /// Takes a field down, whose value still has the white space around it.
    fn take_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let value = trim(value);
        match name.len() {
            4 if name == b"Host" || name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if self.hosts > 1 || !is_host(value) {
                    return Err(Refusal::bad("invalid Host"));
                }
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                let mut protocols = value.split(|byte| *byte == b',');
                self.websocket |= protocols.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value)?;
                if self.length.replace(length).is_some() {
                    return Err(Refusal::bad("more than one Content-Length"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.has_codings = true;
                self.codings.add(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, length: usize) -> Result<Head, Refusal> {
        let request = self.request.expect("a head ends after its first line");
        if request.is_http11 && self.hosts == 0 {
            return Err(Refusal::bad("missing Host"));
        }
        if self.has_codings && (self.length.is_some() || !request.is_http11) {
            return Err(Refusal::bad("Transfer-Encoding does not go with this request"));
        }
        let body = match self.codings.verdict()? {
            true => BodyEnd::Chunked,
            false => BodyEnd::Length(self.length.unwrap_or(0)),
        };
        // Neither of the two has a body (RFC 9110 §9.3.6, RFC 6455 §4.1).
        if body != BodyEnd::Length(0) && (request.is_connect || (self.upgrade && self.websocket)) {
            return Err(Refusal::bad("a body does not go with this request"));
        }
        Ok(Head {
            length,
            body,
            may_switch: request.is_connect || (self.upgrade && request.is_http11),
        })
    }
}

/// Name and value of a field line (RFC 9112 §5), the value with the white space around it. Its control bytes are known
/// to be tabs.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, rest) = line.split_at(token(line));
    match (name, rest) {
        ([], [b' ' | b'\t', ..]) => Err(Refusal::bad("folded header line")),
        ([_, ..], [b':', value @ ..]) => Ok((name, value)),
        (_, [b' ' | b'\t', ..]) => Err(Refusal::bad("white space before a colon")),
        _ => Err(Refusal::bad("invalid header name")),
    }
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    if let [first, .., last] = value
        && !Kind::Blank.has(*first)
        && !Kind::Blank.has(*last)
    {
        return value;
    }
    let value = &value[Kind::Blank.prefix(value)..];
    let end = value.iter().rposition(|byte| !Kind::Blank.has(*byte));
    &value[..end.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        head: 1000,
        headers: 10,
    };

    fn is_taken(fields: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        let read = HeadParser::default().parse(head.as_bytes(), &BOUNDS);
        matches!(read, Ok(Some(Head { length, .. })) if length == head.len())
    }

    #[test]
    fn a_host_is_read_however_it_is_written() {
        for fields in [
            "Host: t",
            "Host: t.example:80",
            "host: t",
            "HOST:t",
            "Host:\tt",
            "Host:  t",
            "Host: t \t",
            "Host: \tt",
            "Host: ",
            "Host:",
            "A: b\r\nHost: t",
        ] {
            assert!(is_taken(fields), "{fields:?}");
        }
        for fields in [
            "Host : t",
            "Host t",
            " Host: t",
            "Host: a b",
            "Host: a\tb",
            "Host: a\r\nHost: a",
            "Host: a\r\nhost:a",
            "Host: a\r\n b",
            "Host: a,b c",
            "Hosts: a",
        ] {
            assert!(!is_taken(fields), "{fields:?}");
        }
    }
}
