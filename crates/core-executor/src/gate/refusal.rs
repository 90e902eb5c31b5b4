//! Why a request is refused, and the answer that says so.

use crate::{CloseReason, RefusedFor};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::time::SystemTime;

/// The answer to a request that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    message: &'static str,
    pub(crate) counted: RefusedFor,
    pub(crate) reason: CloseReason,
}

impl Refusal {
    /// 400: not HTTP as the RFCs have it.
    pub(crate) const fn bad(message: &'static str) -> Self {
        Self::malformed(StatusCode::BAD_REQUEST, message)
    }

    /// 501: a transfer coding that nobody here knows (RFC 9112 §6.1).
    pub(crate) const fn unknown_coding() -> Self {
        Self::malformed(StatusCode::NOT_IMPLEMENTED, "transfer coding not supported")
    }

    /// 505: another version of HTTP.
    pub(crate) const fn version() -> Self {
        Self::malformed(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "HTTP version not supported",
        )
    }

    /// 431: the head or the trailer section is too long.
    pub(crate) const fn head_too_long() -> Self {
        Self::too_much(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "header too long",
            RefusedFor::HeadSize,
        )
    }

    /// 414: the head is too long and its first line is not over (RFC 9112 §3).
    pub(crate) const fn target_too_long() -> Self {
        Self::too_much(
            StatusCode::URI_TOO_LONG,
            "request target too long",
            RefusedFor::HeadSize,
        )
    }

    /// 431: too many fields.
    pub(crate) const fn too_many_fields() -> Self {
        Self::too_much(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too many header fields",
            RefusedFor::HeaderCount,
        )
    }

    /// 408: the head did not come in time.
    pub(crate) const fn late_head() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            message: "request head not received in time",
            counted: RefusedFor::HeadTimeout,
            reason: CloseReason::HeadTimeout,
        }
    }

    /// 408: the body stopped coming.
    pub(crate) const fn stalled_body() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            message: "request body not received in time",
            counted: RefusedFor::BodyStall,
            reason: CloseReason::BodyStalled,
        }
    }

    const fn malformed(status: StatusCode, message: &'static str) -> Self {
        Self {
            status,
            message,
            counted: RefusedFor::Malformed,
            reason: CloseReason::BadRequest,
        }
    }

    const fn too_much(status: StatusCode, message: &'static str, counted: RefusedFor) -> Self {
        Self {
            status,
            message,
            counted,
            reason: CloseReason::HeadTooLarge,
        }
    }

    /// The body of the answer: `{"message":…}`. The texts above need no escape.
    pub(crate) fn body(&self) -> String {
        format!(r#"{{"message":"{}"}}"#, self.message)
    }

    /// The answer that ends its connection, for hyper to write.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = self.answer();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }

    /// The answer that ends nothing but its stream.
    pub(crate) fn answer(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// The answer as it goes over the wire.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let body = self.body();
        write!(
            out,
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n\r\n{body}",
            self.status,
            body.len(),
            httpdate::fmt_http_date(SystemTime::now()),
        )
        .expect("a vector takes every byte");
    }
}
