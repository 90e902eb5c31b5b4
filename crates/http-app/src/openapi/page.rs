//! `/openapi.json` and `/docs`: the document, and a page that shows it with nothing from elsewhere.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::{HeaderValue, header};

/// The page may load what is ours and talk to us, and nobody may put it into a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// The four routes.
pub(crate) fn router(document: Vec<u8>) -> Router {
    Router::new()
        .route("/openapi.json", fixed("application/json", document.into()))
        .route(
            "/docs",
            fixed("text/html; charset=utf-8", text(include_str!("page.html"))),
        )
        .route(
            "/docs/page.js",
            fixed("text/javascript; charset=utf-8", text(include_str!("page.js"))),
        )
        .route(
            "/docs/page.css",
            fixed("text/css; charset=utf-8", text(include_str!("page.css"))),
        )
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn fixed(content_type: &'static str, body: Bytes) -> MethodRouter {
    get(move || {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        std::future::ready((headers, body.clone()).into_response())
    })
}
