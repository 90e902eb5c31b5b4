//! What an HTTP client is told when it does not get what it asked for: a status and `{"error":text}`, at most 200
//! bytes.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use ws_server::ResumeError;

/// Seconds after which there may be a free mailbox, a place to wait, or a server that runs.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAttached,
    /// The WebSocket server does not take requests now, or its Origin rule or `authorize` hook said no.
    Denied(ws_server::Refusal),
    Query,
    Max,
    MailboxName,
    /// A mailbox named by the client, which are not served.
    MailboxesClosed,
    /// An id in the form the server gives them, which it did not give or has forgotten.
    UnknownMailbox,
    TooManyMailboxes,
    TooManyWaiting,
    MethodNotAllowed,
    BodyTooLarge,
    BodyTooSlow,
    BodyUnreadable,
    InvalidJson,
    NotAnObject,
    MissingType,
    /// A field has the wrong type.
    WrongType {
        field: &'static str,
        expected: &'static str,
    },
    /// A field comes twice.
    Duplicate {
        field: &'static str,
    },
    TooDeep,
    HandlersTooSlow,
    HandlerPanicked,
    NotRunning,
    /// No session is named where one has to be.
    NoSession,
    Cursor,
    RequestNumber,
    /// A body that is not what the lossless form sends.
    Sent,
    NotInARow,
    MessageTooLarge,
    CloseWish,
    /// Another transport has taken the session over.
    Replaced,
    /// The session does not go on with this request.
    Resume(ResumeError),
}

/// Why requests are refused, as far as it is counted: the values of a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Closed,
    Denied,
    Failed,
    Full,
    Late,
    Malformed,
    NotAttached,
    TooLarge,
    Unknown,
}

impl Reason {
    pub(crate) const ALL: [Self; 9] = [
        Self::Closed,
        Self::Denied,
        Self::Failed,
        Self::Full,
        Self::Late,
        Self::Malformed,
        Self::NotAttached,
        Self::TooLarge,
        Self::Unknown,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Full => "full",
            Self::Late => "late",
            Self::Malformed => "malformed",
            Self::NotAttached => "not_attached",
            Self::TooLarge => "too_large",
            Self::Unknown => "unknown",
        }
    }
}

impl Refusal {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::NotAttached => Reason::NotAttached,
            Self::Denied(_) => Reason::Denied,
            Self::MailboxesClosed => Reason::Closed,
            Self::UnknownMailbox => Reason::Unknown,
            Self::Replaced => Reason::Late,
            Self::Resume(error) => match error.status() {
                StatusCode::BAD_REQUEST => Reason::Malformed,
                StatusCode::CONFLICT => Reason::Late,
                _ => Reason::Unknown,
            },
            Self::TooManyMailboxes | Self::TooManyWaiting => Reason::Full,
            Self::BodyTooLarge | Self::MessageTooLarge => Reason::TooLarge,
            Self::BodyTooSlow
            | Self::BodyUnreadable
            | Self::HandlersTooSlow
            | Self::HandlerPanicked
            | Self::NotRunning => Reason::Failed,
            Self::Query
            | Self::Max
            | Self::MailboxName
            | Self::MethodNotAllowed
            | Self::InvalidJson
            | Self::NotAnObject
            | Self::MissingType
            | Self::WrongType { .. }
            | Self::Duplicate { .. }
            | Self::NoSession
            | Self::Cursor
            | Self::RequestNumber
            | Self::Sent
            | Self::NotInARow
            | Self::CloseWish
            | Self::TooDeep => Reason::Malformed,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAttached
            | Self::TooManyMailboxes
            | Self::TooManyWaiting
            | Self::HandlersTooSlow
            | Self::NotRunning => StatusCode::SERVICE_UNAVAILABLE,
            Self::Denied(refusal) => refusal.status(),
            Self::MailboxesClosed => StatusCode::FORBIDDEN,
            Self::UnknownMailbox => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge | Self::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Replaced => StatusCode::CONFLICT,
            Self::Resume(error) => error.status(),
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HandlerPanicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Query
            | Self::Max
            | Self::MailboxName
            | Self::BodyUnreadable
            | Self::InvalidJson
            | Self::NotAnObject
            | Self::MissingType
            | Self::WrongType { .. }
            | Self::Duplicate { .. }
            | Self::NoSession
            | Self::Cursor
            | Self::RequestNumber
            | Self::Sent
            | Self::NotInARow
            | Self::CloseWish
            | Self::TooDeep => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        let fixed = match self {
            Self::WrongType { field, expected } => return format!("'{field}' must be {expected}").into(),
            Self::Duplicate { field } => return format!("'{field}' comes twice").into(),
            Self::Resume(error) => return error.to_string().into(),
            Self::NoSession => "name the session in the header Longpoll-Session",
            Self::Cursor => "'cursor' must be a whole number",
            Self::RequestNumber => "'request' must be a whole number from 1",
            Self::Sent => "the body must be numbered messages and a cursor",
            Self::NotInARow => "the messages are not in the order of their numbers",
            Self::MessageTooLarge => "a message is too large",
            Self::CloseWish => "the code must be 1000 or 3000 to 4999, the reason at most 123 bytes",
            Self::Replaced => "another transport has taken the session over",
            Self::NotAttached => "long-polling bridge not attached",
            // The server's own words are in its own answer.
            Self::Denied(_) => "refused",
            Self::Query => "invalid query",
            Self::Max => "'max' must be a whole number",
            Self::MailboxName => "malformed session_id or room",
            Self::MailboxesClosed => {
                "mailboxes named by clients are not served here; LONGPOLL_OPEN_MAILBOXES=true opens them"
            }
            Self::UnknownMailbox => "unknown session_id",
            Self::TooManyMailboxes => "too many mailboxes, try again later",
            Self::TooManyWaiting => "too many polls are waiting, try again later",
            Self::MethodNotAllowed => "method not allowed",
            Self::BodyTooLarge => "request body too large",
            Self::BodyTooSlow => "the request body did not come in time",
            Self::BodyUnreadable => "the request body could not be read",
            Self::InvalidJson => "invalid JSON body",
            Self::NotAnObject => "JSON body must be an object",
            Self::MissingType => "missing 'type' field",
            Self::TooDeep => "JSON body is nested too deeply",
            Self::HandlersTooSlow => "the request was not handled in time",
            Self::HandlerPanicked => "a handler failed",
            Self::NotRunning => "the WebSocket server is not running",
        };
        fixed.into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = match &self {
            Self::Denied(refusal) => refusal.body(),
            ours => error_body(&ours.text()),
        };
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let is_busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        if is_busy.contains(&self.status()) {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self == Self::MethodNotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

fn error_body(text: &str) -> String {
    serde_json::to_string(&ErrorBody { error: text }).expect("a string always serialises")
}

#[cfg(test)]
mod tests {
    use super::{Refusal, error_body};

    #[test]
    fn no_body_is_long() {
        let refusals = [
            Refusal::MailboxesClosed,
            Refusal::NotAttached,
            Refusal::WrongType {
                field: "session_id",
                expected: "an object",
            },
            Refusal::TooManyWaiting,
        ];
        for refusal in refusals {
            let body = error_body(&refusal.text());
            assert!(body.starts_with(r#"{"error":""#) && body.len() <= 200, "{body}");
        }
    }
}
