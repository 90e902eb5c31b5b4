//! The address of the client, for handlers.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use core_executor::ConnectionInfo;
use http::StatusCode;
use http::request::Parts;

/// Who sent the request: an extractor.
///
/// The other end of the connection or, when that is one of `SERVER_TRUSTED_PROXIES`, the client it forwards for; then
/// the port is 0 where the proxy does not tell it. (`ConnectInfo<SocketAddr>` is always the other end.) Under a server
/// that is not ours it is what `ConnectInfo<SocketAddr>` says, and without that the request is answered with 500;
/// `Option<ClientAddr>` is `None` then.
///
/// ```
/// use axum::routing::get;
/// use http_app::{App, AppConfig, ClientAddr};
///
/// let app = App::new(AppConfig::default())
///     .route("/whoami", get(|ClientAddr(client): ClientAddr| async move { client.ip().to_string() }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "handlers take it apart among their arguments"
)]
pub struct ClientAddr(pub SocketAddr);

impl ClientAddr {
    fn of(parts: &Parts) -> Option<Self> {
        let info = parts.extensions.get::<ConnectionInfo>();
        let client = info.map(|info| info.client_addr);
        let connected = || {
            parts
                .extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|info| info.0)
        };
        client.or_else(connected).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        Self::of(parts).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ClientAddr {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(parts))
    }
}
