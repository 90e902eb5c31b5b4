//! Files of one directory, served by tower-http behind a check of what the path really names.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use core_executor::ConnectionInfo;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_service::Service;

use crate::bodies::error_response;
use crate::static_path::{Found, look_up};

/// The methods a file answers to.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET,HEAD");

/// The page of a single-page application.
const INDEX: &str = "/index.html";

/// One directory as a service.
///
/// The check and the opening are two steps: whoever may write to the directory while it is served is trusted.
#[derive(Clone)]
pub(crate) struct StaticFiles {
    /// Canonical, so that what a link leads to can be compared with it.
    root: PathBuf,
    files: ServeDir,
    /// Answers where there is no such file.
    missing: Router,
    /// Whether the root's `index.html` stands for the pages that the application in it makes by itself.
    is_spa: bool,
}

impl StaticFiles {
    pub(crate) fn new(root: &Path, missing: Router, is_spa: bool) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if is_spa {
            root.join("index.html").metadata()?;
        }
        let files = ServeDir::new(&root);
        Ok(Self {
            root,
            files,
            missing,
            is_spa,
        })
    }

    async fn answer(mut self, request: Request) -> Response {
        match look_up(&self.root, request.uri().path()).await {
            Found::Nothing if self.is_spa && wants_page(&request) => self.page(request).await,
            Found::Nothing | Found::Refused => never_fails(self.missing.call(request).await),
            _ if !is_reading(&request) => method_not_allowed(),
            Found::Directory => to_trailing_slash(&request),
            // The mount point itself, without its slash, looks like a directory's path that has one.
            Found::File if lacks_slash(&request) => to_trailing_slash(&request),
            Found::File => {
                let request = self.without_stale_range(request).await;
                never_fails(self.files.oneshot(request).await).map(Body::new)
            }
        }
    }

    /// Takes the range out of a request that wants it of another file than there is now (RFC 9110 §13.1.5), which
    /// tower-http does not look at: a download that goes on would get the end of something else.
    async fn without_stale_range(&self, mut request: Request) -> Request {
        let headers = request.headers_mut();
        // RFC 9110 §14.2: a unit that is not known is as good as none.
        let unit = headers
            .get(header::RANGE)
            .and_then(|range| range.as_bytes().get(..6));
        if unit.is_some_and(|unit| !unit.eq_ignore_ascii_case(b"bytes=")) {
            headers.remove(header::RANGE);
        }
        let (Some(wanted), true) = (
            headers.remove(header::IF_RANGE),
            headers.contains_key(header::RANGE),
        ) else {
            return request;
        };
        let mut look = Request::new(Body::empty());
        *look.method_mut() = Method::HEAD;
        *look.uri_mut() = request.uri().clone();
        let current = never_fails(self.files.clone().oneshot(look).await);
        // Only a strong tag or the exact date: what begins with `W/` is neither.
        let is_current = [header::ETAG, header::LAST_MODIFIED]
            .iter()
            .any(|name| current.headers().get(name) == Some(&wanted));
        if !is_current {
            request.headers_mut().remove(header::RANGE);
        }
        request
    }

    /// The page of a single-page application, for whatever path.
    async fn page(mut self, mut request: Request) -> Response {
        if look_up(&self.root, INDEX).await != Found::File {
            return never_fails(self.missing.call(request).await);
        }
        *request.uri_mut() = Uri::from_static(INDEX);
        let mut response = never_fails(self.files.oneshot(request).await).map(Body::new);
        // It names the other files, so it has to be asked for again after each deploy.
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

impl Service<Request> for StaticFiles {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let files = self.clone();
        Box::pin(async move { Ok(files.answer(request).await) })
    }
}

fn is_reading(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Whether a browser asks for a page, not for one of its files and not for data.
fn wants_page(request: &Request) -> bool {
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    let mut accepted = request.headers().get_all(header::ACCEPT).iter().peekable();
    let is_anything = accepted.peek().is_none();
    let mut kinds = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let takes_html = is_anything || kinds.any(|kind| matches!(kind, "text/html" | "*/*"));
    is_reading(request) && !last.contains('.') && takes_html
}

fn method_not_allowed() -> Response {
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}

fn lacks_slash(request: &Request) -> bool {
    request.uri().path() == "/" && client_target(request).is_some_and(|target| !target.path().ends_with('/'))
}

/// Sends the client to the same path with a slash, so that the page's relative links work.
fn to_trailing_slash(request: &Request) -> Response {
    let location = client_target(request).map_or_else(|| "/".to_owned(), with_slash);
    let mut response = error_response(
        StatusCode::TEMPORARY_REDIRECT,
        "the directory's path ends in a slash",
    );
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Path and query as the client sent them; below a mount point the request's own have lost that.
fn client_target(request: &Request) -> Option<&PathAndQuery> {
    ConnectionInfo::target_of(request.uri(), request.extensions())
}

fn with_slash(target: &PathAndQuery) -> String {
    match target.query() {
        Some(query) => format!("{}/?{query}", target.path()),
        None => format!("{}/", target.path()),
    }
}

fn never_fails<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
