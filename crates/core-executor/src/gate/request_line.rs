//! The request line: method, target in one of its four forms, version (RFC 9112 §3).

use super::Refusal;
use super::scan::{Kind, target};

/// What the framing of a request needs of its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) is_http11: bool,
    pub(super) is_connect: bool,
}

impl RequestLine {
    /// Reads a line without its CRLF.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        const MALFORMED: Refusal = Refusal::bad("invalid request line");
        let Some((method, rest)) = method(line) else {
            return Err(MALFORMED);
        };
        // HTTP/0.9 has no version and no second space.
        let (target, rest) = rest.split_at(target(rest));
        let [b' ', version @ ..] = rest else {
            return Err(MALFORMED);
        };
        if method.is_empty() || target.is_empty() {
            return Err(MALFORMED);
        }
        let is_http11 = minor_version(version)? == b'1';
        let is_connect = method == b"CONNECT";
        check_form(method, target)?;
        Ok(Self {
            is_http11,
            is_connect,
        })
    }
}

/// The method, and what stands behind the space after it.
fn method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // By far the most frequent one is not looked at byte by byte.
    if line.starts_with(b"GET ") {
        return Some((&line[..3], &line[4..]));
    }
    match line.split_at(Kind::Token.prefix(line)) {
        (method, [b' ', rest @ ..]) => Some((method, rest)),
        _ => None,
    }
}

fn minor_version(version: &[u8]) -> Result<u8, Refusal> {
    match version {
        b"HTTP/1.1" => Ok(b'1'),
        b"HTTP/1.0" => Ok(b'0'),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refusal::version())
        }
        _ => Err(Refusal::bad("invalid HTTP version")),
    }
}

/// RFC 9112 §3.2.1–§3.2.4: which form goes with which method.
fn check_form(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    const WRONG: Refusal = Refusal::bad("invalid request target");
    let fits = match (method, target) {
        (b"CONNECT", _) => is_host_and_port(target),
        (_, [b'/', ..]) => true,
        (_, b"*") => method == b"OPTIONS",
        _ => absolute_authority(target).is_some_and(|host| !host.is_empty() && is_host(host)),
    };
    if fits { Ok(()) } else { Err(WRONG) }
}

fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let after = |scheme: &[u8]| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    rest.split(|byte| matches!(byte, b'/' | b'?')).next()
}

fn is_host_and_port(text: &[u8]) -> bool {
    let colon = text.iter().rposition(|byte| *byte == b':');
    colon.is_some_and(|at| at > 0 && at + 1 < text.len()) && is_host(text)
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), or nothing.
pub(super) fn is_host(text: &[u8]) -> bool {
    if text.is_empty() {
        return true;
    }
    if let [b'[', rest @ ..] = text {
        let mut parts = rest.splitn(2, |byte| *byte == b']');
        let (literal, behind) = (parts.next().unwrap_or_default(), parts.next());
        return !literal.is_empty()
            && literal.iter().all(|byte| is_in_literal(*byte))
            && behind.is_some_and(|behind| behind.is_empty() || is_port(behind));
    }
    let (name, port) = text.split_at(Kind::HostName.prefix(text));
    !name.is_empty() && (port.is_empty() || is_port(port))
}

/// A colon and up to five digits.
fn is_port(text: &[u8]) -> bool {
    matches!(text, [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit))
}

/// What stands between the brackets of an address.
fn is_in_literal(byte: u8) -> bool {
    byte == b':' || Kind::HostName.has(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: &str) -> u16 {
        RequestLine::parse(line.as_bytes()).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[test]
    fn good_lines() {
        for line in [
            "GET / HTTP/1.1",
            "GET /a?b=c&d HTTP/1.0",
            "OPTIONS * HTTP/1.1",
            "CONNECT example.com:443 HTTP/1.1",
            "CONNECT [::1]:443 HTTP/1.1",
            "GET http://example.com HTTP/1.1",
            "GET HTTPS://example.com:8443/x?y HTTP/1.1",
            "GET http://[::1]:80/ HTTP/1.1",
            "M-SEARCH /x HTTP/1.1",
        ] {
            assert_eq!(status(line), 200, "{line}");
        }
    }

    #[test]
    fn bad_lines() {
        for line in [
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / a HTTP/1.1",
            "GET\t/ HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / http/1.1",
            "GET / HTTP/11",
            "GET / HTTP/1.10",
            "GET / HTTP/+1.1",
            "GET /a#b HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET * HTTP/1.1",
            "GET a HTTP/1.1",
            "GET example.com:80 HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "CONNECT example.com HTTP/1.1",
            "CONNECT :443 HTTP/1.1",
            "GET ftp://example.com/ HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET http:///x HTTP/1.1",
            "GET http://user@example.com/ HTTP/1.1",
        ] {
            assert_eq!(status(line), 400, "{line}");
        }
        for line in [
            "GET / HTTP/2.0",
            "PRI * HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / HTTP/0.9",
        ] {
            assert_eq!(status(line), 505, "{line}");
        }
    }

    #[test]
    fn hosts() {
        for host in [
            "",
            "a",
            "a.b:80",
            "127.0.0.1",
            "[::1]",
            "[::1]:80",
            "a:",
            "xn--a_b",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            ":80", "a b", "a@b", "a/b", "a:b", "a:123456", "[::1", "[]", "[::1]x", "::1", "a\"", "é", "a, b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
