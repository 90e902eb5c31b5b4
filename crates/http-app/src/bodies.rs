//! The bodies of answers the application gives by itself: 404, 405 and every other error.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use core_executor::ConnectionInfo;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// No error body is longer, so that what a client sent is never thrown back at it in bulk.
const LONGEST_BODY: usize = 200;

/// Longest part of an unknown method that is repeated.
const LONGEST_METHOD: usize = 32;

/// An answer with the JSON body `{"message": …}`, as every error of an [`App`](crate::App) has it.
///
/// A message that would make the body longer than 200 bytes is cut.
///
/// ```
/// let refusal = http_app::error_response(http::StatusCode::CONFLICT, "the name is taken");
/// assert_eq!(refusal.status(), 409);
/// ```
pub fn error_response(status: StatusCode, message: &str) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        message: &'a str,
    }
    json_answer(status, fitted(message, |message| to_json(&Body { message })))
}

/// 404 for a request that no route, file or fallback took.
pub(crate) async fn route_not_found(request: Request) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'static str,
        method: &'a str,
        path: &'a str,
    }
    // Below a nested prefix the request's own URI has lost it; the client knows the full one.
    let target = ConnectionInfo::target_of(request.uri(), request.extensions());
    let path = target.map_or("", PathAndQuery::path);
    let method = cut(request.method().as_str(), LONGEST_METHOD);
    let body = fitted(path, |path| {
        to_json(&Body {
            error: "Route not found",
            method,
            path,
        })
    });
    json_answer(StatusCode::NOT_FOUND, body)
}

/// 405; the router adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

fn json_answer(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Cuts `text` until what `render` makes of it fits: escaping may make a text longer, never shorter.
fn fitted(text: &str, render: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut kept = cut(text, LONGEST_BODY);
    loop {
        let body = render(kept);
        let excess = body.len().saturating_sub(LONGEST_BODY);
        if excess == 0 || kept.is_empty() {
            return body;
        }
        // One source byte becomes six at most (`\u001f`), so this never cuts more than needed by much.
        kept = cut(kept, kept.len() - excess.div_ceil(6).max(1).min(kept.len()));
    }
}

fn cut(text: &str, longest: usize) -> &str {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a struct of strings is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Vec<u8> {
        fitted(text, |text| to_json(&serde_json::json!({ "message": text })))
    }

    #[test]
    fn short_text_is_kept_whole() {
        assert_eq!(rendered("all of it"), br#"{"message":"all of it"}"#);
    }

    #[test]
    fn long_text_fills_the_bound_and_no_more() {
        for text in [
            "a".repeat(10_000),
            "\u{1f}".repeat(10_000),
            "é\"\\".repeat(5_000),
            "𝄞".repeat(3_000),
        ] {
            let body = rendered(&text);
            assert!(
                body.len() <= LONGEST_BODY && body.len() > LONGEST_BODY - 12,
                "{}",
                body.len()
            );
            serde_json::from_slice::<serde_json::Value>(&body).expect("still JSON");
        }
    }
}
