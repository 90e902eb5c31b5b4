//! The life of an application after its description: bound, running, ended.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use core_executor::{BoundListener, Drained, RunningServer, ServeOptions, ShutdownSignal, Spawner};
use core_executor::{TlsIdentity, TlsReloader, serve};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::app::{App, Parts};
use crate::config::AppConfig;
use crate::detached::Detached;
use crate::error::AppError;
use crate::hooks::{HookReport, Hooks};
use crate::metrics::HttpMetrics;
use crate::report::AppReport;
use crate::service::{AppService, Rules};
use crate::stop::StopHandle;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Takes the address without accepting anything yet; clients wait in the socket's backlog.
    ///
    /// # Errors
    /// [`AppError::Bind`] names the server and the address, [`AppError::StaticFiles`] the directory,
    /// [`AppError::Tls`] the setting and the file.
    pub fn bind(self) -> Result<BoundApp, AppError> {
        let (router, mut parts) = self.assemble()?;
        let server = parts.name;
        let AppConfig { host, port, tls, .. } = &parts.config;
        let load = |tls| TlsIdentity::load(tls, parts.metrics.connections());
        let tls = tls
            .as_ref()
            .map(load)
            .transpose()
            .map_err(|source| AppError::Tls { server, source })?;
        let listener = match parts.socket.take() {
            Some(bound) => bound,
            None => BoundListener::bind(host, *port),
        };
        let listener = listener.map_err(|source| AppError::Bind { server, source })?;
        Ok(BoundApp {
            listener,
            tls,
            router,
            parts,
        })
    }

    /// [`bind`](Self::bind) and [`BoundApp::listen`] in one step.
    ///
    /// # Errors
    /// Those of both.
    pub fn listen(self, spawner: &Spawner) -> Result<RunningApp, AppError> {
        self.bind()?.listen(spawner)
    }
}

/// An application that has its address and serves nobody yet. Dropping it gives the address back.
#[must_use = "a bound application serves nobody until it listens"]
pub struct BoundApp {
    listener: BoundListener,
    tls: Option<TlsIdentity>,
    router: Router,
    parts: Parts,
}

impl BoundApp {
    /// The address really bound, also for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// What the application counts.
    pub fn metrics(&self) -> HttpMetrics {
        self.parts.metrics.clone()
    }

    /// Starts to accept, on the threads of `spawner`.
    ///
    /// # Errors
    /// [`AppError::Start`] when a stop was asked for already.
    pub fn listen(self, spawner: &Spawner) -> Result<RunningApp, AppError> {
        let Self {
            listener,
            tls,
            router,
            parts,
        } = self;
        let reloader = tls.as_ref().map(TlsIdentity::reloader);
        let Parts {
            config,
            name,
            metrics,
            stop,
            listener: state_listener,
            hooks,
            socket: _,
            readiness,
            wanted,
            in_budget,
            names,
            times,
        } = parts;
        if let Some(readiness) = readiness {
            readiness.hears(spawner.shutdown_signal());
        }
        let detached = Detached::new(spawner.clone(), config.max_detached_handlers, metrics.clone());
        let rules = Rules {
            waf: config.waf,
            request_timeout: config.request_timeout,
            wanted,
            metrics: metrics.clone(),
            detached: detached.clone(),
            label: spawner.work_label({
                let names = names.clone();
                move |line| names.name(line)
            }),
            names,
            times,
        };
        let options = ServeOptions::new(name)
            .limits(config.limits)
            .state_listener(state_listener)
            .metrics(metrics.connections().clone())
            .carrying(|info, extensions| {
                extensions.insert(ConnectInfo(info.remote_addr));
            })
            .tls(tls);
        let options = match in_budget {
            true => options,
            false => options.outside_budget(),
        };
        let server = serve(listener, AppService::new(router, rules), options, spawner)
            .map_err(|source| AppError::Start { server: name, source })?;
        tracing::info!(server = name, address = %server.local_addr(), "accepting");
        let hooks = Hooks::new(hooks, config.hook_timeout);
        let signal = spawner.shutdown_signal();
        Ok(RunningApp {
            server,
            _detached_guard: detached.guard(),
            detached,
            hooks,
            stop,
            signal,
            metrics,
            spawner: spawner.clone(),
            config,
            reloader,
        })
    }
}

