//! The hub: all sessions, all rooms, and the one path on which messages are published.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use core_executor::{RunningServer, Spawner};

use crate::config::{WsConfig, or_unlimited};
use crate::dispatch::{Dispatch, guarded_value};
use crate::encoded::Encoded;
use crate::error::WsError;
use crate::handlers::Handlers;
use crate::handshake::HandshakeRequest;
use crate::message::JsonMessage;
use crate::metrics::WsMetrics;
use crate::origin::check_origin;
use crate::outbox::{OutboxPolicy, SendOutcome};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::relay::Target;
use crate::rooms::Tables;
use crate::session::Session;
use crate::tally::Tally;

/// All sessions and rooms of one server. Cloning counts a reference; it may be used from any thread, inside
/// callbacks, and before the server is started.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    config: WsConfig,
    metrics: WsMetrics,
    tables: Tables,
    /// Set once, by the first wish to stop.
    stopping: AtomicBool,
    /// Present while the server runs. Callbacks may hold this hub, so it lets go of them at the end.
    running: RwLock<Option<Running>>,
    /// The own listener, to be closed by a wish to stop.
    listener: Mutex<Option<Arc<RunningServer>>>,
    tally: Tally,
}

#[derive(Clone)]
struct Running {
    handlers: Arc<Handlers>,
    spawner: Spawner,
}

/// What became of a published message among the local sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Sessions in whose outbox it waits.
    pub delivered: u64,
    /// Sessions whose outbox was full; each loss is counted.
    pub dropped: u64,
    /// Sessions that were closing.
    pub closing: u64,
}

impl Published {
    fn count(&mut self, outcome: SendOutcome) {
        match outcome {
            SendOutcome::Queued => self.delivered += 1,
            SendOutcome::Dropped => self.dropped += 1,
            SendOutcome::Closed => self.closing += 1,
        }
    }
}

/// One message on its way to many.
struct Publication<'a> {
    target: Target<'a>,
    except: Option<&'a Session>,
    message: Encoded,
    policy: OutboxPolicy,
}

impl Hub {
    pub(crate) fn new(config: WsConfig) -> Self {
        let metrics = WsMetrics::new();
        let tables = Tables::new(metrics.rooms_active.clone());
        Self(Arc::new(Inner {
            config,
            metrics,
            tables,
            stopping: AtomicBool::new(false),
            running: RwLock::default(),
            listener: Mutex::default(),
            tally: Tally::default(),
        }))
    }

    /// Sends a framed message to the members of a room and to the relays.
    ///
    /// The message is framed once and shared by all. A member whose outbox is full is treated by the server's
    /// outbox policy. Cancel safe: all of it happens in one step.
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish(&self, room: &str, message: impl Into<Encoded>) -> Result<Published, WsError> {
        self.publish_with(room, message, self.config().outbox.policy)
            .await
    }

    /// The same under an outbox policy of its own.
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish_with(
        &self,
        room: &str,
        message: impl Into<Encoded>,
        policy: OutboxPolicy,
    ) -> Result<Published, WsError> {
        self.send_out(Publication {
            target: Target::Room(room),
            except: None,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a framed message to the members of a room but one, and to the relays.
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish_except(
        &self,
        room: &str,
        except: &Session,
        message: impl Into<Encoded>,
    ) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        let (target, except) = (Target::Room(room), Some(except));
        self.send_out(Publication {
            target,
            except,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a text message to a room; see [`publish`](Self::publish).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_text_to_room(
        &self,
        room: &str,
        text: impl AsRef<str>,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::text(text)).await
    }

    /// Sends a binary message to a room; see [`publish`](Self::publish).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_binary_to_room(
        &self,
        room: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::binary(body)).await
    }

    /// Sends an envelope to a room; see [`publish`](Self::publish).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_json_to_room(
        &self,
        room: &str,
        message: &JsonMessage,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::json(message)).await
    }

