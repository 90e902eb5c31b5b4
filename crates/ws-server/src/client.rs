//! A WebSocket client for services, which speaks through the server's own codec (feature `client`).
//!
//! # A conversation
//!
//! [`WsClient::connect`] shakes hands; [`send`](WsClient::send) takes text and binary messages and envelopes,
//! [`receive`](WsClient::receive) gives messages, [`close`](WsClient::close) says goodbye and tells how it ended.
//!
//! ```
//! use std::time::Duration;
//!
//! use core_executor::RuntimeExecutor;
//! use ws_server::client::{ClientConfig, Message, WsClient};
//! use ws_server::{JsonMessage, StopPlan, WsConfig, WsServer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let executor = RuntimeExecutor::with_threads(1)?;
//! # let server = WsServer::new(WsConfig { port: 0, ..WsConfig::default() })
//! #     .on_message(|session, text| async move {
//! #         session.send_text(text);
//! #     })
//! #     .start(&executor.spawner())?;
//! # let address = server.local_addr().expect("it has a listener of its own");
//! // `address` is that of a server that sends every text back.
//! let url = format!("ws://{address}/echo");
//! let mut client = WsClient::connect(&url, &ClientConfig::default(), &executor.spawner()).await?;
//!
//! client.send("hello").await?;
//! assert_eq!(client.receive().await?, Some(Message::text("hello")));
//!
//! client.send_json(&JsonMessage::empty("ping")).await?;
//! let answer = client.receive().await?.expect("the server goes on");
//! let answer = JsonMessage::parse(answer.to_text()?, 32).expect("it is an envelope");
//! assert_eq!(answer.type_, "ping");
//!
//! let closed = client.close(1000, "").await?;
//! assert!(closed.is_clean && closed.unsent == 0);
//! # server.stop(StopPlan::within(Duration::from_secs(5))).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who drives it
//!
//! Each connection is one task on the executor whose [`Spawner`](core_executor::Spawner) it was given; the client
//! and its halves only put into and take from two bounded queues. So pings are answered, the heartbeat beats and a
//! close is carried to its end whether or not anybody awaits a method just now; every method is cancel safe; the two
//! halves ([`WsClient::split`]) go to any tasks, on any runtime; and the executor knows of the task and can end it.
//!
//! - Up to [`ClientConfig::outbox`] waits to be sent: [`ClientSender::send`] waits for room, so a slow server slows
//!   the sender down; [`ClientSender::try_send`] does not wait.
//! - Up to [`ClientConfig::inbox`] waits to be received. Past that the socket is not read, so a slow receiver slows
//!   the server down. Pings wait too then, so a receiver that stops for longer than the server's own limits is cut.
//! - A stop of the executor does not close a client by itself, because what still runs may need it; close or drop it.
//!   At the executor's deadline, or when it is to stop now, the connection is cut.
//!
//! # How it ends
//!
//! | what happens | `receive` | [`Closed`] |
//! |---|---|---|
//! | the server says Close | `None` | its code; our Close was the answer |
//! | [`close`](WsClient::close), or everything is dropped (1000) | `None` | our code; [`is_clean`](Closed::is_clean) when the server answered in time |
//! | the connection ends without a Close | [`ClientError::Lost`] | 1006 |
//! | the server breaks a rule or a limit | [`ClientError::Protocol`] | the code that it was sent: 1002, 1007, 1008, 1009 |
//! | no byte after a ping | [`ClientError::NoPong`] | 1006 |
//! | the server takes nothing | [`ClientError::Stalled`] | 1006 |
//! | the executor ends | [`ClientError::ExecutorEnded`] | none, or 1006 |
//!
//! # Coming back
//!
//! [`LosslessClient`] comes back by itself and loses nothing, where the server takes part
//! ([`WsServer::resumable`](crate::WsServer::resumable)). Where it does not:
//!
//! [`Reconnect`] tells how long to wait before the next attempt: a draw under a growing ceiling, or what the server
//! asked for. It does not connect by itself, because only the caller knows what has to be said again on a new
//! connection.
//!
//! ```no_run
//! use std::time::Instant;
//!
//! use core_executor::Spawner;
//! use ws_server::client::{ClientConfig, ClientError, Reconnect, ReconnectConfig, WsClient};
//!
//! async fn follow(url: &str, spawner: &Spawner) -> Result<(), ClientError> {
//!     let config = ClientConfig::default();
//!     let mut reconnect = Reconnect::new(ReconnectConfig::default());
//!     loop {
//!         let hint = match WsClient::connect(url, &config, spawner).await {
//!             Ok(mut client) => {
//!                 reconnect.connected(Instant::now());
//!                 while let Ok(Some(message)) = client.receive().await {
//!                     println!("{message}");
//!                 }
//!                 client.closed().and_then(|closed| closed.retry_after())
//!             }
//!             Err(error) if error.is_temporary() => error.retry_after(),
//!             Err(error) => return Err(error),
//!         };
//!         let Some(delay) = reconnect.delay(Instant::now(), hint) else {
//!             return Ok(());
//!         };
//!         tokio::time::sleep(delay).await;
//!     }
//! }
//! ```

mod clock;
mod connection;
mod end;
mod establish;
mod opening;
mod output;
mod queue;
mod target;

mod ws_client;
pub use ws_client::WsClient;

mod config;
pub use config::{ClientConfig, QueueConfig};

mod receiver;
mod sender;
pub use receiver::ClientReceiver;
pub use sender::ClientSender;

mod closed;
mod error;
pub use closed::Closed;
pub use error::ClientError;

mod reconnect;
pub use reconnect::{Reconnect, ReconnectConfig};

mod lossless;
pub use lossless::{Incoming, LosslessClient, LosslessConfig, LosslessReceiver, Typed};

pub use tungstenite::protocol::Message;
