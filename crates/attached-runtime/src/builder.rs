//! The parts of an application, put together before it starts.

use crate::banner::Addresses;
use crate::drain::Conductor;
use crate::endpoints;
use crate::ops::OpsConfig;
use crate::parts::{Sockets, WsPart};
use crate::phase::PhaseBoard;
use crate::runtime::Manners;
use crate::sources::Sources;
use crate::{AttachedRuntime, RuntimeError};
use core_executor::{InheritedSockets, RuntimeExecutor, Spawner};
use http::Method;
use http_app::{App, BoundApp, MetricsConfig};
use longpoll_bridge::LongPollBridge;
use prometheus::Registry;
use tokio::sync::watch;
use ws_server::WsServer;

/// The parts of an application: an HTTP app, a WebSocket server and what goes with them.
///
/// Everything is given before the start; [`Builder::start`] takes the builder, so nothing can be added later.
#[must_use = "nothing runs until `start`"]
pub struct Builder<S = ()> {
    app: App<S>,
    ws: WsServer,
    bridge: Option<LongPollBridge>,
    metrics: Option<(MetricsConfig, Option<Registry>)>,
    ops: OpsConfig,
    /// Paths of the HTTP app that are WebSocket endpoints.
    upgrades: Vec<String>,
    /// Whether the WebSocket server has a port of its own.
    own_port: bool,
    probes: bool,
    docs: bool,
    inherited: InheritedSockets,
    manners: Manners,
}

