//! The running application: asked by a handle, ended by the one value that owns it.

use crate::banner::Addresses;
use crate::{Builder, Phase, RuntimeError, ShutdownReport};
use core_executor::{
    ExecutorError, RuntimeExecutor, ShutdownHandle, Spawner, StopCause, Supervisor, TlsReloader,
};
use core_executor::{listen_for_signals, reload_on_hangup};
use http_app::App;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::runtime::{Builder as TokioBuilder, Handle};
use tokio::sync::watch;
use ws_server::WsServer;

/// An HTTP app and a WebSocket server that run as one application.
///
/// Whoever holds this value may end the application, in exactly one of three ways: [`run`](Self::run) blocks a plain
/// `main`, [`serve`](Self::serve) is the same for async code, [`finalize_shutdown`](Self::finalize_shutdown) ends it
/// now. Each takes the value, so the end happens once. It is not `Send`: no callback, hook or task can hold it, so
/// the end cannot be waited for from inside. To *ask* from anywhere, use [`handle`](Self::handle).
///
/// Dropping it asks for the end and returns at once; the end then happens on the executor's own threads.
///
/// ```
/// use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeError, RuntimeExecutor, WsConfig, WsServer};
///
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let app = App::new(AppConfig { port: 0, ..AppConfig::default() });
/// let ws = WsServer::new(WsConfig { port: 0, ..WsConfig::default() });
/// let runtime = AttachedRuntime::builder(app, ws).signals(false).start(executor)?;
/// runtime.handle().request_stop(); // from wherever
/// println!("{}", runtime.run()?); // what was answered, closed and cut
/// # Ok::<(), RuntimeError>(())
/// ```
#[must_use = "dropping a running application asks it to stop"]
pub struct AttachedRuntime {
    spawner: Spawner,
    phases: watch::Receiver<Phase>,
    /// Filled once, by the end.
    finished: watch::Receiver<Option<Arc<ShutdownReport>>>,
    addresses: Addresses,
    reloader: Option<TlsReloader>,
    supervisor: Supervisor,
    manners: Manners,
    /// Keeps the value on the thread that made it: the safe control path.
    _stays: PhantomData<*const OnlyItsOwnerMayEndIt>,
}

/// How a running application behaves as a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// The line `ready …` is written.
    pub(crate) announces: bool,
    pub(crate) hears_signals: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            announces: true,
            hears_signals: true,
        }
    }
}

/// Names, in the compiler's message, why a runtime cannot be moved into a callback, a hook or a task: whoever is
/// inside the application can ask for its end by the handle, and cannot wait for it.
struct OnlyItsOwnerMayEndIt;

impl AttachedRuntime {
    /// Binds both servers, starts WebSocket, then HTTP, and joins their ends: when the app is asked to stop, its
    /// shutdown hook asks the WebSocket server too.
    ///
    /// # Errors
    /// A port that is taken (the error names the server and the address), or a stop that was asked for before.
    pub fn start<S>(app: App<S>, ws: WsServer, executor: RuntimeExecutor) -> Result<Self, RuntimeError>
    where
        S: Clone + Send + Sync + 'static,
    {
        Self::builder(app, ws).start(executor)
    }

