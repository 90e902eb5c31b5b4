//! The hub: what all sessions of a server share, and where it is asked to stop.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use core_executor::{ExecutorError, RunningServer, Spawner, WorkLabel};

use crate::clock::Clock;
use crate::config::{WsConfig, or_unlimited};
use crate::dispatch::{Dispatch, guarded_value};
use crate::error::WsError;
use crate::handlers::Handlers;
use crate::handshake::{Admission, HandshakeRequest};
use crate::message::JsonMessage;
use crate::metrics::WsMetrics;
use crate::origin::check_origin;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::resume::{ResumeConfig, Resumption, Table, websocket};
use crate::rooms::Tables;
use crate::session::{Session, SessionId};
use crate::stalled::Stalled;
use crate::sync::{AtomicBool, Mutex, Ordering, RwLock};
use crate::tally::Tally;

/// All sessions and rooms of one server. Cloning counts a reference; it may be used from any thread, inside
/// callbacks, and before the server is started.
///
/// ```
/// use core_executor::RuntimeExecutor;
/// use ws_server::{Encoded, WsConfig, WsServer};
///
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let server = WsServer::new(WsConfig { port: 0, ..WsConfig::default() }).start(&executor.spawner())?;
/// let hub = server.hub(); // cheap to clone, for any thread and any HTTP handler
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let published = hub.publish("lobby", Encoded::text("who is here?")).await?;
/// assert_eq!((published.delivered, hub.room_size("lobby")), (0, 0));
/// # Ok::<(), ws_server::WsError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    config: WsConfig,
    metrics: WsMetrics,
    tables: Tables,
    clock: Arc<Clock>,
    /// Set once, by the first wish to stop.
    stopping: AtomicBool,
    /// Present while the server runs. Callbacks may hold this hub, so it lets go of them at the end.
    running: RwLock<Option<Running>>,
    /// The own listener, to be closed by a wish to stop.
    listener: Mutex<Option<Arc<RunningServer>>>,
    tally: Tally,
    stalled: Arc<Stalled>,
    /// Present when sessions may outlive their transport.
    resumable: OnceLock<Resumable>,
    /// Says which session a worker is at; set when the server runs.
    label: OnceLock<WorkLabel>,
}

/// What there is beside a hub whose sessions may outlive their transport.
struct Resumable {
    table: Arc<Table>,
    /// Owns the connections that carry them.
    carriers: Hub,
}

#[derive(Clone)]
struct Running {
    handlers: Arc<Handlers>,
    spawner: Spawner,
}

/// The name of a task that [`Hub::spawn_session`] started.
fn name_of_session(id: &[u8]) -> String {
    let id = id.try_into().map_or(0, u64::from_le_bytes);
    format!("session {id}")
}

impl Hub {
    pub(crate) fn new(config: WsConfig) -> Self {
        Self::with(config, WsMetrics::new(), Arc::new(Clock::new()))
    }

    fn with(config: WsConfig, metrics: WsMetrics, clock: Arc<Clock>) -> Self {
        let tables = Tables::new(metrics.rooms_active.clone());
        let stalled = Arc::new(Stalled::default());
        let hub = Self(Arc::new(Inner {
            config,
            metrics,
            tables,
            clock,
            stopping: AtomicBool::new(false),
            running: RwLock::default(),
            listener: Mutex::default(),
            tally: Tally::default(),
            stalled: Arc::clone(&stalled),
            resumable: OnceLock::new(),
            label: OnceLock::new(),
        }));
        hub.metrics().oldest.look_at(&stalled);
        hub
    }

    /// Sessions may outlive their transport from here on. Again has no effect.
    pub(crate) fn make_resumable(&self, config: ResumeConfig) {
        let make = || Resumable {
            table: Arc::new(Table::new(config, self.metrics().resume.clone())),
            carriers: Self::with(
                self.config().clone(),
                self.metrics().of_carriers(),
                Arc::clone(self.clock()),
            ),
        };
        self.0.resumable.get_or_init(make);
    }

    /// Where sessions that outlive their transport are opened and found; nothing unless
    /// [`WsServer::resumable`](crate::WsServer::resumable) was said.
    pub fn resumption(&self) -> Option<Resumption> {
        let resumable = self.0.resumable.get()?;
        Some(Resumption::new(self.clone(), Arc::clone(&resumable.table)))
    }

    /// The hub of the connections that carry them.
    pub(crate) fn carriers(&self) -> Option<&Hub> {
        self.0.resumable.get().map(|resumable| &resumable.carriers)
    }

    /// Sessions that are registered.
    pub fn sessions(&self) -> usize {
        self.tables().len()
    }

    /// Members of a room.
    pub fn room_size(&self, room: &str) -> usize {
        self.tables().room(room).map_or(0, |room| room.members().len())
    }

