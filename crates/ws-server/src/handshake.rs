//! The opening handshake, server side (RFC 6455 §4.2, RFC 9112; RFC 8441 on HTTP/2): what is granted and what is
//! refused how.

mod extended;

use std::any::{Any, TypeId};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use tungstenite::handshake::derive_accept_key;

use crate::config::WsConfig;
use crate::deflate::{self, Negotiated, is_token};
use crate::refusal::Refusal;
use crate::resume;
use crate::session::Data;

pub(crate) use extended::normalize;

/// A request to open a session, as the `authorize` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HandshakeRequest {
    /// The peer's address, where it is known.
    pub remote_addr: Option<SocketAddr>,
    /// Path and query of the request, as its client wrote them: below a prefix of a router as well.
    pub uri: Uri,
    /// The headers of the request, all of them.
    pub headers: HeaderMap,
}

impl HandshakeRequest {
    /// A request; also for other transports that open sessions and have to pass the same hook.
    pub fn new(remote_addr: Option<SocketAddr>, uri: Uri, headers: HeaderMap) -> Self {
        Self {
            remote_addr,
            uri,
            headers,
        }
    }

    /// The path, undecoded.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query, undecoded, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The first value of a header, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| str::from_utf8(value.as_bytes()).ok())
    }
}

/// What `authorize` found out about somebody who may come in.
#[derive(Debug, Clone, Default)]
pub struct Admission(Option<Data>);

impl Admission {
    /// Somebody about whom this value is known; `()` says nothing.
    pub(crate) fn with<T: Send + Sync + 'static>(value: T) -> Self {
        let key = TypeId::of::<T>();
        let says_something = key != TypeId::of::<()>();
        Self(says_something.then(|| (key, Arc::new(value) as Arc<dyn Any + Send + Sync>)))
    }

    pub(crate) fn into_data(self) -> Option<Data> {
        self.0
    }
}

/// What a lawful handshake is answered with.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The value of `Sec-WebSocket-Accept`; HTTP/2 has none (RFC 8441 §5).
    accept: Option<String>,
    /// The subprotocol we speak, one of those offered.
    pub(crate) subprotocol: Option<String>,
    /// What was agreed on and the header that says so.
    deflate: Option<(Negotiated, String)>,
}

/// Checks every rule a client's handshake has to obey, and decides on what it offers.
///
/// With `resumable`, the subprotocol of sessions that outlive their connection is spoken too.
pub(crate) fn check<B>(request: &Request<B>, config: &WsConfig, resumable: bool) -> Result<Granted, Refusal> {
    let accept = match request.method() {
        &Method::CONNECT => extended::check(request).map(|()| None)?,
        _ => check_rules(request).map(Some)?,
    };
    let headers = request.headers();
    let offered = deflate::answer(headers, &config.deflate)
        .map_err(|_| Refusal::bad_request("Sec-WebSocket-Extensions is malformed"))?;
    Ok(Granted {
        accept,
        subprotocol: subprotocol(headers, &config.subprotocols, resumable)?,
        deflate: offered.filter(|_| config.enable_deflate),
    })
}

/// The first of the client's subprotocols that we speak (RFC 6455 §4.1 item 10, §4.2.2 item 5).
fn subprotocol(headers: &HeaderMap, spoken: &[String], resumable: bool) -> Result<Option<String>, Refusal> {
    let malformed = Refusal::bad_request("Sec-WebSocket-Protocol is malformed");
    let mut offered = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let Ok(value) = value.to_str() else {
            return Err(malformed);
        };
        for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !name.chars().all(is_token) || offered.contains(&name) {
                return Err(malformed);
            }
            offered.push(name);
        }
    }
    let ours = |name: &&&str| {
        (resumable && **name == resume::SUBPROTOCOL) || spoken.iter().any(|spoken| spoken == **name)
    };
    Ok(offered.iter().find(ours).map(|name| (*name).to_owned()))
}

fn check_rules<B>(request: &Request<B>) -> Result<String, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::fixed(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket handshake is a GET request",
        ));
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::bad_request("a WebSocket handshake needs HTTP/1.1"));
    }
    single(headers, &HOST)?
        .filter(|host| !host.is_empty())
        .ok_or(Refusal::bad_request("missing Host header"))?;
    check_body(headers)?;
    if !has_token(headers, &UPGRADE, "websocket")? {
        return Err(Refusal::fixed(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebSocket endpoint",
        ));
    }
    if !has_token(headers, &CONNECTION, "upgrade")? {
        return Err(Refusal::bad_request(
            "the Connection header does not ask for an upgrade",
        ));
    }
    check_version(headers)?;
    let key = single(headers, &SEC_WEBSOCKET_KEY)?
        .ok_or(Refusal::bad_request("missing Sec-WebSocket-Key header"))?;
    if !is_key(key.as_bytes()) {
        return Err(Refusal::bad_request(
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ));
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match single(headers, &SEC_WEBSOCKET_VERSION)? {
        Some(version) if version == "13" => Ok(()),
        _ => Err(Refusal::fixed(
            StatusCode::UPGRADE_REQUIRED,
            "only WebSocket version 13 is spoken",
        )),
    }
}

/// The value of a header that may stand once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("more than one {name} header"),
        )),
        None => Ok(first),
    }
}

/// Bytes behind the request would be taken for frames by one reader and for a body by another.
fn check_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::bad_request("a WebSocket handshake has no body"));
    }
    Ok(())
}

/// Whether a comma-separated header has this token, in any case (RFC 9110 §5.6.1). Said twice it is somebody else's
/// request pasted onto this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> Result<bool, Refusal> {
    let times = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|part| part.trim().eq_ignore_ascii_case(token))
        .count();
    if times > 1 {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("{name} says {token} twice"),
        ));
    }
    Ok(times == 1)
}

/// 16 bytes in base64: 22 characters of the alphabet and two of padding (RFC 4648 §4).
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

impl Granted {
    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        self.deflate.as_ref().map(|(negotiated, _)| *negotiated)
    }

    /// The answer that opens the session: 101, or on HTTP/2 200.
    pub(crate) fn opening(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::new()));
        let value = |text: &str| HeaderValue::from_str(text).expect("base64 and tokens are visible ASCII");
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, value(accept));
        }
        let headers = response.headers_mut();
        if let Some(subprotocol) = &self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value(subprotocol));
        }
        if let Some((_, extension)) = &self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, value(extension));
        }
        response
    }
}

#[cfg(test)]
mod tests;
