//! The pages of the examples.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, get};

/// A page at `/`, and beside it the style and the script that all of them share.
pub fn page(html: &'static str) -> Router {
    Router::new()
        .route("/", text("text/html", html))
        .route("/page.css", text("text/css", include_str!("../page/page.css")))
        .route(
            "/page.js",
            text("text/javascript", include_str!("../page/page.js")),
        )
}

fn text(kind: &'static str, text: &'static str) -> MethodRouter {
    get(move || async move { ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text) })
}
