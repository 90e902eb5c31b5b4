//! The description of an application: routes, middleware, files, hooks. Nothing runs yet.

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use core_executor::{BindError, BoundListener, ConnectionStateListener, Listener};

use crate::config::AppConfig;
use crate::error::AppError;
use crate::hooks::{Hook, erase};
use crate::metrics::HttpMetrics;
use crate::openapi::{Described, OpenApi};
use crate::probes::Readiness;
use crate::route_times::RouteTimes;
use crate::stop::StopHandle;
use crate::visit::Wanted;

mod assembly;
mod documented;
mod middleware;
mod routes;

pub(crate) use assembly::Parts;

/// Wraps the finished router in one layer of the user's.
type Wrap = Box<dyn FnOnce(Router) -> Router + Send>;

/// Puts the user's own fallback into an empty router.
type Fallback<S> = Box<dyn FnOnce(Router<S>) -> Router<S> + Send>;

/// A directory that is served.
struct Mount {
    /// Without a slash at its end.
    prefix: String,
    directory: PathBuf,
    /// Whether its `index.html` stands for the pages that are no files.
    is_spa: bool,
}

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
    pub(crate) in_budget: bool,
    state: S,
    router: Router<S>,
    /// In the order given; the last one is the outermost.
    layers: Vec<Wrap>,
    fallback: Option<Fallback<S>>,
    files: Vec<Mount>,
    /// Bound by somebody else, instead of the configured address.
    socket: Option<Result<BoundListener, BindError>>,
    /// What `/readyz` goes by, when there are probes.
    probes: Option<Readiness>,
    /// What `/openapi.json` says about the whole, when it is served.
    docs: Option<OpenApi>,
    described: Vec<Described>,
    /// Whether requests get an id and a line in the log.
    wanted: Wanted,
    /// Whether each request has a span.
    spans: bool,
    /// Where the times of each route are counted, when they are.
    times: Option<RouteTimes>,
    /// The first thing that was given and cannot be.
    problem: Option<AppError>,
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
            in_budget: true,
            state,
            router: Router::new(),
            layers: Vec::new(),
            fallback: None,
            files: Vec::new(),
            socket: None,
            probes: None,
            docs: None,
            described: Vec::new(),
            wanted: Wanted::default(),
            spans: false,
            times: None,
            problem: None,
        }
    }

    /// What errors, notices and log lines call this server: letters, digits, underscores (default `http`).
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Its connections do not count towards `SERVER_MAX_CONNECTIONS` and are never refused because of it: for what must
    /// answer when everything else is full, such as metrics.
    pub fn outside_connection_budget(mut self) -> Self {
        self.in_budget = false;
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

    /// Serves a socket that listens already, instead of [`AppConfig::host`] and [`AppConfig::port`].
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let bound = App::new(AppConfig::default()).listener(socket).bind()?;
    /// assert_eq!(bound.local_addr(), address);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener(mut self, socket: TcpListener) -> Self {
        self.socket = Some(BoundListener::from_std(socket));
        self
    }

    /// Accepts from any other source of connections, instead of [`AppConfig::host`] and [`AppConfig::port`]: Unix
    /// sockets, a simulated network. It is closed by being dropped.
    pub fn accept_from(mut self, source: impl Listener) -> Self {
        self.socket = Some(Ok(BoundListener::from_listener(source)));
        self
    }

    /// Answers `GET /healthz` with 200 as long as requests are served at all, and `GET /readyz` with 200 until a stop
    /// is asked for and with 503 from that moment on, so that a load balancer looks elsewhere while the port is open.
    ///
    /// No request timeout applies to them. A route of the application's own with one of these paths comes first.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).health();
    /// ```
    pub fn health(mut self) -> Self {
        self.probes.get_or_insert_default();
        self
    }

    /// As [`health`](Self::health), and `/readyz` answers 503 also when `other` is asked to stop: for a second
    /// application of the same process, as the metrics listener is one.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default());
    /// let beside = App::new(AppConfig::default()).health_with(app.stop_handle());
    /// ```
    pub fn health_with(mut self, other: StopHandle) -> Self {
        self.probes.get_or_insert_default().also_hears(other);
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

    /// How long the answers of each route take, counted from here on. Asked again, it gives the same.
    ///
    /// ```
    /// use axum::routing::get;
    /// use http_app::{App, AppConfig};
    ///
    /// let mut app = App::new(AppConfig::default()).route("/user/{id}", get(|| async { "Ada" }));
    /// let registry = prometheus::Registry::new();
    /// app.route_times().register(&registry)?;
    /// # Ok::<(), prometheus::Error>(())
    /// ```
    pub fn route_times(&mut self) -> RouteTimes {
        self.times.get_or_insert_with(RouteTimes::new).clone()
    }

    /// Asks the application to stop, for handlers and hooks that must be able to.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}

impl<S> std::fmt::Debug for App<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("App")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
