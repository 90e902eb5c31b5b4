//! The bridge itself: what is shared by its router, its relay and its sweeper, and how it is put together.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use core_executor::Spawner;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use ws_server::{Hub, Resumption, WsServer};

use crate::channel::Terms;
use crate::mailboxes::Mailboxes;
use crate::relay::MailboxRelay;
use crate::ring::Limits;
use crate::waiters::Waiters;
use crate::{BridgeError, LongPollConfig, LongPollMetrics, openapi, routes, sweeper};

/// Carries the messages of one WebSocket server over plain HTTP. Cloning counts a reference.
///
/// Put together in three steps, in any order: [`attach`](Self::attach) it to the server it stands in for, mount its
/// [`router`](Self::router), [`start`](Self::start) its sweeper. See the [crate](crate) for what the endpoints do.
#[derive(Clone)]
#[must_use = "a described bridge does nothing until it is attached and started"]
pub struct LongPollBridge {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: LongPollConfig,
    pub(crate) metrics: LongPollMetrics,
    pub(crate) mailboxes: Mailboxes,
    /// Places for waiting polls.
    pub(crate) waiters: Arc<Waiters>,
    /// Places for SSE streams.
    pub(crate) streams: Arc<Waiters>,
    open_mailboxes: AtomicBool,
    /// The server's; absent until it is attached.
    hub: OnceLock<Hub>,
    sweeps: AtomicBool,
    is_draining: AtomicBool,
    /// Rung once, when the drain begins.
    drain: Notify,
}

impl LongPollBridge {
    /// A bridge that is attached to nothing yet: its endpoints answer 503.
    pub fn new(config: LongPollConfig) -> Self {
        let metrics = LongPollMetrics::new();
        let ring = Limits {
            messages: config.ring_messages,
            bytes: config.ring_bytes,
        };
        let terms = Terms {
            ring,
            max_readers: config.max_readers,
            metrics: metrics.clone(),
        };
        let shared = Shared {
            mailboxes: Mailboxes::new(config.max_sessions, terms),
            waiters: Arc::new(Waiters::new(config.max_waiting, metrics.polls_waiting.clone())),
            streams: Arc::new(Waiters::new(config.max_waiting, metrics.streams_active.clone())),
            open_mailboxes: AtomicBool::new(config.open_mailboxes),
            hub: OnceLock::new(),
            sweeps: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            drain: Notify::new(),
            config,
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether mailboxes are served whose names the clients choose, instead of what the settings say. Also for the
    /// clones there are.
    ///
    /// Whoever knows such a name can read what is in the mailbox.
    pub fn open_mailboxes(self, open: bool) -> Self {
        self.shared.open_mailboxes.store(open, Ordering::Relaxed);
        self
    }

    /// Attaches the bridge to a server: it hears what the sessions say and what is broadcast, and hands in what is
    /// sent over HTTP; sessions may outlive their transport from here on ([`WsServer::resumable`]). Gives the server
    /// back, to be described further or started.
    ///
    /// A bridge serves one server. Attaching it to a second one has no effect but a line in the log.
    pub fn attach(&self, server: WsServer) -> WsServer {
        if self.shared.hub.set(server.hub()).is_err() {
            tracing::error!("the long-polling bridge is attached to a server already");
            return server;
        }
        server
            .resumable(self.shared.config.resume())
            .relay(Arc::new(MailboxRelay::new(&self.shared)))
    }

    /// The endpoints `GET /ws/poll`, `POST /ws/send` and those under `/ws/session`, to be merged or nested into any
    /// router.
    ///
    /// Below a prefix the `authorize` hook and the session are told the whole path by a server of ours
    /// ([`ConnectionInfo::target_of`](core_executor::ConnectionInfo::target_of)), by another what the prefix leaves.
    ///
    /// A limit on the time of requests must leave polls and streams alone, or be longer than
    /// [`LongPollConfig::wait`]. A send is answered within [`LongPollConfig::request_limit`].
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// What the endpoints are in an OpenAPI document: a paths object (OpenAPI 3.1.0 §4.8.8).
    ///
    /// ```
    /// use longpoll_bridge::{LongPollBridge, LongPollConfig};
    ///
    /// let paths = LongPollBridge::new(LongPollConfig::default()).openapi();
    /// assert!(paths["/ws/poll"]["get"].is_object() && paths["/ws/send"]["post"].is_object());
    /// ```
    pub fn openapi(&self) -> serde_json::Value {
        openapi::paths()
    }

    /// Starts the sweeper, which removes unused mailboxes and stops by itself when a shutdown is asked for. Again
    /// has no effect.
    ///
    /// # Errors
    /// A setting is out of its range ([`LongPollConfig::validate`]), or the executor is stopping.
    pub fn start(&self, spawner: &Spawner) -> Result<(), BridgeError> {
        self.shared.config.validate()?;
        if self.shared.sweeps.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sweeping = sweeper::run(self.share(), spawner.shutdown_signal());
        spawner.spawn_service(sweeping).map_err(|error| {
            self.shared.sweeps.store(false, Ordering::Release);
            BridgeError::Executor(error)
        })
    }

    /// Answers every waiting poll and ends every stream at once, and lets no new poll wait; sessions of the lossless
    /// form are told why, and when to come back ([`Resumption::close_polled`]). Returns how many polls and streams
    /// there were; never blocks; again has no effect. For the end of the server: what is answered with `[]` is asked
    /// again by clients in a loop, so listeners should be closed by then.
    pub fn begin_drain(&self) -> usize {
        let under_way = self.waiting() + self.streams();
        if self.shared.is_draining.swap(true, Ordering::SeqCst) {
            return under_way;
        }
        self.shared.drain.notify_waiters();
        if let Some(resumption) = self.resumption() {
            resumption.close_polled();
        }
        under_way
    }

    fn resumption(&self) -> Option<Resumption> {
        self.shared.hub().and_then(Hub::resumption)
    }

    /// Polls that wait for a message now.
    pub fn waiting(&self) -> usize {
        self.shared.waiters.count()
    }

    /// SSE streams that are open now.
    pub fn streams(&self) -> usize {
        self.shared.streams.count()
    }

    /// Sessions of the lossless form there are now, whatever carries them.
    pub fn sessions(&self) -> usize {
        self.resumption().map_or(0, |resumption| resumption.count())
    }

    /// Mailboxes there are now.
    pub fn mailboxes(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// The settings.
    pub fn config(&self) -> &LongPollConfig {
        &self.shared.config
    }

    /// The counters, live.
    pub fn metrics(&self) -> &LongPollMetrics {
        &self.shared.metrics
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Shared {
    pub(crate) fn hub(&self) -> Option<&Hub> {
        self.hub.get()
    }

    pub(crate) fn serves_open_mailboxes(&self) -> bool {
        self.open_mailboxes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Resolves when the drain begins after this call.
    pub(crate) fn drain_begins(&self) -> Notified<'_> {
        self.drain.notified()
    }
}

impl fmt::Debug for LongPollBridge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LongPollBridge")
            .field("attached", &self.shared.hub().is_some())
            .field("mailboxes", &self.mailboxes())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
