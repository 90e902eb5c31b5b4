//! The page as it is served: in one piece, with a policy that lets nothing else run.

use axum::body::Body;
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use ring::digest::{SHA256, digest};

/// A page with its style and its script.
pub(super) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    /// What the application does.
    pub(super) fn state() -> Self {
        Self::of(include_str!("page.html"), include_str!("page.js"))
    }

    /// Asks for the token.
    pub(super) fn login() -> Self {
        Self::of(include_str!("login.html"), include_str!("login.js"))
    }

    fn of(html: &str, script: &str) -> Self {
        let style = include_str!("page.css");
        let html = html.replace("{style}", style).replace("{script}", script);
        // Style and script are known by their digests: whatever else gets into the page is not run.
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            digest_of(style),
            digest_of(script),
        );
        Self {
            html: html.into(),
            policy: policy.try_into().expect("ASCII"),
        }
    }

    pub(super) fn response(&self, status: StatusCode) -> Response {
        let mut response = guarded(Response::new(Body::from(self.html.clone())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

fn digest_of(text: &str) -> String {
    format!(
        "'sha256-{}'",
        BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()))
    )
}

/// What every answer has: nobody keeps it, nobody guesses its type, and no other site learns that it was looked at.
pub(super) fn guarded(mut response: Response) -> Response {
    let fields = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` a browser would not say where a post comes from either.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fields {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
