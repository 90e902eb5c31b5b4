//! A WebSocket server: sessions above transports, rooms, typed messages and bounded outboxes.
//!
//! # A server in one minute
//!
//! Describe a [`WsServer`]: settings, then callbacks. They are async and get the [`Session`] they are about. Start it
//! on an executor, use its [`Hub`] from anywhere, stop it with a [`StopPlan`] and read the [`WsReport`].
//!
//! ```
//! use std::time::Duration;
//!
//! use core_executor::RuntimeExecutor;
//! use ws_server::{StopPlan, WsConfig, WsServer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let executor = RuntimeExecutor::with_threads(2)?;
//! let server = WsServer::new(WsConfig { port: 0, ..WsConfig::default() })
//!     .on_open(|session| async move {
//!         session.join("lobby").expect("a session may be in 128 rooms");
//!         session.send_text("welcome");
//!     })
//!     .on_message(|session, text| async move {
//!         session.send_text(format!("echo: {text}"));
//!     })
//!     .on_typed_message(|session, message| async move {
//!         if message.type_ == "chat" {
//!             let _counts = session.hub().broadcast_json_to_room("lobby", &message).await;
//!         }
//!     })
//!     .start(&executor.spawner())?;
//!
//! let address = server.local_addr().expect("it has a listener of its own");
//! # let client = std::thread::spawn(move || {
//! let stream = std::net::TcpStream::connect(address)?;
//! let (mut client, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("a handshake");
//! assert_eq!(client.read()?.into_text()?, "welcome");
//! client.send("hello".into())?;
//! assert_eq!(client.read()?.into_text()?, "echo: hello");
//! # while client.read().is_ok() {}
//! # Ok::<(), tungstenite::Error>(())
//! # });
//! # while server.hub().metrics().messages_sent() < 2 { tokio::task::yield_now().await; }
//!
//! let report = server.stop(StopPlan::within(Duration::from_secs(5))).await;
//! assert_eq!((report.sessions, report.cut_off), (1, 0));
//! # client.join().expect("the client does not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - **One `on_open`, one `on_close`** for each session, whatever happens to its connection. `on_open` has run before
//!   the client learns that the handshake succeeded.
//! - **Order.** For one message: `on_message` (or `on_binary`), then the [`Relay`]s, then `on_typed_message`. Messages
//!   of one session are handled one after the other; sessions never wait for each other.
//! - **Bounds.** What waits for a slow reader is bounded by messages and bytes; past them an [`OutboxPolicy`] decides,
//!   [`Session::send`] tells what happened, and every lost message is counted in [`WsMetrics`].
//! - **Strictness.** Frames follow RFC 6455 to the letter; a violation is answered with its close code. A message over
//!   the size limit is refused before it is buffered.
//! - **Compression** (permessage-deflate, RFC 7692) with clients that offer it. A message to a room is compressed once
//!   for each window size, a session keeps nothing for it while it is idle, and the size limit holds for what is
//!   inflated. [`DeflateConfig`] has the rest; [`Encoded::without_compression`] leaves one message alone.
//! - **Panics** in a callback end that session with 1011, are counted, and nothing else notices.
//! - **An end.** [`Hub::stop_async`] asks from anywhere and returns at once; [`RunningWsServer::stop`] flushes, says
//!   Close, waits for answers, and is back by its deadline.
//!
//! # One port instead of two
//!
//! [`WsServer::service`] is a tower service that fits any axum router, on whatever serves that router; start the server
//! with [`WsServer::start_without_listener`] then.
//!
//! ```
//! use axum::Router;
//! use ws_server::{WsConfig, WsServer};
//!
//! let server = WsServer::new(WsConfig::default());
//! let app: Router = Router::new().route_service("/ws", server.service());
//! # drop(app);
//! ```
//!
//! # Other transports
//!
//! A session is owned by the hub and carried by an [`Attachment`]. [`Hub::open_session`] gives one to any transport
//! that can hand in messages ([`Attachment::receive`]) and take out batches ([`Attachment::ready`],
//! [`Attachment::take_batch`]); callbacks, rooms and outbox are the same for all of them.
//!
//! # Sessions that outlive their transport
//!
//! After [`WsServer::resumable`] clients that agree on the subprotocol [`SUBPROTOCOL`] go on with their session when
//! their connection breaks, and [`Hub::resumption`] opens and finds such sessions for other transports: messages are
//! numbered by both ends, kept until they are acknowledged, and sent again over the next [`Carrier`]. `on_open` and
//! `on_close` run once. The rest is in `docs/wire-protocol.md`.

mod config;
mod deflate;
pub use config::{GoodbyeConfig, OutboxConfig, WsConfig};
pub use deflate::DeflateConfig;

mod running;
mod server;
mod tally;
pub use running::{RunningWsServer, StopPlan};
pub use server::{BoundWsServer, WsServer};
pub use tally::WsReport;

mod dispatch;
mod handlers;
mod peer;
mod session;
pub use peer::Peer;
pub use session::{Session, SessionId, TransportKind};

mod fan_out;
mod hub;
mod overview;
mod publish;
mod registry;
mod room;
mod rooms;
mod roster;
mod witness;
pub use hub::Hub;
pub use overview::{Backlog, RoomSize};
pub use publish::Published;

mod encoded;
mod message;
mod outbox;
mod relay;
mod text;
pub use encoded::Encoded;
pub use message::JsonMessage;
pub use outbox::{OutboxPolicy, SendOutcome};
pub use relay::{Relay, Target};
pub use text::Text;

mod handshake;
mod openapi;
mod origin;
mod refusal;
mod service;
pub use handshake::{Admission, HandshakeRequest};
pub use refusal::Refusal;
pub use service::UpgradeService;

mod attachment;
mod batch;
mod carry;
mod clock;
mod closing;
mod codec;
mod gathered;
mod heartbeat;
mod oldest;
mod patience;
mod scratch;
mod session_loop;
mod socket;
mod stalled;
mod sync;
mod writer;
pub use attachment::{Attachment, Ready};
pub use codec::Incoming;

mod resume;
pub use resume::{
    Binding, Carrier, Delivery, Hello, Next, ResumableSession, ResumeConfig, ResumeError, ResumeId,
    Resumption, SUBPROTOCOL,
};

mod close;
mod error;
mod metrics;
pub use close::{CloseInfo, ClosedBy, close_code};
pub use error::{SessionError, WsError};
pub use metrics::WsMetrics;

#[cfg(feature = "client")]
pub mod client;

#[cfg(all(test, shuttle))]
mod models;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
