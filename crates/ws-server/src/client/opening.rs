//! The opening handshake, client side (RFC 6455 §4.1): what is asked, and what the answer has to be.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;

use super::config::ClientConfig;
use super::error::ClientError;
use super::target::Target;
use crate::deflate::{Negotiated, OFFER, accept_answer, is_token};

/// Headers that the handshake writes itself, or that would change where its request ends.
const RESERVED: [HeaderName; 11] = [
    HOST,
    CONNECTION,
    UPGRADE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_EXTENSIONS,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TE,
    TRAILER,
];

/// What a lawful answer to any handshake of HTTP/1.1 begins with.
const FIRST_BYTES: &[u8] = b"HTTP/1.1 ";

/// A handshake that can be sent once: its key is its own.
#[derive(Debug)]
pub(super) struct Opening {
    request: Vec<u8>,
    /// What `Sec-WebSocket-Accept` has to be.
    accept: String,
    subprotocols: Vec<String>,
    offers_deflate: bool,
}

/// What both sides agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) subprotocol: Option<String>,
    pub(super) deflate: Option<Negotiated>,
    /// The headers of the answer.
    pub(super) headers: HeaderMap,
}

impl Opening {
    /// A handshake for this address, with a key from the system's random source.
    pub(super) fn new(target: &Target, config: &ClientConfig) -> Result<Self, ClientError> {
        Self::with_key(target, config, &generate_key())
    }

    fn with_key(target: &Target, config: &ClientConfig, key: &str) -> Result<Self, ClientError> {
        check_subprotocols(&config.subprotocols)?;
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            target.resource, target.host_header
        )
        .into_bytes();
        if !config.subprotocols.is_empty() {
            let offered = config.subprotocols.join(", ");
            line(&mut request, "Sec-WebSocket-Protocol", offered.as_bytes());
        }
        if config.enable_deflate {
            line(&mut request, "Sec-WebSocket-Extensions", OFFER.as_bytes());
        }
        for (name, value) in &config.headers {
            if RESERVED.contains(name) {
                return Err(ClientError::ReservedHeader { name: name.clone() });
            }
            line(&mut request, name.as_str(), value.as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            accept: derive_accept_key(key.as_bytes()),
            subprotocols: config.subprotocols.clone(),
            offers_deflate: config.enable_deflate,
        })
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Checks every rule the server's answer has to obey. `head` ends with its empty line.
    pub(super) fn check(&self, head: &[u8]) -> Result<Agreed, ClientError> {
        let response = parse(head)?;
        let status = response.status();
        let headers = response.into_parts().0.headers;
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Refused {
                status,
                headers: Box::new(headers),
            });
        }
        if !single(&headers, &UPGRADE)?
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        {
            return Err(wrong("its Upgrade header is not websocket"));
        }
        if !tokens(&headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return Err(wrong("its Connection header does not say upgrade"));
        }
        if single(&headers, &SEC_WEBSOCKET_ACCEPT)?.is_none_or(|value| value != self.accept.as_str()) {
            return Err(wrong("its Sec-WebSocket-Accept does not belong to our key"));
        }
        check_body(&headers)?;
        Ok(Agreed {
            subprotocol: self.subprotocol(&headers)?,
            deflate: self.deflate(&headers)?,
            headers,
        })
    }

    fn deflate(&self, headers: &HeaderMap) -> Result<Option<Negotiated>, ClientError> {
        if self.offers_deflate {
            return accept_answer(headers).map_err(|_| wrong("its extensions do not fit the offer"));
        }
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(wrong("it has an extension that was not offered"));
        }
        Ok(None)
    }

    fn subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, ClientError> {
        let Some(chosen) = single(headers, &SEC_WEBSOCKET_PROTOCOL)? else {
            return Ok(None);
        };
        match self
            .subprotocols
            .iter()
            .find(|offered| chosen == offered.as_str())
        {
            Some(offered) => Ok(Some(offered.clone())),
            None => Err(wrong("it has a subprotocol that was not offered")),
        }
    }
}

/// The length of the head at the front of `bytes`, its empty line included; `None` while that is not there.
///
/// `seen` is how many bytes were looked at before, so that an answer in small pieces is looked through once.
pub(super) fn head_len(bytes: &[u8], seen: usize) -> Result<Option<usize>, ClientError> {
    if bytes
        .iter()
        .zip(FIRST_BYTES)
        .any(|(byte, expected)| byte != expected)
    {
        return Err(wrong("it is not HTTP/1.1"));
    }
    let from = seen.saturating_sub(3);
    let end = bytes[from..].windows(4).position(|window| window == b"\r\n\r\n");
    Ok(end.map(|at| from + at + 4))
}

fn parse(head: &[u8]) -> Result<Response, ClientError> {
    // The parser takes a bare line feed for the end of a line; what others take for it differs.
    let has_bare_feed = head
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'\n' && !head[..at].ends_with(b"\r"));
    if has_bare_feed {
        return Err(wrong("a line does not end with CR LF"));
    }
    match Response::try_parse(head) {
        Ok(Some((length, response))) if length == head.len() => Ok(response),
        _ => Err(wrong("its head cannot be read")),
    }
}

/// Bytes behind the head are frames; a body would make them something else (RFC 9110 §8.6, RFC 9112 §6.1).
fn check_body(headers: &HeaderMap) -> Result<(), ClientError> {
    let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(wrong("it has a body"));
    }
    Ok(())
}

/// The value of a header that may stand once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ClientError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(wrong("a header that may stand once stands there twice")),
        None => Ok(first),
    }
}

/// The parts of a comma-separated header (RFC 9110 §5.6.1).
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn check_subprotocols(names: &[String]) -> Result<(), ClientError> {
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || !name.chars().all(is_token) || names[..at].contains(name) {
            return Err(ClientError::BadSubprotocol { name: name.clone() });
        }
    }
    Ok(())
}

fn line(request: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        request.extend_from_slice(part);
    }
}

const fn wrong(rule: &'static str) -> ClientError {
    ClientError::BadAnswer { rule }
}

#[cfg(test)]
#[path = "opening/tests.rs"]
mod tests;
