//! Routes, files and the fallback of an application.

use std::convert::Infallible;
use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use tower_layer::Layer;
use tower_service::Service;

use super::{App, Mount};
use crate::timeout::RequestTimeout;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Adds a route, path and handlers as in [`Router::route`].
    ///
    /// # Panics
    /// As axum: when the path is malformed or already taken for the same method.
    #[track_caller]
    pub fn route(mut self, path: &str, handlers: MethodRouter<S>) -> Self {
        self.router = self.router.route(path, handlers);
        self
    }

    /// Adds a route that no request timeout applies to: a long poll, an event stream, an upgrade.
    ///
    /// # Panics
    /// As [`route`](Self::route).
    #[track_caller]
    pub fn route_without_timeout(self, path: &str, handlers: MethodRouter<S>) -> Self {
        self.route(path, handlers.layer(RequestTimeout::off()))
    }

    /// Adds a route that any tower service answers, whatever the method. No request timeout applies to it: such a
    /// service is, for example, the upgrade of a WebSocket.
    ///
    /// ```
    /// use axum::body::Body;
    /// use axum::extract::Request;
    /// use axum::response::Response;
    /// use http_app::{App, AppConfig};
    ///
    /// let teapot = tower::service_fn(|_: Request| async {
    ///     let mut response = Response::new(Body::empty());
    ///     *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
    ///     Ok(response)
    /// });
    /// let app = App::new(AppConfig::default()).route_service("/tea", teapot);
    /// ```
    ///
    /// # Panics
    /// As [`route`](Self::route).
    #[track_caller]
    pub fn route_service<T>(mut self, path: &str, service: T) -> Self
    where
        T: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Response: IntoResponse,
        T::Future: Send + 'static,
    {
        let service = RequestTimeout::off().layer(service);
        self.router = self.router.route_service(path, service);
        self
    }

    /// Adds a router below `prefix`; a fallback of its own answers for its unknown paths.
    ///
    /// # Panics
    /// As axum: when the prefix is `/` or overlaps a route.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Router<S>) -> Self {
        self.router = self.router.nest(prefix, router);
        self
    }

    /// Adds routes below `prefix`, described in place.
    ///
    /// ```
    /// use axum::routing::get;
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default())
    ///     .group("/api/v1", |api| api.route("/users", get(|| async { "[]" })));
    /// ```
    ///
    /// # Panics
    /// As [`nest`](Self::nest).
    #[track_caller]
    pub fn group(self, prefix: &str, describe: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.nest(prefix, describe(Router::new()))
    }

    /// Adds all routes of any axum router. A fallback of its own is left behind: the application has one.
    ///
    /// A router whose own state is in place already fits every application:
    ///
    /// ```
    /// use axum::{Router, extract::State, routing::get};
    /// use http_app::{App, AppConfig};
    ///
    /// let finished: Router = Router::new()
    ///     .route("/greeting", get(|State(greeting): State<&'static str>| async move { greeting }))
    ///     .with_state("hello");
    /// let app = App::with_state(AppConfig::default(), 42_u32).merge(finished.with_state(()));
    /// ```
    ///
    /// # Panics
    /// As axum: when two routes overlap.
    #[track_caller]
    pub fn merge(mut self, router: Router<S>) -> Self {
        self.router = self.router.merge(router.reset_fallback());
        self
    }

    /// As [`merge`](Self::merge), for routes that no request timeout applies to.
    ///
    /// # Panics
    /// As [`merge`](Self::merge).
    #[track_caller]
    pub fn merge_without_timeout(self, router: Router<S>) -> Self {
        self.merge(router.layer(RequestTimeout::off()))
    }

    /// Answers for every path that no route or file takes, instead of the 404 with a JSON body. The last one counts.
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.fallback = Some(Box::new(move |router| router.fallback(handler)));
        self
    }

    /// Serves the regular files below `directory` under `prefix` (`/` for every path no route takes).
    ///
    /// `GET` and `HEAD`, with ranges, `ETag` and `Last-Modified` (304 for `If-None-Match` and `If-Modified-Since`); a
    /// directory answers with its `index.html`. Hidden files, links that lead out of the directory, encoded slashes
    /// and whatever is no regular file answer 404. The directory is looked up when the application is bound.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).static_files("/assets", "public");
    /// ```
    pub fn static_files(mut self, prefix: &str, directory: impl AsRef<Path>) -> Self {
        self.files.push(Mount {
            prefix: prefix.trim_end_matches('/').to_owned(),
            directory: directory.as_ref().to_owned(),
            is_spa: false,
        });
        self
    }

    /// As [`static_files`](Self::static_files), for a single-page application: a browser that asks for a page below
    /// `prefix` that is no file gets the directory's `index.html`, with `Cache-Control: no-cache`.
    ///
    /// A page is what is asked for by `GET` or `HEAD`, accepts `text/html`, and has no dot in its last segment; a
    /// missing script is 404 and no page, and so is everything that `static_files` refuses.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).spa("/", "dist");
    /// ```
    ///
    /// A directory without `index.html` is [`AppError::StaticFiles`](crate::AppError::StaticFiles) when the
    /// application is bound.
    pub fn spa(mut self, prefix: &str, directory: impl AsRef<Path>) -> Self {
        self.files.push(Mount {
            prefix: prefix.trim_end_matches('/').to_owned(),
            directory: directory.as_ref().to_owned(),
            is_spa: true,
        });
        self
    }
}
