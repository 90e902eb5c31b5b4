//! The HTTP answer to a handshake that is not granted.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// Longest body of an error answer in bytes.
const MAX_BODY: usize = 200;

/// A refused handshake: a status and the text of the body `{"error":text}`, cut so that the body has at most 200
/// bytes. The connection is closed after it, so that frames sent behind a refused handshake are not read as requests.
///
/// ```
/// use http::StatusCode;
/// use ws_server::Refusal;
///
/// let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "log in first");
/// assert_eq!(refusal.body(), r#"{"error":"log in first"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is refused until it is returned"]
pub struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
}

impl Refusal {
    /// A refusal; `status` should be an error status, anything else becomes 403.
    pub fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        let is_error = status.is_client_error() || status.is_server_error();
        Self {
            status: if is_error { status } else { StatusCode::FORBIDDEN },
            error: error.into(),
        }
    }

    pub(crate) const fn fixed(status: StatusCode, error: &'static str) -> Self {
        Self {
            status,
            error: Cow::Borrowed(error),
        }
    }

    pub(crate) const fn bad_request(error: &'static str) -> Self {
        Self::fixed(StatusCode::BAD_REQUEST, error)
    }

    /// The server is not running, or stops: 503 with `Retry-After`.
    pub(crate) const STOPPING: Self = Self::fixed(
        StatusCode::SERVICE_UNAVAILABLE,
        "the WebSocket server is not accepting sessions",
    );

    /// There is no place for one more connection: 503 with `Retry-After`.
    pub(crate) const FULL: Self = Self::fixed(StatusCode::SERVICE_UNAVAILABLE, "too many connections");

    /// A callback panicked.
    pub(crate) const PANICKED: Self = Self::fixed(StatusCode::INTERNAL_SERVER_ERROR, "internal error");

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn text(&self) -> &str {
        &self.error
    }

    /// The body of the answer, JSON.
    pub fn body(&self) -> String {
        let mut text = &*self.error;
        loop {
            let body = serde_json::json!({ "error": text }).to_string();
            if body.len() <= MAX_BODY {
                return body;
            }
            let mut end = text.len() - (body.len() - MAX_BODY).min(text.len()).div_ceil(6).max(1);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text = &text[..end];
        }
    }

    /// The whole answer.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let for_status: &[_] = match self.status {
            StatusCode::UPGRADE_REQUIRED => &[(UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")],
            StatusCode::METHOD_NOT_ALLOWED => &[(ALLOW, "GET")],
            StatusCode::SERVICE_UNAVAILABLE => &[(RETRY_AFTER, "1")],
            _ => &[],
        };
        for (name, value) in for_status {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use http::StatusCode;

    #[test]
    fn a_body_is_json_of_at_most_200_bytes() {
        for text in [
            "x".repeat(10_000),
            "\"\u{1}".repeat(500),
            "€".repeat(90),
            String::new(),
        ] {
            let body = Refusal::new(StatusCode::FORBIDDEN, text).body();
            assert!(body.len() <= 200, "{} bytes", body.len());
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(value["error"].is_string());
        }
    }

    #[test]
    fn a_refusal_never_looks_like_success() {
        assert_eq!(Refusal::new(StatusCode::OK, "").status(), StatusCode::FORBIDDEN);
        assert_eq!(
            Refusal::new(StatusCode::SWITCHING_PROTOCOLS, "").status(),
            StatusCode::FORBIDDEN
        );
    }

    #[test]
    fn some_statuses_carry_a_header() {
        let header = |status, name| {
            let response = Refusal::new(status, "x").into_response();
            response
                .headers()
                .get(name)
                .map(|value: &http::HeaderValue| value.to_str().unwrap().to_owned())
        };
        let version = header(StatusCode::UPGRADE_REQUIRED, "sec-websocket-version");
        assert_eq!(version.as_deref(), Some("13"));
        assert_eq!(
            header(StatusCode::METHOD_NOT_ALLOWED, "allow").as_deref(),
            Some("GET")
        );
        assert_eq!(
            header(StatusCode::SERVICE_UNAVAILABLE, "retry-after").as_deref(),
            Some("1")
        );
        assert_eq!(
            header(StatusCode::FORBIDDEN, "connection").as_deref(),
            Some("close")
        );
    }
}
