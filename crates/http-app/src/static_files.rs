//! Files of one directory, served by tower-http behind a check of what the path really names.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_service::Service;

use crate::bodies::error_response;
use crate::static_path::{Found, look_up};

/// The methods a file answers to.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET,HEAD");

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
}

impl StaticFiles {
    pub(crate) fn new(root: &Path, missing: Router) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let files = ServeDir::new(&root);
        Ok(Self { root, files, missing })
    }

    async fn answer(mut self, request: Request) -> Response {
        match look_up(&self.root, request.uri().path()).await {
            None => never_fails(self.missing.call(request).await),
            Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => method_not_allowed(),
            Some(Found::Directory) => to_trailing_slash(&request),
            // The mount point itself, without its slash, looks like a directory's path that has one.
            Some(Found::File) if lacks_slash(&request) => to_trailing_slash(&request),
            Some(Found::File) => never_fails(self.files.oneshot(request).await).map(Body::new),
        }
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

fn method_not_allowed() -> Response {
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}

fn lacks_slash(request: &Request) -> bool {
    request.uri().path() == "/" && !client_uri(request).path().ends_with('/')
}

/// Sends the client to the same path with a slash, so that the page's relative links work.
fn to_trailing_slash(request: &Request) -> Response {
    let location = with_slash(client_uri(request));
    let mut response = error_response(
        StatusCode::TEMPORARY_REDIRECT,
        "the directory's path ends in a slash",
    );
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The URI as the client sent it; below a mount point the request's own has lost that.
fn client_uri(request: &Request) -> &Uri {
    request
        .extensions()
        .get::<OriginalUri>()
        .map_or_else(|| request.uri(), |original| &original.0)
}

fn with_slash(uri: &Uri) -> String {
    match uri.query() {
        Some(query) => format!("{}/?{query}", uri.path()),
        None => format!("{}/", uri.path()),
    }
}

fn never_fails<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