impl std::fmt::Debug for BoundApp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BoundApp")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// An application that accepts connections and answers requests.
///
/// Asking and ending are two things: [`stop_async`](Self::stop_async) asks, [`wait`](Self::wait) hears it, and
/// [`close`](Self::close) ends. Whoever composes several servers drives the steps of the end by
/// [`run_hooks`](Self::run_hooks), [`begin_drain`](Self::begin_drain) and [`drained`](Self::drained) instead.
///
/// Dropping it closes the listener and cuts its connections, without blocking and without running the hooks.
///
/// ```
/// use axum::routing::get;
/// use core_executor::RuntimeExecutor;
/// use http_app::{App, AppConfig};
///
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let app = App::new(AppConfig { port: 0, ..AppConfig::default() }).route("/", get(|| async { "here" }));
/// let running = app.bind()?.listen(&executor.spawner())?;
/// println!("http://{}/", running.local_addr());
/// running.stop_async(); // from wherever, and this is what `wait` hears
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// running.wait().await;
/// assert!(running.close().await.is_clean());
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a running application stops it"]
pub struct RunningApp {
    server: RunningServer,
    detached: Detached,
    /// Whoever drops the application ends its handlers, also those whose client has left.
    _detached_guard: DropGuard,
    hooks: Arc<Hooks>,
    stop: StopHandle,
    signal: ShutdownSignal,
    metrics: HttpMetrics,
    spawner: Spawner,
    config: AppConfig,
    reloader: Option<TlsReloader>,
}

impl RunningApp {
    /// The address really bound, also for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// What the application counts.
    pub fn metrics(&self) -> HttpMetrics {
        self.metrics.clone()
    }

    /// What reads certificate and key again; nothing without TLS.
    pub fn tls_reloader(&self) -> Option<TlsReloader> {
        self.reloader.clone()
    }

    /// Connections open at the moment, upgraded ones not counted.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Requests whose answer has not been handed to the kernel to its last byte, or is not counted yet: a client may
    /// have read it already. Those that are left when the drain begins are counted by [`Drained::answered`].
    pub fn requests_in_flight(&self) -> u64 {
        self.server.requests_in_flight()
    }

    /// A handle that asks this application to stop.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Asks the application to stop and returns at once; asking again has no further effect. Requests are answered
    /// until somebody ends the application.
    pub fn stop_async(&self) {
        self.stop.stop_async();
    }

    /// Waits until somebody asked this application or its executor to stop. Cancel safe.
    pub async fn wait(&self) {
        tokio::select! {
            () = self.stop.requested() => {}
            () = self.signal.requested() => {}
        }
    }

    /// Runs the shutdown hooks in the order they were given and waits for the last one.
    ///
    /// Each runs once: a second call waits for the first and gives the same reports. Cancel safe: the hooks go on.
    pub async fn run_hooks(&self) -> Arc<[HookReport]> {
        self.stop.stop_async();
        self.hooks.run(&self.spawner).await
    }

    /// What became of the shutdown hooks: nothing before the last one has ended, or the executor has cut them.
    pub fn hook_reports(&self) -> Option<Arc<[HookReport]>> {
        self.hooks.reports()
    }

    /// Makes every answer from now on the last one of its connection, which says so (`Connection: close`); everybody is
    /// served as before. Never blocks; see [`RunningServer::end_keep_alive`].
    pub fn end_keep_alive(&self) {
        self.server.end_keep_alive();
    }

    /// Closes the listener and asks every connection to end after the request it is at. Never blocks.
    pub fn begin_drain(&self) {
        self.stop.stop_async();
        self.server.begin_drain();
    }

    /// Waits until every request is answered and every handler has ended, also those of clients that keep WebSocket
    /// sessions on the same connection of HTTP/2. Call [`begin_drain`](Self::begin_drain) before it. Cancel safe.
    pub async fn requests_answered(&self) {
        self.server.requests_answered().await;
        self.detached.idle().await;
    }

    /// Waits until every connection and every handler has ended, also those whose client has left, and cuts at
    /// `deadline` those that have not. Call [`begin_drain`](Self::begin_drain) before it. Cancel safe; again says the
    /// same.
    pub async fn drained(&self, deadline: Instant) -> Drained {
        let mut drained = self.server.drained(deadline).await;
        drained.cut += self.detached.drained(deadline).await;
        drained
    }

    /// Ends the application: hooks, then the listener, then the requests in flight, for
    /// [`AppConfig::drain_deadline`] at the most. An immediate stop of the executor cuts the wait.
    ///
    /// Not cancel safe: dropping the future is dropping the application, which cuts what is open.
    pub async fn close(self) -> AppReport {
        let hooks = tokio::select! {
            hooks = self.run_hooks() => hooks,
            () = self.signal.requested_now() => Arc::default(),
        };
        self.begin_drain();
        let deadline = Instant::now() + self.config.drain_deadline;
        let Drained { answered, cut, .. } = tokio::select! {
            drained = self.drained(deadline) => drained,
            () = self.signal.requested_now() => self.drained(Instant::now()).await,
        };
        AppReport {
            hooks,
            answered,
            cut,
            executor: None,
        }
    }
}

impl std::fmt::Debug for RunningApp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RunningApp")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}
