//! The server's life: described, bound, running, ended. Each step takes the former by value.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use bytes::Bytes;
use core_executor::{
    BindError, BoundListener, ConnectionStateListener, Listener, ServeOptions, Spawner, TlsIdentity,
};

use crate::close::CloseInfo;
use crate::config::WsConfig;
use crate::error::{SessionError, WsError};
use crate::handlers::{Handlers, callback, handler};
use crate::handshake::{Admission, HandshakeRequest};
use crate::hub::Hub;
use crate::message::JsonMessage;
use crate::metrics::WsMetrics;
use crate::refusal::Refusal;
use crate::relay::Relay;
use crate::resume::ResumeConfig;
use crate::running::RunningWsServer;
use crate::service::UpgradeService;
use crate::session::Session;
use crate::sync::Mutex;
use crate::text::Text;

/// A server that is being described: settings, callbacks, relays. Nothing is bound and nothing runs yet.
///
/// Callbacks may be async. Those of one session run strictly one after the other; sessions never delay each other,
/// as long as a callback does not block its thread. A callback that panics ends its session with 1011 and is counted.
#[must_use = "a described server does nothing until it is started"]
pub struct WsServer {
    hub: Hub,
    handlers: Handlers,
    state_listener: Option<Arc<dyn ConnectionStateListener>>,
    /// Bound by somebody else, instead of the configured address. Locked, because a listener need not be `Sync`.
    socket: Mutex<Option<Result<BoundListener, BindError>>>,
}

impl WsServer {
    /// A server with these settings and no callbacks.
    pub fn new(config: WsConfig) -> Self {
        Self {
            hub: Hub::new(config),
            handlers: Handlers::default(),
            state_listener: None,
            socket: Mutex::default(),
        }
    }

    /// Called when a session is registered, before its client is told that the handshake succeeded: what it joins
    /// is in effect and what it sends goes out right behind the answer.
    pub fn on_open<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.open = Some(callback(move |session, ()| function(session)));
        self
    }

    /// Called exactly once for each session that was opened, after its last message, and never while `on_open` runs.
    pub fn on_close<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session, CloseInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.close = Some(callback(function));
        self
    }

    /// Called right before `on_close` when something went wrong. A connection that merely ends is no error.
    pub fn on_error<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session, SessionError) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.error = Some(callback(function));
        self
    }

    /// Called for each text message, envelope or not.
    pub fn on_message<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session, Text) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.text = Some(handler(function));
        self
    }

    /// Called for each binary message.
    pub fn on_binary<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session, Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.binary = Some(handler(function));
        self
    }

    /// Called for each text message that is an envelope, after `on_message` and the relays.
    pub fn on_typed_message<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(Session, JsonMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handlers.typed = Some(handler(function));
        self
    }

    /// Asked about each lawful handshake that passed the Origin rule; an error is the HTTP answer. A panic in it
    /// answers 500.
    ///
    /// What it gives is kept with the session, where [`Session::data`] has it from `on_open` on.
    ///
    /// ```
    /// use http::StatusCode;
    /// use ws_server::{Refusal, WsConfig, WsServer};
    ///
    /// struct User(String);
    ///
    /// let server = WsServer::new(WsConfig::default())
    ///     .authorize(|request| async move {
    ///         let name = request.header("x-user").ok_or(Refusal::new(StatusCode::UNAUTHORIZED, "who are you?"))?;
    ///         Ok(User(name.to_owned()))
    ///     })
    ///     .on_open(|session| async move {
    ///         let user = session.data::<User>().expect("authorize gave it");
    ///         session.send_text(format!("hello {}", user.0));
    ///     });
    /// # drop(server);
    /// ```
    pub fn authorize<F, Fut, T>(mut self, function: F) -> Self
    where
        F: Fn(HandshakeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        self.handlers.authorize = Some(Box::new(move |request| {
            let decision = function(request);
            Box::pin(async move { decision.await.map(Admission::with) })
        }));
        self
    }

    /// Adds something that hears what sessions say and what is broadcast.
    pub fn relay(mut self, relay: Arc<dyn Relay>) -> Self {
        self.handlers.relays.push(relay);
        self
    }

    /// Lets sessions outlive their transport: clients that agree on the subprotocol [`SUBPROTOCOL`](crate::SUBPROTOCOL)
    /// go on with their session over another connection, and [`Hub::resumption`] opens such sessions for other
    /// transports. Without it every session ends with its connection. Only the first call counts.
    pub fn resumable(self, config: ResumeConfig) -> Self {
        self.hub.make_resumable(config);
        self
    }

    /// Who is told of the connections of the own listener.
    pub fn connection_state_listener(mut self, listener: impl ConnectionStateListener) -> Self {
        self.state_listener = Some(Arc::new(listener));
        self
    }

    /// Serves a socket that listens already, instead of `host` and `port` of the settings.
    ///
    /// ```
    /// use ws_server::{WsConfig, WsServer};
    ///
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let bound = WsServer::new(WsConfig::default()).listener(socket).bind()?;
    /// assert_eq!(bound.local_addr(), address);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener(self, socket: TcpListener) -> Self {
        *self.socket.lock() = Some(BoundListener::from_std(socket));
        self
    }

    /// Accepts from any other source of connections, instead of `host` and `port` of the settings: Unix sockets, a
    /// simulated network. It is closed by being dropped.
    pub fn accept_from(self, source: impl Listener) -> Self {
        *self.socket.lock() = Some(Ok(BoundListener::from_listener(source)));
        self
    }

    /// The hub, to be used inside callbacks and elsewhere.
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// The metrics, to be registered by who composes.
    pub fn metrics(&self) -> WsMetrics {
        self.hub.metrics().clone()
    }

    /// The settings.
    pub fn config(&self) -> &WsConfig {
        self.hub.config()
    }

    /// The handshake as a service for any router; it answers 503 until the server is started.
    pub fn service(&self) -> UpgradeService {
        UpgradeService::new(self.hub())
    }

    /// Binds the own listener to `host` and `port` of the settings. Nobody is served yet; the kernel holds
    /// connections until the start.
    ///
    /// # Errors
    /// [`WsError::Bind`], which names the address, and [`WsError::Tls`], which names the setting and the file.
    pub fn bind(self) -> Result<BoundWsServer, WsError> {
        let config = self.hub.config();
        let load = |tls| TlsIdentity::load(tls, &self.hub.metrics().connections);
        let tls = config.tls.as_ref().map(load).transpose().map_err(WsError::Tls)?;
        let bound = self.socket.lock().take();
        let listener = match bound {
            Some(bound) => bound,
            None => BoundListener::bind(&config.host, config.port),
        };
        Ok(BoundWsServer {
            server: self,
            listener: listener.map_err(WsError::Bind)?,
            tls,
        })
    }

    /// Binds and starts.
    ///
    /// # Errors
    /// As [`bind`](Self::bind) and [`BoundWsServer::start`].
    pub fn start(self, spawner: &Spawner) -> Result<RunningWsServer, WsError> {
        self.bind()?.start(spawner)
    }

    /// Starts without a listener of its own: sessions come through [`service`](Self::service) alone.
    ///
    /// # Errors
    /// [`WsError::StopRequested`].
    pub fn start_without_listener(self, spawner: &Spawner) -> Result<RunningWsServer, WsError> {
        let Self {
            hub,
            handlers,
            state_listener: _,
            socket: _,
        } = self;
        begin(&hub, handlers, spawner)?;
        Ok(RunningWsServer::new(hub, None, None))
    }
}

