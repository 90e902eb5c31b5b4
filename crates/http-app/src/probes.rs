//! `/healthz` and `/readyz`: whether the process lives, and whether it wants more work.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use core_executor::ShutdownSignal;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::bodies::error_response;
use crate::openapi::Described;
use crate::stop::StopHandle;
use crate::timeout::RequestTimeout;

/// An answer about this moment is no answer about another.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Whether an application wants more work: nobody has asked for a stop.
#[derive(Clone, Default)]
pub(crate) struct Readiness {
    /// The application's own wish, and those of the applications it goes with.
    stops: Vec<StopHandle>,
    /// The executor's, known when the application listens.
    signal: Arc<OnceLock<ShutdownSignal>>,
}

impl Readiness {
    pub(crate) fn also_hears(&mut self, stop: StopHandle) {
        self.stops.push(stop);
    }

    /// From here on the executor's wish counts too.
    pub(crate) fn hears(&self, signal: ShutdownSignal) {
        // Once: an application listens once.
        let _ = self.signal.set(signal);
    }

    fn is_ready(&self) -> bool {
        let asked = self.stops.iter().any(StopHandle::is_requested);
        !asked && !self.signal.get().is_some_and(ShutdownSignal::is_requested)
    }
}

/// The two routes.
pub(crate) fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { fine("alive") }))
        .route(
            "/readyz",
            get(move || {
                let ready = readiness.is_ready();
                async move { if ready { fine("ready") } else { draining() } }
            }),
        )
        .layer(RequestTimeout::off())
}

/// What they are in the OpenAPI document.
pub(crate) fn described() -> Vec<Described> {
    let answer = |status: &str| {
        json!({
            "description": format!("It is {status}."),
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["status"],
                "properties": { "status": { "const": status } }
            } } }
        })
    };
    let probe = |path: &str, summary: &str, status: &str| Described {
        method: Method::GET,
        path: path.to_owned(),
        operation: json!({ "summary": summary, "responses": { "200": answer(status) } }),
    };
    vec![
        probe("/healthz", "Whether the process serves requests", "alive"),
        probe(
            "/readyz",
            "Whether more work is welcome: 503 from the wish to stop on",
            "ready",
        ),
    ]
}

fn fine(status: &'static str) -> Response {
    let body = format!(r#"{{"status":"{status}"}}"#);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    (headers, body).into_response()
}

fn draining() -> Response {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, "a stop was asked for");
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}
