//! What every request of an application passes before its routes.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::Route;
use tower::util::MapResponseLayer;
use tower_http::request_id::RequestId;
use tower_http::trace::TraceLayer;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

use super::App;
use crate::error::AppError;
use crate::{compression, cors};

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Wraps the whole application in middleware: routes given before and after, 404, 405 and static files.
    ///
    /// The last layer given is the outermost. Limits on target and body, the request timeout, panics and metrics
    /// are outside of all of them.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |router| router.layer(layer)));
        self
    }

    /// Compresses answers with gzip for clients that accept it: text, JSON, XML, JavaScript, WebAssembly and SVG of at
    /// least 1024 bytes or of unknown length. Streams of events, answers that are encoded already, ranges, and those
    /// with `Cache-Control: no-transform` go as they are. A strong `ETag` becomes a weak one.
    ///
    /// An ordinary [`layer`](Self::layer) at this place; other algorithms and rules are a layer of your own:
    /// `tower_http::compression::CompressionLayer`. An answer that has a secret and echoes what a client sent should
    /// not be compressed (BREACH): give it `no-transform`.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).compression();
    /// ```
    pub fn compression(self) -> Self {
        self.layer(compression::layer())
            .layer(MapResponseLayer::new(compression::weaken_etag))
    }

    /// Lets pages of these origins (`https://example.org`, or `*` for every one) call the application and read its
    /// answers: methods `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`; headers `Accept`, `Authorization`,
    /// `Content-Type`, `x-request-id`; no cookies; remembered for 10 minutes. Preflights are answered here.
    ///
    /// An ordinary [`layer`](Self::layer) at this place; other rules are a layer of your own:
    /// `tower_http::cors::CorsLayer`. WebSocket has a rule of its own, which this does not touch. What a limit of the
    /// application refuses (413, 414, 503) has no such headers.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).cors(["https://example.org", "http://localhost:5173"]);
    /// ```
    ///
    /// A text that is no origin is [`AppError::Origin`](crate::AppError::Origin) when the application is bound.
    pub fn cors<'a>(self, origins: impl IntoIterator<Item = &'a str>) -> Self {
        let origins: Vec<_> = origins.into_iter().map(str::to_owned).collect();
        match cors::layer(&origins) {
            Ok(layer) => self.layer(layer),
            Err(problem) => self.with_problem(problem),
        }
    }

    /// Gives every request an id: the one of its `x-request-id` when that is 1 to 128 letters, digits and
    /// `- _ . : + / = @`, a random UUID else. It replaces the request's header, is an extension
    /// (`tower_http::request_id::RequestId`) and comes back in the answer's header, refusals by limits included.
    ///
    /// Ids of your own making are a layer of your own: `tower_http::request_id::SetRequestIdLayer`.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).request_id();
    /// ```
    pub fn request_id(mut self) -> Self {
        self.wanted.request_id = true;
        self
    }

    /// Writes one line for each request at its end, with the target `http_app::access` at level `INFO`: method, path,
    /// status, milliseconds and bytes up to the end of the body, the client's address and, with
    /// [`request_id`](Self::request_id), the id.
    ///
    /// Refusals by limits and panics have their line too; 499 is a request whose client left before the answer. The
    /// query is never in it, because it may hold secrets, and neither is any header. Control characters are escaped,
    /// a path is cut after 512 bytes. What is no HTTP request at all is answered below the application and has none.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).request_id().access_log();
    /// ```
    pub fn access_log(mut self) -> Self {
        self.wanted.access_log = true;
        self
    }

    /// Runs everything inside a span `request` of level `INFO` with method, path and, with
    /// [`request_id`](Self::request_id), the id, so that what handlers log can be told apart. Outside of every other
    /// layer. Other spans are a layer of your own: `tower_http::trace::TraceLayer`.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).request_id().tracing().access_log();
    /// ```
    pub fn tracing(mut self) -> Self {
        self.spans = true;
        self
    }

    /// The first one is what the application is refused with when it is bound.
    fn with_problem(mut self, problem: AppError) -> Self {
        self.problem.get_or_insert(problem);
        self
    }
}

/// The span of one request, and no event: the access log has the line.
pub(super) fn in_spans(router: Router) -> Router {
    let spans = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(())
        .on_body_chunk(())
        .on_eos(())
        .on_failure(());
    router.layer(spans)
}

fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!(
        "request",
        method = ?request.method().as_str(),
        path = ?request.uri().path(),
        id = id.map(tracing::field::debug)
    )
}
