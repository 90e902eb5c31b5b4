//! The service every request enters: counts it, refuses what is too large, and hands the rest to the router.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use core_executor::{ClientGone, ConnectionInfo, WorkLabel, read_clock};
use http::{HeaderValue, Request, StatusCode, header};
use http_body::Body as HttpBody;
use tower_service::Service;

use crate::answering::Answering;
use crate::bodies::error_response;
use crate::config::Waf;
use crate::detached::Detached;
use crate::limits::{capped, declares_more_than, target_len};
use crate::metrics::{HttpMetrics, Limit};
use crate::route_names::RouteNames;
use crate::route_times::RouteTimes;
use crate::ticket::Ticket;
use crate::visit::{Visit, Wanted};

/// What holds for every request of one application.
pub(crate) struct Rules {
    pub(crate) waf: Waf,
    /// Zero = off.
    pub(crate) request_timeout: Duration,
    pub(crate) wanted: Wanted,
    pub(crate) metrics: HttpMetrics,
    pub(crate) detached: Detached,
    /// Says what a worker is at.
    pub(crate) label: WorkLabel,
    pub(crate) names: Arc<RouteNames>,
    /// Where the times of each route are counted, when they are.
    pub(crate) times: Option<RouteTimes>,
}

/// The whole application as one service; core-executor clones it for every connection.
pub(crate) struct AppService {
    router: Router,
    rules: Arc<Rules>,
    /// Of the last request of this connection.
    ticket: Option<Arc<Ticket>>,
}

/// For another connection.
impl Clone for AppService {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
            rules: Arc::clone(&self.rules),
            ticket: None,
        }
    }
}

impl AppService {
    pub(crate) fn new(router: Router, rules: Rules) -> Self {
        Self {
            router,
            rules: Arc::new(rules),
            ticket: None,
        }
    }

    fn refusal<B: HttpBody>(&self, request: &Request<B>) -> Option<Response> {
        let Rules { waf, metrics, .. } = &*self.rules;
        if waf
            .target_limit()
            .is_some_and(|limit| target_len(request.uri()) > limit)
        {
            metrics.limited(Limit::Target);
            return Some(error_response(
                StatusCode::URI_TOO_LONG,
                "the request target is too long",
            ));
        }
        if waf
            .body_limit()
            .is_some_and(|limit| declares_more_than(limit, request.body()))
        {
            metrics.limited(Limit::Body);
            return Some(body_too_large());
        }
        None
    }

    /// The notes of a request, and where further layers find them.
    fn ticket<B>(&mut self, request: &mut Request<B>) -> Arc<Ticket> {
        // Beside the request for a moment, so that they are looked into once.
        let mut extensions = std::mem::take(request.extensions_mut());
        let line = |before| line_of(before, request);
        let ticket = match extensions.get_mut::<ConnectionInfo>() {
            Some(info) => {
                let ticket = Ticket::renewed(&mut self.ticket, &self.rules, &info.client_gone, line);
                info.leave_notes(ticket.clone());
                ticket
            }
            None => Arc::new(Ticket::new(
                Arc::clone(&self.rules),
                ClientGone::never(),
                line(Vec::new()),
            )),
        };
        *request.extensions_mut() = extensions;
        ticket
    }

    fn admit<B>(&mut self, request: Request<B>, begun: Begun) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let limit = self.rules.waf.body_limit();
        let has_body = !request.body().is_end_stream();
        let mut request = request.map(|body| capped(body, limit, &begun.ticket));
        if has_body {
            // axum's own limit of 2 MiB would bite where `WAF_*` says that more is welcome.
            DefaultBodyLimit::disable().apply(&mut request);
        }
        Answering::awaited(self.router.call(request), begun)
    }
}

impl<B> Service<Request<B>> for AppService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Answering {
        let mut begun = Begun::now(self.ticket(&mut request));
        begun.visit = Visit::begin(self.rules.wanted, begun.ticket.arrived(), &mut request);
        match self.refusal(&request) {
            Some(response) => Answering::known(response, begun),
            None => self.admit(request, begun),
        }
    }
}

/// Method and path of a request, from which its route can be told, in the memory of another such line.
fn line_of<B>(mut line: Vec<u8>, request: &Request<B>) -> Vec<u8> {
    let path = request.uri().path().as_bytes();
    line.clear();
    line.extend_from_slice(request.method().as_str().as_bytes());
    line.push(b' ');
    line.extend_from_slice(&path[..path.len().min(LONGEST_LINE)]);
    line
}

/// Bytes that are kept of a path in order to tell its route.
const LONGEST_LINE: usize = 240;

/// A request under way: counted as in flight until it is answered, and as abandoned when it never is.
pub(crate) struct Begun {
    pub(crate) ticket: Arc<Ticket>,
    answered: bool,
    /// Absent where nobody wants ids or an access log.
    visit: Option<Box<Visit>>,
}

impl Begun {
    fn now(ticket: Arc<Ticket>) -> Self {
        ticket.rules().metrics.began();
        Self {
            ticket,
            answered: false,
            visit: None,
        }
    }

    /// Counts the answer and completes it.
    pub(crate) fn answer(&mut self, response: Response) -> Response {
        self.answered = true;
        let now = read_clock().into_std();
        let took = now.saturating_duration_since(self.ticket.arrived());
        self.metrics().answered(response.status(), took);
        if let Some(times) = &self.ticket.rules().times {
            times.answered(self.ticket.place_of_route(), took);
        }
        match self.visit.take() {
            Some(visit) => visit.end(response),
            None => response,
        }
    }

    pub(crate) fn metrics(&self) -> &HttpMetrics {
        &self.ticket.rules().metrics
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.metrics().abandoned();
        let client = self.ticket.client();
        if client.is_gone() {
            self.metrics().client_gone(self.ticket.policy());
        } else if client.is_cut() {
            self.ticket.note_unfinished();
        }
    }
}

/// Counts and logs a panic in a handler or in middleware.
pub(crate) fn note_panic(metrics: &HttpMetrics, panic: &(dyn std::any::Any + Send)) {
    metrics.panicked();
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    // `?` escapes control bytes: a panic text may carry what a client sent.
    tracing::error!(panic = ?text.unwrap_or("not a text"), "a handler panicked");
}

/// 413. The rest of the body is not wanted, so the connection ends with the answer.
pub(crate) fn body_too_large() -> Response {
    let mut response = error_response(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large");
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 500 for a panic.
pub(crate) fn internal_error() -> Response {
    error_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// 503 for a request whose handler would be one detached handler too many.
pub(crate) fn too_many_detached() -> Response {
    error_response(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many requests of this kind run",
    )
}

/// 503 for a request whose time is up.
pub(crate) fn timed_out() -> Response {
    error_response(StatusCode::SERVICE_UNAVAILABLE, "the request took too long")
}
