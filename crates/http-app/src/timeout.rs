//! The time a request may take, and how a route says otherwise.

use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::ticket::Ticket;

/// A layer for single routes that replaces [`AppConfig::request_timeout`](crate::AppConfig::request_timeout).
///
/// The time is counted from the request's arrival at the application, middleware included, to the head of the
/// answer; a streaming body may take as long as it likes. The innermost layer wins. Outside an
/// [`App`](crate::App) the layer has no effect.
///
/// ```
/// use std::time::Duration;
/// use axum::routing::get;
/// use http_app::{App, AppConfig, RequestTimeout};
///
/// let app = App::new(AppConfig::default())
///     .route("/report", get(|| async { "…" }).layer(RequestTimeout::after(Duration::from_secs(30))))
///     .route("/wait", get(|| async { "…" }).layer(RequestTimeout::off()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it has no effect until a route has it as a layer"]
pub struct RequestTimeout {
    limit: Duration,
}

impl RequestTimeout {
    /// The route has this long; zero means no limit, as in the configuration.
    pub const fn after(limit: Duration) -> Self {
        Self { limit }
    }

    /// The route may take as long as it likes: long polls, event streams, upgrades.
    pub const fn off() -> Self {
        Self {
            limit: Duration::ZERO,
        }
    }
}

impl<S> Layer<S> for RequestTimeout {
    type Service = RequestTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestTimeoutService {
            inner,
            limit: self.limit,
        }
    }
}

/// What [`RequestTimeout`] makes of a service.
#[derive(Clone, Debug)]
pub struct RequestTimeoutService<S> {
    inner: S,
    limit: Duration,
}

impl<S, B> Service<Request<B>> for RequestTimeoutService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(ticket) = Ticket::of(request.extensions()) {
            ticket.set_limit(self.limit);
        }
        self.inner.call(request)
    }
}