/// Callbacks are code, so there is nothing to show of them.
impl fmt::Debug for WsServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WsServer")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// A server whose listener is bound and which serves nobody yet.
#[must_use = "a bound server serves nobody until it is started"]
#[derive(Debug)]
pub struct BoundWsServer {
    server: WsServer,
    listener: BoundListener,
    tls: Option<TlsIdentity>,
}

impl BoundWsServer {
    /// The address it will serve, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The hub, to be used inside callbacks and elsewhere.
    pub fn hub(&self) -> Hub {
        self.server.hub()
    }

    /// The handshake as a service for any router, beside the own listener.
    pub fn service(&self) -> UpgradeService {
        self.server.service()
    }

    /// Serves from here on.
    ///
    /// # Errors
    /// [`WsError::StopRequested`] when a stop was asked for before, [`WsError::Executor`] when the executor takes no
    /// task.
    pub fn start(self, spawner: &Spawner) -> Result<RunningWsServer, WsError> {
        let Self {
            server,
            listener,
            tls,
        } = self;
        let reloader = tls.as_ref().map(TlsIdentity::reloader);
        let WsServer {
            hub,
            handlers,
            state_listener,
            socket: _,
        } = server;
        begin(&hub, handlers, spawner)?;
        let options = ServeOptions::new("ws")
            .limits(hub.config().limits)
            .state_listener(state_listener)
            .metrics(hub.metrics().connections.clone())
            .tls(tls);
        let service = UpgradeService::new(hub.clone());
        let served = core_executor::serve(listener, service, options, spawner).map_err(|error| {
            hub.ended();
            WsError::Executor(error)
        })?;
        let served = Arc::new(served);
        hub.listens(&served);
        Ok(RunningWsServer::new(hub, Some(served), reloader))
    }
}

fn begin(hub: &Hub, handlers: Handlers, spawner: &Spawner) -> Result<(), WsError> {
    if hub.is_stopping() {
        return Err(WsError::StopRequested);
    }
    spawner
        .spawn_near(Arc::clone(hub.clock()).run())
        .map_err(WsError::Executor)?;
    hub.run(handlers, spawner.clone());
    match hub.resumption() {
        Some(resumption) => spawner
            .spawn_service(resumption.sweep())
            .map_err(WsError::Executor),
        None => Ok(()),
    }
}