    /// Sends a framed message to every session and to the relays.
    ///
    /// # Errors
    /// None today; a broker behind the relays may have some.
    pub async fn broadcast(&self, message: impl Into<Encoded>) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        self.send_out(Publication {
            target: Target::All,
            except: None,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a framed message to every session but one, and to the relays.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_except(
        &self,
        except: &Session,
        message: impl Into<Encoded>,
    ) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        let (target, except) = (Target::All, Some(except));
        self.send_out(Publication {
            target,
            except,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a text message to every session; see [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_text(&self, text: impl AsRef<str>) -> Result<Published, WsError> {
        self.broadcast(Encoded::text(text)).await
    }

    /// Sends a binary message to every session; see [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_binary(&self, body: impl AsRef<[u8]>) -> Result<Published, WsError> {
        self.broadcast(Encoded::binary(body)).await
    }

    /// Sends an envelope to every session; see [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_json(&self, message: &JsonMessage) -> Result<Published, WsError> {
        self.broadcast(Encoded::json(message)).await
    }

    /// The one path of every publication: local sessions, counts, relays.
    async fn send_out(&self, publication: Publication<'_>) -> Result<Published, WsError> {
        let Publication {
            target,
            except,
            message,
            policy,
        } = publication;
        let mut published = Published::default();
        let mut deliver = |session: &Session| {
            if except != Some(session) {
                published.count(session.send_with(message.clone(), policy));
            }
        };
        match target {
            Target::All => self.tables().for_each_session(deliver),
            Target::Room(name) => {
                self.check_room_name(name)?;
                if let Some(room) = self.tables().room(name) {
                    room.for_each(&mut deliver);
                }
            }
        }
        self.relay(target, &message);
        Ok(published)
    }

    fn relay(&self, target: Target<'_>, message: &Encoded) {
        let Some(running) = self.running() else {
            return;
        };
        for relay in &running.handlers.relays {
            if catch_unwind(AssertUnwindSafe(|| relay.broadcast(target, message))).is_err() {
                self.metrics().panicked();
            }
        }
    }

    /// Sessions that are registered.
    pub fn sessions(&self) -> usize {
        self.tables().len()
    }

    /// Members of a room.
    pub fn room_size(&self, room: &str) -> usize {
        self.tables().room(room).map_or(0, |room| room.len())
    }

    /// Runs relays and typed handler for an envelope, as for one received by this session.
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
    /// [`SendOutcome::Closed`].
    pub fn detached_session(&self, peer: Peer) -> Session {
        let handlers = self.running().map(|running| running.handlers).unwrap_or_default();
        Session::detached(self, handlers, peer)
    }

    /// Applies the rules of a handshake that do not depend on the transport: running, Origin, `authorize`.
    ///
    /// # Errors
    /// The answer to give instead.
    pub async fn admit(&self, request: HandshakeRequest) -> Result<(), Refusal> {
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
            None => Ok(()),
        }
    }

    /// Asks the server to stop: from now on handshakes are refused and the own listener closes. Returns at once;
    /// may be called from any callback and any thread, any number of times, also before the start (which is then
    /// refused). The sessions end with [`RunningWsServer::stop`](crate::RunningWsServer::stop).
    pub fn stop_async(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        let listener = self
            .0
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
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

    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    pub(crate) fn spawner(&self) -> Option<Spawner> {
        self.running().map(|running| running.spawner)
    }

    pub(crate) fn handlers(&self) -> Option<Arc<Handlers>> {
        self.running().map(|running| running.handlers)
    }

    fn running(&self) -> Option<Running> {
        self.0
            .running
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The server runs from here on.
    pub(crate) fn run(&self, handlers: Handlers, spawner: Spawner) {
        let running = Running {
            handlers: Arc::new(handlers),
            spawner,
        };
        *self.0.running.write().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// The server has ended: callbacks are let go.
    pub(crate) fn ended(&self) {
        let running = self
            .0
            .running
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let listener = self
            .0
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Dropped outside of the locks: what callbacks captured may come back here in its own drop.
        drop((running, listener));
    }

    /// The own listener serves; a stop that was asked for meanwhile closes it.
    pub(crate) fn listens(&self, listener: &Arc<RunningServer>) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(listener));
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