    /// The same with further parts: metrics, long polling.
    pub fn builder<S>(app: App<S>, ws: WsServer) -> Builder<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        Builder::new(app, ws)
    }

    pub(crate) fn new(
        spawner: Spawner,
        phases: watch::Receiver<Phase>,
        finished: watch::Receiver<Option<Arc<ShutdownReport>>>,
        addresses: Addresses,
        reloader: Option<TlsReloader>,
        supervisor: Supervisor,
        manners: Manners,
    ) -> Self {
        Self {
            spawner,
            phases,
            finished,
            addresses,
            reloader,
            supervisor,
            manners,
            _stays: PhantomData,
        }
    }

    /// What asks for the end, from any thread, callback or task.
    pub fn handle(&self) -> ShutdownHandle {
        self.spawner.shutdown_handle()
    }

    /// Asks for the end and returns at once; asking again has no effect. The same as `handle().request_stop()`.
    pub fn request_stop(&self) {
        self.handle().request_stop();
    }

    /// Where the parts are served, with the real ports.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where the application is in its life.
    pub fn phase(&self) -> Phase {
        *self.phases.borrow()
    }

    /// The phases as they come, for whoever wants to watch.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phases.clone()
    }

    /// What reads the certificates and keys of both servers again; nothing without TLS.
    pub fn tls_reloader(&self) -> Option<TlsReloader> {
        self.reloader.clone()
    }

    /// Says `ready …`, also to a supervisor ([`Supervisor`]), blocks this thread until a signal or a handle asks for
    /// the end, ends, and reports.
    ///
    /// # Errors
    /// [`RuntimeError::InsideAsync`] inside async code, where it would block a thread that has other work: use
    /// [`serve`](Self::serve) there. The application is asked to stop then, as by dropping.
    pub fn run(self) -> Result<ShutdownReport, RuntimeError> {
        if Handle::try_current().is_ok() {
            return Err(RuntimeError::InsideAsync);
        }
        let waiting = TokioBuilder::new_current_thread()
            .build()
            .map_err(RuntimeError::Wait)?;
        waiting.block_on(self.serve())
    }

    /// Says `ready …`, also to a supervisor ([`Supervisor`]), waits until a signal or a handle asks for the end, ends,
    /// and reports. With TLS, SIGHUP reads certificates and keys again ([`TlsReloader`]).
    ///
    /// Not cancel safe: dropping the future is dropping the runtime: it asks for the end and does not wait for it.
    ///
    /// # Errors
    /// When signals cannot be listened for, or the tokio runtime under the application is gone.
    pub async fn serve(self) -> Result<ShutdownReport, RuntimeError> {
        // The end may be over before anybody has come here to wait for it: then there is nobody left to hear signals.
        if self.manners.hears_signals
            && let Err(error) = self.hear_signals()
            && !self.handle().is_requested()
        {
            return Err(error.into());
        }
        if self.manners.announces {
            self.addresses.announce();
        }
        if !self.handle().is_requested() {
            self.supervisor.ready();
            // Refused only when the end has begun meanwhile, which feeds nobody any more.
            let _ = self.supervisor.feed_watchdog(&self.spawner);
        }
        self.finished().await
    }

    fn hear_signals(&self) -> Result<(), ExecutorError> {
        listen_for_signals(&self.spawner)?;
        match self.tls_reloader() {
            Some(reloader) => reload_on_hangup(&self.spawner, reloader),
            None => Ok(()),
        }
    }

    /// Ends the application: asks, waits for the end, and reports. The seed's final, blocking step, as a future.
    ///
    /// Not cancel safe: dropping the future is dropping the runtime. The end goes on without being waited for.
    ///
    /// # Errors
    /// When the tokio runtime under the application is gone.
    pub async fn finalize_shutdown(self) -> Result<ShutdownReport, RuntimeError> {
        self.request_stop();
        self.finished().await
    }

    async fn finished(mut self) -> Result<ShutdownReport, RuntimeError> {
        let report = self
            .finished
            .wait_for(Option::is_some)
            .await
            .map_err(|_| RuntimeError::Lost)?;
        report.as_deref().cloned().ok_or(RuntimeError::Lost)
    }
}

impl Drop for AttachedRuntime {
    fn drop(&mut self) {
        self.handle().request_stop_because(StopCause::Dropped);
    }
}

impl std::fmt::Debug for AttachedRuntime {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AttachedRuntime")
            .field("addresses", &self.addresses)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// Starts both servers and blocks until the end: [`AttachedRuntime::start`] and [`AttachedRuntime::run`].
///
/// # Errors
/// Those of both.
pub fn run_http_and_ws<S>(
    app: App<S>,
    ws: WsServer,
    executor: RuntimeExecutor,
) -> Result<ShutdownReport, RuntimeError>
where
    S: Clone + Send + Sync + 'static,
{
    AttachedRuntime::start(app, ws, executor)?.run()
}

/// Starts both servers and waits for the end: [`AttachedRuntime::start`] and [`AttachedRuntime::serve`].
///
/// Not cancel safe: dropping the future asks for the end and does not wait for it.
///
/// # Errors
/// Those of both.
pub async fn serve_http_and_ws<S>(
    app: App<S>,
    ws: WsServer,
    executor: RuntimeExecutor,
) -> Result<ShutdownReport, RuntimeError>
where
    S: Clone + Send + Sync + 'static,
{
    AttachedRuntime::start(app, ws, executor)?.serve().await
}
