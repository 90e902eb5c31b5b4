//! Who may read our answers from a page of another origin (the Fetch standard, §3.3).

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::error::AppError;
use crate::request_id;

/// How long a browser may go by what it was told.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A layer for these origins; `*` alone is every one.
///
/// # Errors
/// [`AppError::Origin`] for a text that no browser would send.
pub(crate) fn layer(origins: &[String]) -> Result<CorsLayer, AppError> {
    let layer = CorsLayer::new()
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, request_id::HEADER])
        .expose_headers([request_id::HEADER])
        .max_age(REMEMBERED);
    if origins == ["*"] {
        return Ok(layer.allow_origin(Any));
    }
    let origins: Result<Vec<_>, _> = origins.iter().map(|origin| checked(origin)).collect();
    Ok(layer.allow_origin(AllowOrigin::list(origins?)))
}

/// `scheme://host` or `scheme://host:port` in lower case: the form browsers send (RFC 6454 §6.2).
fn checked(origin: &str) -> Result<HeaderValue, AppError> {
    let wrong = || AppError::Origin {
        origin: origin.chars().take(64).collect(),
    };
    let uri: Uri = origin.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    if format!("{scheme}://{authority}") != origin || origin != origin.to_ascii_lowercase() {
        return Err(wrong());
    }
    // No user, no pattern; what follows a colon is a port.
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let port = authority
        .as_str()
        .strip_prefix(authority.host())
        .ok_or_else(wrong)?;
    let is_port = port.is_empty() || port[1..].parse::<u16>().is_ok();
    if !authority.host().bytes().all(is_host) || !is_port {
        return Err(wrong());
    }
    HeaderValue::from_str(origin).map_err(|_| wrong())
}