impl<S: Clone + Send + Sync + 'static> Builder<S> {
    pub(crate) fn new(app: App<S>, ws: WsServer) -> Self {
        Self {
            app,
            ws,
            bridge: None,
            metrics: None,
            ops: OpsConfig::default(),
            upgrades: Vec::new(),
            own_port: true,
            probes: true,
            docs: true,
            inherited: InheritedSockets::default(),
            manners: Manners::default(),
        }
    }

    /// Adds the long-polling bridge: its two routes on the app, its place behind the WebSocket server's messages,
    /// its sweeper, and its answer to every waiting poll at the end.
    pub fn long_polling(mut self, bridge: LongPollBridge) -> Self {
        self.bridge = Some(bridge);
        self
    }

    /// Adds a metrics listener with the metrics of every part. It is served until everything else has ended.
    pub fn metrics(mut self, config: MetricsConfig) -> Self {
        self.metrics = Some((config, None));
        self
    }

    /// The same with a registry that has metrics of your own. [`MetricsConfig::prefix`] has no effect on it: make it
    /// with [`MetricsConfig::registry`].
    pub fn metrics_with(mut self, config: MetricsConfig, registry: Registry) -> Self {
        self.metrics = Some((config, Some(registry)));
        self
    }

    /// Adds the operator's page `/_ops` to the metrics listener, if there is a token: phase and progress of the end,
    /// sessions, rooms, slow consumers, close reasons, the times of each route, and a button that asks for the end as
    /// [`ShutdownHandle::request_stop`](crate::ShutdownHandle::request_stop) does. The same in JSON is
    /// `/_ops/state.json`; `docs/operating.md` has its shape. Without a token these are unknown paths.
    ///
    /// A token without a metrics listener is an error at the start.
    pub fn ops(mut self, config: OpsConfig) -> Self {
        self.ops = config;
        self
    }

    /// Makes a path of the HTTP app a WebSocket endpoint too, beside the WebSocket server's own port: the same
    /// sessions, rooms, callbacks and end. Further paths may follow.
    ///
    /// # Panics
    /// At the start, as [`App::route_service`]: when the path is malformed or taken.
    pub fn websocket_on(mut self, path: impl Into<String>) -> Self {
        self.upgrades.push(path.into());
        self
    }

    /// Serves WebSocket under a path of the HTTP app and on no port of its own: HTTP, WebSocket and long polling on
    /// one port.
    ///
    /// ```
    /// use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};
    ///
    /// let app = App::new(AppConfig { port: 0, ..AppConfig::default() });
    /// let ws = WsServer::new(WsConfig::default());
    /// let runtime = AttachedRuntime::builder(app, ws)
    ///     .one_port("/ws")
    ///     .start(RuntimeExecutor::with_threads(1)?)?;
    /// assert!(runtime.addresses().http.is_some() && runtime.addresses().ws.is_none());
    /// # Ok::<(), attached_runtime::RuntimeError>(())
    /// ```
    ///
    /// # Panics
    /// As [`websocket_on`](Self::websocket_on).
    pub fn one_port(mut self, path: impl Into<String>) -> Self {
        self.own_port = false;
        self.websocket_on(path)
    }

    /// Whether `/healthz` and `/readyz` are served, by the app and by the metrics listener ([`App::health`]). Default
    /// true; routes of the app with these paths come first.
    pub fn health(mut self, probes: bool) -> Self {
        self.probes = probes;
        self
    }

    /// Whether `/openapi.json` and `/docs` are served, with the WebSocket and long-poll endpoints in them
    /// ([`App::openapi`], which also sets the title). Default true; routes of the app with these paths come first.
    pub fn docs(mut self, docs: bool) -> Self {
        self.docs = docs;
        self
    }

    /// Serves sockets that a supervisor has bound for this process, instead of the configured addresses. Their names
    /// are `http`, `websocket` and `metrics`; sockets of other names go to the servers in this order.
    ///
    /// ```
    /// use attached_runtime::{App, AppConfig, AttachedRuntime, InheritedSockets, WsConfig, WsServer};
    ///
    /// let builder = AttachedRuntime::builder(App::new(AppConfig::default()), WsServer::new(WsConfig::default()))
    ///     .inherited(InheritedSockets::take()?);
    /// # drop(builder);
    /// # Ok::<(), attached_runtime::RuntimeError>(())
    /// ```
    ///
    /// More sockets than servers are an error at the start.
    pub fn inherited(mut self, sockets: InheritedSockets) -> Self {
        self.inherited = sockets;
        self
    }

    /// Whether `run` and `serve` write the line `ready …` on standard error. Default true.
    pub fn announce(mut self, announce: bool) -> Self {
        self.manners.announces = announce;
        self
    }

    /// Whether `run` and `serve` listen for SIGTERM and SIGINT, and with TLS for SIGHUP. Default true.
    pub fn signals(mut self, signals: bool) -> Self {
        self.manners.hears_signals = signals;
        self
    }

    /// Binds every listener, then serves: WebSocket first, then HTTP, then metrics.
    ///
    /// # Errors
    /// A port that is taken, a metric that is registered twice, a stop that was asked for already. Nothing is left
    /// half-started: what was bound is released.
    pub fn start(self, executor: RuntimeExecutor) -> Result<AttachedRuntime, RuntimeError> {
        if executor.shutdown_handle().is_requested() {
            return Err(RuntimeError::StopRequested);
        }
        let manners = self.manners;
        let phases = PhaseBoard::new();
        let bound = self.bind(&executor, &phases)?;
        let (spawner, watched, supervisor) = (executor.spawner(), phases.watch(), phases.supervisor());
        let (conductor, addresses, finished) = bound.serve(&spawner, phases)?;
        let reloader = conductor.tls_reloader();
        executor.conduct(|executor| conductor.conduct(executor));
        Ok(AttachedRuntime::new(
            spawner, watched, finished, addresses, reloader, supervisor, manners,
        ))
    }

    /// Joins the parts and takes every address; nobody is served yet.
    fn bind(self, executor: &RuntimeExecutor, phases: &PhaseBoard) -> Result<Bound, RuntimeError> {
        let Self {
            mut app,
            mut ws,
            bridge,
            metrics,
            ops,
            upgrades,
            own_port,
            probes,
            docs,
            inherited,
            manners: _,
        } = self;
        if let Some(bridge) = &bridge {
            ws = bridge.attach(ws);
            app = app.merge_without_timeout(bridge.router().with_state(()));
            app = endpoints::describe_polls(app, &bridge.openapi());
        }
        for path in upgrades {
            app = app.route_service(&path, ws.service());
            app = app.describe(Method::GET, &path, ws.service().openapi());
        }
        if probes {
            app = app.health();
        }
        // The seed's shutdown callback: the HTTP side only asks the WebSocket side.
        let asker = ws.hub();
        app = app.on_shutdown(move || async move { asker.stop_async() });
        let sources = Sources {
            http: app.metrics(),
            times: ops.token.is_some().then(|| app.route_times()),
            hub: ws.hub(),
            bridge: bridge.clone(),
            spawner: executor.spawner(),
            executor: executor.metrics(),
        };
        let mut metrics = metrics
            .map(|(config, registry)| sources.exporter(config, registry, phases))
            .transpose()?;
        if let Some(token) = ops.token {
            metrics = Some(sources.operated(metrics, token, phases)?);
        }
        if probes {
            metrics = metrics.map(|metrics| metrics.health_with(app.stop_handle()));
        }
        let sockets = Sockets::deal(inherited, own_port, metrics.is_some())?;
        if let Some(socket) = sockets.http {
            app = app.listener(socket);
        }
        if let Some(socket) = sockets.websocket {
            ws = ws.listener(socket);
        }
        if let Some(socket) = sockets.metrics {
            metrics = metrics.map(|metrics| metrics.listener(socket));
        }
        let ws = WsPart::bind(ws, own_port)?;
        if docs {
            app = endpoints::note_websocket(app, &ws);
        }
        let app = app.bind().map_err(RuntimeError::Http)?;
        let metrics = metrics
            .map(App::bind)
            .transpose()
            .map_err(RuntimeError::Metrics)?;
        Ok(Bound {
            app,
            ws,
            bridge,
            metrics,
        })
    }
}

impl<S> std::fmt::Debug for Builder<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Builder")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// Everything bound, nobody served.
struct Bound {
    app: BoundApp,
    ws: WsPart,
    bridge: Option<LongPollBridge>,
    metrics: Option<BoundApp>,
}

type Finished = watch::Receiver<Option<std::sync::Arc<crate::ShutdownReport>>>;

impl Bound {
    fn serve(
        self,
        spawner: &Spawner,
        phases: PhaseBoard,
    ) -> Result<(Conductor, Addresses, Finished), RuntimeError> {
        let Self {
            app,
            ws,
            bridge,
            metrics,
        } = self;
        let ws = ws.start(spawner)?;
        if let Some(bridge) = &bridge {
            bridge.start(spawner).map_err(RuntimeError::LongPolling)?;
        }
        let app = app.listen(spawner).map_err(RuntimeError::Http)?;
        let metrics = metrics
            .map(|bound| bound.listen(spawner))
            .transpose()
            .map_err(RuntimeError::Metrics)?;
        let places = (
            Some(app.local_addr()),
            ws.local_addr(),
            metrics.as_ref().map(|app| app.local_addr()),
        );
        let addresses = Addresses::new(places.0, places.1, places.2);
        let (report, finished) = watch::channel(None);
        let conductor = Conductor {
            app,
            ws,
            bridge,
            metrics,
            phases,
            report,
        };
        Ok((conductor, addresses, finished))
    }
}