    /// Runs relays and typed handler for an envelope, as for one received by this session.
    ///
    /// Not cancel safe: dropping the future drops the handler where it stands.
    ///
    /// # Errors
    /// [`WsError::HandlerPanicked`]; it has been counted.
    pub async fn dispatch(&self, session: &Session, message: JsonMessage) -> Result<(), WsError> {
        Dispatch::envelope(session.clone(), message)
            .await
            .map_err(|_| WsError::HandlerPanicked)
    }

    /// A session for a sender that cannot be answered, such as a single HTTP request: it is registered nowhere, so
    /// it has no `on_open` and no `on_close`, can join nothing, and every send to it answers
    /// [`SendOutcome::Closed`](crate::SendOutcome::Closed).
    pub fn detached_session(&self, peer: Peer) -> Session {
        let handlers = self.running().map(|running| running.handlers).unwrap_or_default();
        Session::detached(self, handlers, peer)
    }

    /// Applies the rules of a handshake that do not depend on the transport: running, Origin, `authorize`.
    ///
    /// Gives what `authorize` found out about the sender, for
    /// [`open_admitted_session`](Self::open_admitted_session).
    ///
    /// Cancel safe: dropping the future drops `authorize` where it stands, and nobody is admitted.
    ///
    /// # Errors
    /// The answer to give instead.
    pub async fn admit(&self, request: HandshakeRequest) -> Result<Admission, Refusal> {
        let running = self
            .running()
            .filter(|_| !self.is_stopping())
            .ok_or(Refusal::STOPPING)?;
        check_origin(&request.headers, &self.config().allowed_origins)?;
        match &running.handlers.authorize {
            Some(authorize) => match guarded_value(async { authorize(request).await }).await {
                Ok(decision) => decision,
                Err(_) => {
                    self.metrics().panicked();
                    Err(Refusal::PANICKED)
                }
            },
            None => Ok(Admission::default()),
        }
    }

    /// Asks the server to stop: from now on handshakes are refused and the own listener closes. Returns at once;
    /// may be called from any callback and any thread, any number of times, also before the start (which is then
    /// refused). The sessions end with [`RunningWsServer::stop`](crate::RunningWsServer::stop).
    pub fn stop_async(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        if let Some(resumable) = self.0.resumable.get() {
            resumable.table.stop();
        }
        let listener = self.0.listener.lock().clone();
        if let Some(listener) = listener {
            listener.close_listener();
        }
    }

    /// Whether a stop has been asked for.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    /// The server's settings.
    pub fn config(&self) -> &WsConfig {
        &self.0.config
    }

    /// The server's metrics.
    pub fn metrics(&self) -> &WsMetrics {
        &self.0.metrics
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.tables
    }

    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.0.clock
    }

    /// Its sessions whose transport takes nothing just now.
    pub(crate) fn stalled(&self) -> &Stalled {
        &self.0.stalled
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Starts the task that carries a session. Blocks it its worker, it is named by the session.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor or this server stops.
    pub(crate) fn spawn_session(
        &self,
        id: SessionId,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ExecutorError> {
        let spawner = self.spawner().ok_or(ExecutorError::Stopping)?;
        match self.0.label.get() {
            Some(label) => spawner.spawn_labelled(label, id.get(), task),
            None => spawner.spawn_service(task),
        }
    }

    pub(crate) fn spawner(&self) -> Option<Spawner> {
        self.running().map(|running| running.spawner)
    }

    pub(crate) fn handlers(&self) -> Option<Arc<Handlers>> {
        self.running().map(|running| running.handlers)
    }

    fn running(&self) -> Option<Running> {
        self.0.running.read().clone()
    }

    /// The server runs from here on.
    pub(crate) fn run(&self, handlers: Handlers, spawner: Spawner) {
        if let Some(carriers) = self.carriers() {
            carriers.run(websocket::handlers(), spawner.clone());
        }
        self.0.label.get_or_init(|| spawner.work_label(name_of_session));
        let running = Running {
            handlers: Arc::new(handlers),
            spawner,
        };
        *self.0.running.write() = Some(running);
    }

    /// The server has ended: callbacks are let go.
    pub(crate) fn ended(&self) {
        let running = self.0.running.write().take();
        let listener = self.0.listener.lock().take();
        self.clock().stop();
        if let Some(carriers) = self.carriers() {
            carriers.ended();
        }
        // Dropped outside of the locks: what callbacks captured may come back here in its own drop.
        drop((running, listener));
    }

    /// The own listener serves; a stop that was asked for meanwhile closes it.
    pub(crate) fn listens(&self, listener: &Arc<RunningServer>) {
        *self.0.listener.lock() = Some(Arc::clone(listener));
        if self.is_stopping() {
            listener.close_listener();
        }
    }

    pub(crate) fn check_room_name(&self, room: &str) -> Result<(), WsError> {
        let limit = self.config().max_room_name;
        match room.len() {
            0 => Err(WsError::RoomNameEmpty),
            length if length > or_unlimited(limit) => Err(WsError::RoomNameTooLong { length, limit }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hub")
            .field("sessions", &self.sessions())
            .field("stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}
