//! The opening handshake, server side (RFC 6455 §4.2, RFC 9112): what is granted and what is refused how.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use tungstenite::handshake::derive_accept_key;

use crate::refusal::Refusal;

/// A request to open a session, as the `authorize` hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HandshakeRequest {
    /// The peer's address, where it is known.
    pub remote_addr: Option<SocketAddr>,
    /// The target of the request.
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

/// Checks every rule a client's handshake has to obey; gives the value of `Sec-WebSocket-Accept`.
pub(crate) fn check<B>(request: &Request<B>) -> Result<String, Refusal> {
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
    if !has_token(headers, &UPGRADE, "websocket") {
        return Err(Refusal::fixed(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebSocket endpoint",
        ));
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(Refusal::bad_request(
            "the Connection header does not ask for an upgrade",
        ));
    }
    match single(headers, &SEC_WEBSOCKET_VERSION)? {
        Some(version) if version == "13" => {}
        _ => {
            return Err(Refusal::fixed(
                StatusCode::UPGRADE_REQUIRED,
                "only WebSocket version 13 is spoken",
            ));
        }
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY)?
        .ok_or(Refusal::bad_request("missing Sec-WebSocket-Key header"))?;
    if !is_key(key.as_bytes()) {
        return Err(Refusal::bad_request(
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ));
    }
    Ok(derive_accept_key(key.as_bytes()))
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

/// Whether a comma-separated header has this token, in any case (RFC 9110 §5.6.1).
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// 16 bytes in base64: 22 characters of the alphabet and two of padding (RFC 4648 §4).
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// The answer that opens the session.
pub(crate) fn switching_protocols(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(accept).expect("base64 is visible ASCII");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

#[cfg(test)]
mod tests {
    use super::{check, is_key};
    use http::{Request, Version};

    const GOOD: &[(&str, &str)] = &[
        ("host", "server.example.com"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get("/chat").version(Version::HTTP_11);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn status(request: &Request<()>) -> u16 {
        check(request).map_or_else(|refusal| refusal.status().as_u16(), |_| 101)
    }

    fn with(name: &str, values: &[&str]) -> Request<()> {
        let mut headers: Vec<_> = GOOD.iter().copied().filter(|(known, _)| *known != name).collect();
        headers.extend(values.iter().map(|value| (name, *value)));
        request(&headers)
    }

    #[test]
    fn the_example_of_rfc_6455_section_1_3() {
        assert_eq!(check(&request(GOOD)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn each_header_missing_wrong_or_doubled() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let rows: &[(&str, &[&str], u16)] = &[
            ("host", &[], 400),
            ("host", &[""], 400),
            ("host", &["a", "a"], 400),
            ("upgrade", &[], 426),
            ("upgrade", &["h2c"], 426),
            ("upgrade", &["h2c, WebSocket"], 101),
            ("connection", &[], 400),
            ("connection", &["close"], 400),
            ("connection", &["keep-alive, upgrade"], 101),
            ("connection", &["keep-alive", "UPGRADE"], 101),
            ("connection", &["upgraded"], 400),
            ("sec-websocket-version", &[], 426),
            ("sec-websocket-version", &["8"], 426),
            ("sec-websocket-version", &["13, 8"], 426),
            ("sec-websocket-version", &["13", "13"], 400),
            ("sec-websocket-key", &[], 400),
            ("sec-websocket-key", &[""], 400),
            ("sec-websocket-key", &[key, key], 400),
            ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25j"], 400),
            ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ"], 400),
            ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZTE="], 400),
            ("content-length", &["0"], 101),
            ("content-length", &["5"], 400),
            ("transfer-encoding", &["chunked"], 400),
            ("sec-websocket-protocol", &["chat"], 101),
        ];
        for (name, values, expected) in rows {
            assert_eq!(status(&with(name, values)), *expected, "{name}: {values:?}");
        }
    }

    #[test]
    fn only_get_and_only_http_1_1() {
        for (method, expected) in [("POST", 405), ("HEAD", 405), ("CONNECT", 405), ("GET", 101)] {
            let mut request = request(GOOD);
            *request.method_mut() = method.parse().unwrap();
            assert_eq!(status(&request), expected, "{method}");
        }
        for version in [
            Version::HTTP_09,
            Version::HTTP_10,
            Version::HTTP_2,
            Version::HTTP_3,
        ] {
            let mut request = request(GOOD);
            *request.version_mut() = version;
            assert_eq!(status(&request), 400, "{version:?}");
        }
    }

    #[test]
    fn a_key_is_16_bytes() {
        assert!(is_key(b"AAAAAAAAAAAAAAAAAAAAAA=="));
        assert!(!is_key(b"AAAAAAAAAAAAAAAAAAAA=A=="));
        assert!(!is_key(b"AAAAAAAAAAAAAAAAAAAAA-=="));
    }
}
