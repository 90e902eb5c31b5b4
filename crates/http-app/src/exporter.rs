//! The metrics page: a listener of its own or a route of an application.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use prometheus::{Registry, TextEncoder};

use crate::app::App;
use crate::bodies::error_response;
use crate::config::{AppConfig, MetricsConfig};
use crate::error::AppError;

/// What Prometheus calls its text format.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Longest part of a wrong prefix an error repeats.
const SHOWN: usize = 64;

impl MetricsConfig {
    /// An empty registry that puts [`prefix`](Self::prefix) in front of every name.
    ///
    /// # Errors
    /// [`AppError::MetricsPrefix`] when the prefix cannot start a metric's name.
    pub fn registry(&self) -> Result<Registry, AppError> {
        if self.prefix.is_empty() {
            return Ok(Registry::new());
        }
        let wrong = || AppError::MetricsPrefix {
            prefix: self.prefix.chars().take(SHOWN).collect(),
        };
        if !starts_a_name(&self.prefix) {
            return Err(wrong());
        }
        Registry::new_custom(Some(self.prefix.clone()), None).map_err(|_| wrong())
    }
}

fn starts_a_name(prefix: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    prefix.bytes().all(allowed) && !prefix.starts_with(|first: char| first.is_ascii_digit())
}

/// An application that answers `/metrics` at the configured address and nothing else. Its connections are outside of
/// `SERVER_MAX_CONNECTIONS`.
///
/// ```
/// use http_app::{MetricsConfig, metrics_app};
///
/// let config = MetricsConfig { port: 0, prefix: "vix".to_owned(), ..MetricsConfig::default() };
/// let exporter = metrics_app(config.clone(), config.registry()?);
/// # Ok::<(), http_app::AppError>(())
/// ```
pub fn metrics_app(config: MetricsConfig, registry: Registry) -> App {
    let MetricsConfig {
        host,
        port,
        prefix: _,
    } = config;
    App::new(AppConfig {
        host,
        port,
        ..AppConfig::default()
    })
    .named("metrics")
    .outside_connection_budget()
    .merge(metrics_router(registry))
}

/// The route `/metrics`, to be merged into any router or [`App`].
pub fn metrics_router<S>(registry: Registry) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new().route("/metrics", get(move || std::future::ready(page(&registry))))
}

fn page(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written as text");
            error_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics cannot be written as text",
            )
        }
    }
}
