//! Which answers are compressed, and what that does to their `ETag`.

use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

/// A smaller body is not worth the work: it fits into one packet as it is.
const SMALLEST: u64 = 1024;

type Rule = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// gzip for what is text; streams of events, pictures, archives and small bodies go as they are.
pub(crate) fn layer() -> CompressionLayer<And<SizeAbove, Rule>> {
    let rule: Rule = |_, _, headers, _| is_compressible(headers);
    CompressionLayer::new().compress_when(SizeAbove::new(SMALLEST).and(rule))
}

/// The bytes are not those that the strong `ETag` stands for any more, so it becomes a weak one (RFC 9110 §8.8.3.3).
pub(crate) fn weaken_etag(mut response: Response) -> Response {
    if !response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let strong = response.headers().get(header::ETAG);
    let weak = strong
        .filter(|tag| tag.as_bytes().starts_with(b"\""))
        .and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        response.headers_mut().insert(header::ETAG, weak);
    }
    response
}

fn is_compressible(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    // RFC 9110 §7.7: nobody on the way may change it.
    if text(header::CACHE_CONTROL)
        .to_ascii_lowercase()
        .contains("no-transform")
    {
        return false;
    }
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    match kind.split_once('/') {
        Some(("text", kind)) => kind != "event-stream",
        Some(("application", kind)) => {
            matches!(
                kind,
                "json" | "javascript" | "xml" | "wasm" | "x-ndjson" | "manifest+json"
            ) || kind.ends_with("+json")
                || kind.ends_with("+xml")
        }
        Some(("image", kind)) => kind == "svg+xml",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressible_and_the_rest_is_not() {
        for (kind, expected) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/CSS", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("text/event-stream; charset=utf-8", false),
            ("image/png", false),
            ("application/zip", false),
            ("application/octet-stream", false),
            ("font/woff2", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_compressible(&headers), expected, "{kind}");
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("private, No-Transform"),
            );
            assert!(!is_compressible(&headers), "{kind}");
        }
        assert!(!is_compressible(&HeaderMap::new()));
    }
}
