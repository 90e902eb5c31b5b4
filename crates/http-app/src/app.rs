//! The description of an application: routes, middleware, files, hooks. Nothing runs yet.

use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use core_executor::ConnectionStateListener;
use tower_layer::Layer;
use tower_service::Service;

use crate::bodies::{method_not_allowed, route_not_found};
use crate::config::AppConfig;
use crate::error::AppError;
use crate::hooks::{Hook, erase};
use crate::metrics::HttpMetrics;
use crate::static_files::StaticFiles;
use crate::stop::StopHandle;
use crate::timeout::RequestTimeout;

/// Wraps the finished router in one layer of the user's.
type Wrap = Box<dyn FnOnce(Router) -> Router + Send>;

/// Puts the user's own fallback into an empty router.
type Fallback<S> = Box<dyn FnOnce(Router<S>) -> Router<S> + Send>;

/// An HTTP application that is being described.
///
/// Every method takes the application and gives it back. [`bind`](App::bind), [`listen`](App::listen) and
/// [`run`](App::run) take it for good: what runs cannot be described any more.
///
/// `S` is the state that handlers extract with [`State`](axum::extract::State).
#[must_use = "an application does nothing until it listens"]
pub struct App<S = ()> {
    pub(crate) config: AppConfig,
    pub(crate) name: &'static str,
    pub(crate) metrics: HttpMetrics,
    pub(crate) stop: StopHandle,
    pub(crate) listener: Option<Arc<dyn ConnectionStateListener>>,
    pub(crate) hooks: Vec<Hook>,
    state: S,
    router: Router<S>,
    /// In the order given; the last one is the outermost.
    layers: Vec<Wrap>,
    fallback: Option<Fallback<S>>,
    /// Mount point and directory.
    files: Vec<(String, PathBuf)>,
}

impl App {
    /// An application without state: every path answers 404 so far.
    pub fn new(config: AppConfig) -> Self {
        Self::with_state(config, ())
    }
}

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// An application whose handlers can extract `state`.
    pub fn with_state(config: AppConfig, state: S) -> Self {
        Self {
            config,
            name: "http",
            metrics: HttpMetrics::new(),
            stop: StopHandle::new(),
            listener: None,
            hooks: Vec::new(),
            state,
            router: Router::new(),
            layers: Vec::new(),
            fallback: None,
            files: Vec::new(),
        }
    }

    /// What errors, notices and log lines call this server: letters, digits, underscores (default `http`).
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

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

    /// Serves the regular files below `directory` under `prefix` (`/` for every path no route takes).
    ///
    /// `GET` and `HEAD`, with ranges and `If-Modified-Since`; a directory answers with its `index.html`. Hidden
    /// files, links that lead out of the directory, encoded slashes and whatever is no regular file answer 404.
    /// The directory is looked up when the application is bound.
    pub fn static_files(mut self, prefix: &str, directory: impl AsRef<Path>) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        self.files.push((prefix, directory.as_ref().to_owned()));
        self
    }

    /// Adds a hook for the end of the application: run once, after those given before it, while requests are still
    /// answered.
    ///
    /// A hook has [`AppConfig::hook_timeout`]; one that takes longer or panics is reported and does not stop the
    /// next one. It runs on the executor's blocking lane, so it may block its thread, but must not wait for this
    /// application's own end.
    pub fn on_shutdown<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push(erase(hook));
        self
    }

    /// Tells `listener` what becomes of every connection. The last one counts.
    pub fn connection_state_listener(mut self, listener: impl ConnectionStateListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The settings the application was described with.
    pub fn config(&self) -> &AppConfig {
        &self.config
    }

    /// What the application counts; register it before or after it runs.
    pub fn metrics(&self) -> HttpMetrics {
        self.metrics.clone()
    }

    /// Asks the application to stop, for handlers and hooks that must be able to.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The whole description as one router, and the parts that go on living beside it.
    pub(crate) fn assemble(self) -> Result<(Router, Parts), AppError> {
        let Self {
            config,
            name,
            metrics,
            stop,
            listener,
            hooks,
            state,
            router,
            layers,
            fallback,
            files,
        } = self;
        let empty = Router::new();
        let missing = match fallback {
            Some(fallback) => fallback(empty),
            None => empty.fallback(route_not_found),
        };
        let missing = missing.with_state(state.clone());
        let routes = router
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(state);
        let mut router = with_files(routes, files, missing)?;
        for wrap in layers {
            router = wrap(router);
        }
        Ok((
            router,
            Parts {
                config,
                name,
                metrics,
                stop,
                listener,
                hooks,
            },
        ))
    }
}

/// What is left of a description when its routes have become a router.
pub(crate) struct Parts {
    pub(crate) config: AppConfig,
    pub(crate) name: &'static str,
    pub(crate) metrics: HttpMetrics,
    pub(crate) stop: StopHandle,
    pub(crate) listener: Option<Arc<dyn ConnectionStateListener>>,
    pub(crate) hooks: Vec<Hook>,
}

fn with_files(
    mut router: Router,
    files: Vec<(String, PathBuf)>,
    mut missing: Router,
) -> Result<Router, AppError> {
    // Those at `/` answer before the fallback does, the first one given first, also for the others' misses.
    let (everywhere, mounted): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(prefix, _)| prefix.is_empty());
    for (_, directory) in everywhere.into_iter().rev() {
        missing = Router::new().fallback_service(serving(directory, missing)?);
    }
    for (prefix, directory) in mounted {
        router = router.nest_service(&prefix, serving(directory, missing.clone())?);
    }
    Ok(router.fallback_service(missing))
}

fn serving(directory: PathBuf, missing: Router) -> Result<StaticFiles, AppError> {
    StaticFiles::new(&directory, missing).map_err(|source| AppError::StaticFiles { directory, source })
}

impl<S> std::fmt::Debug for App<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("App")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
