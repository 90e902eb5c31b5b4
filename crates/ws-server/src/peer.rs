//! Who is at the other end: address, request target and headers, kept small for the session's whole life.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The other end of a session, as its opening request described it.
///
/// The headers are copied into one small block, because the originals would keep the whole receive buffer of the
/// handshake in memory for as long as the session lives.
#[derive(Clone)]
pub struct Peer {
    remote_addr: Option<SocketAddr>,
    /// Target, then headers as `name:value` lines (neither a name nor a value can contain a line feed), then the
    /// subprotocol: one block, because every session pays for each.
    block: Box<[u8]>,
    /// Bytes of the target before the query: handlers ask for the path of every message.
    path_len: u32,
    target_len: u32,
    /// Where the subprotocol begins.
    headers_end: u32,
}

impl Peer {
    /// A peer that asked for `target` (a path and an optional query) with these headers. What is longer than 4 GiB is
    /// taken for empty.
    ///
    /// `Connection`, `Upgrade`, `Sec-WebSocket-Key` and `Sec-WebSocket-Version` are left out: they speak of the
    /// handshake alone.
    pub fn new(remote_addr: Option<SocketAddr>, target: &str, headers: &HeaderMap) -> Self {
        let mut block = target.as_bytes().to_vec();
        for (name, value) in headers.iter().filter(|(name, _)| !is_of_the_handshake(name)) {
            block.extend_from_slice(name.as_str().as_bytes());
            block.push(b':');
            block.extend_from_slice(value.as_bytes());
            block.push(b'\n');
        }
        let length = |length: usize| u32::try_from(length).unwrap_or(0);
        Self {
            remote_addr,
            path_len: length(target.find('?').unwrap_or(target.len())),
            target_len: length(target.len()),
            headers_end: length(block.len()),
            block: block.into(),
        }
    }

    /// The same with the subprotocol that was agreed on.
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: Option<&str>) -> Self {
        if subprotocol != self.subprotocol() {
            let mut block = self.block.into_vec();
            block.truncate(self.headers_end as usize);
            block.extend_from_slice(subprotocol.unwrap_or_default().as_bytes());
            self.block = block.into();
        }
        self
    }

    /// The subprotocol that was agreed on (`Sec-WebSocket-Protocol`), one of
    /// [`WsConfig::subprotocols`](crate::WsConfig::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        let subprotocol = self.text(self.headers_end as usize..self.block.len());
        (!subprotocol.is_empty()).then_some(subprotocol)
    }

    /// A part of the block that was text when it came in.
    fn text(&self, part: Range<usize>) -> &str {
        self.block
            .get(part)
            .and_then(|bytes| str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// The peer's address, where the transport knows it; behind a trusted proxy (`SERVER_TRUSTED_PROXIES`) that of the
    /// client it forwards for, with port 0 where it does not tell the port.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// The path of the request, undecoded.
    pub fn path(&self) -> &str {
        self.text(0..self.path_len as usize)
    }

    /// The query of the request, undecoded, without the question mark.
    pub fn query(&self) -> Option<&str> {
        let (path, target) = (self.path_len as usize, self.target_len as usize);
        (path < target).then(|| self.text(path + 1..target))
    }

    /// The first value of a header, if it is there and is UTF-8; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .lines()
            .find(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()))?;
        str::from_utf8(value).ok()
    }

    /// All headers, built anew at each call.
    pub fn headers(&self) -> HeaderMap {
        self.lines()
            .filter_map(|(name, value)| {
                Some((
                    HeaderName::from_bytes(name).ok()?,
                    HeaderValue::from_bytes(value).ok()?,
                ))
            })
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
    }

    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = self
            .block
            .get(self.target_len as usize..self.headers_end as usize);
        headers
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((&line[..colon], &line[colon + 1..]))
            })
    }
}

/// Headers may hold credentials, so they are left out.
impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Peer")
            .field("remote_addr", &self.remote_addr)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

fn is_of_the_handshake(name: &HeaderName) -> bool {
    [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION].contains(name)
}

#[cfg(test)]
mod tests {
    use super::Peer;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn headers_come_back_as_they_were_but_for_those_of_the_handshake() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a.example:1"),
            ("cookie", "a=1; b=:2"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
            ("x-empty", ""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("cookie", HeaderValue::from_static("c=3"));
        headers.append("x-bytes", HeaderValue::from_bytes(&[0xff, b':', 0x80]).unwrap());
        let peer = Peer::new(None, "/chat?room=1&x=?", &headers);
        assert_eq!((peer.path(), peer.query()), ("/chat", Some("room=1&x=?")));
        assert_eq!(peer.header("Cookie"), Some("a=1; b=:2"));
        assert_eq!(peer.header("x-empty"), Some(""));
        assert_eq!(peer.header("x-bytes"), None, "not UTF-8");
        headers.remove("upgrade");
        headers.remove("sec-websocket-key");
        assert_eq!(peer.headers(), headers);
    }

    #[test]
    fn a_subprotocol_is_kept_beside_the_rest() {
        let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a"))]);
        let peer = Peer::new(None, "/?q", &headers);
        assert_eq!(peer.subprotocol(), None);
        let peer = peer.with_subprotocol(Some("chat"));
        assert_eq!((peer.path(), peer.query()), ("/", Some("q")));
        assert_eq!(
            (peer.subprotocol(), peer.header("host")),
            (Some("chat"), Some("a"))
        );
        assert_eq!(peer.with_subprotocol(None).subprotocol(), None);
        assert_eq!(Peer::new(None, "/?", &headers).query(), Some(""));
    }

    #[test]
    fn a_target_without_query() {
        let peer = Peer::new(None, "/", &HeaderMap::new());
        assert_eq!((peer.path(), peer.query()), ("/", None));
    }
}
