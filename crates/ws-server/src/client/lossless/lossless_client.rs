//! `LosslessClient`, a conversation that goes on when its connection breaks.

use std::future::Future;
use std::io;
use std::sync::Arc;

use core_executor::{IoStream, Spawner};
use serde::de::DeserializeOwned;
use tungstenite::protocol::Message;

use super::config::LosslessConfig;
use super::conversation::Conversation;
use super::incoming::Incoming;
use super::link::{Dial, Link};
use super::receiver::LosslessReceiver;
use super::typed::Typed;
use crate::client::end::hold;
use crate::client::queue::queue;
use crate::client::{ClientError, ClientSender, Closed};
use crate::message::JsonMessage;

/// A conversation with a server that speaks `lossless.v1` (`docs/wire-protocol.md`,
/// [`WsServer::resumable`](crate::WsServer::resumable)). It connects by itself, comes back when a connection breaks,
/// and resumes its session: each message arrives once and in order, in both directions.
///
/// - What the server has not acknowledged is kept and sent again, up to [`LosslessConfig::unacknowledged`]; past that
///   nothing more is taken from the outbox, so that [`send`](Self::send) waits.
/// - What the server could no longer keep is told as [`Incoming::Gap`]; a session that it ended or forgot (it lives 60
///   s without a connection, and not beyond a restart) as [`Incoming::Reopened`].
/// - It comes back after a jittered delay ([`Reconnect`](crate::client::Reconnect)), or when the server said.
/// - A receiver that does not receive is not read for, and a conversation that has something to hand over does not come
///   back before that is taken.
///
/// It ends with [`close`](Self::close); when everything is dropped (1000); with a Close of the server's that asks
/// nobody back (all but 1001, 1005, 1006, 1011 to 1015, 4408, 4429 and 4500 to 4599); when another connection takes the
/// session over (4409); and with an error that no later attempt would mend.
///
/// ```
/// use core_executor::RuntimeExecutor;
/// use ws_server::client::{Incoming, LosslessClient, LosslessConfig, Message};
/// use ws_server::{ResumeConfig, StopPlan, WsConfig, WsServer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let server = WsServer::new(WsConfig { port: 0, ..WsConfig::default() })
///     .resumable(ResumeConfig::default())
///     .on_message(|session, text| async move {
///         session.send_text(text);
///     })
///     .start(&executor.spawner())?;
/// let address = server.local_addr().expect("it has a listener of its own");
///
/// let url = format!("ws://{address}/");
/// let mut client = LosslessClient::open(&url, &LosslessConfig::default(), &executor.spawner())?;
/// client.send("hello").await?;
/// assert_eq!(client.receive().await?, Some(Incoming::Message(Message::text("hello"))));
/// assert!(client.close(1000, "").await?.is_clean);
/// # server.stop(StopPlan::within(std::time::Duration::from_secs(5))).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the connection"]
pub struct LosslessClient {
    sender: ClientSender,
    receiver: LosslessReceiver,
}

impl LosslessClient {
    /// Begins a conversation with a `ws://` address and does not wait for a connection: what goes wrong with the first
    /// is treated like what goes wrong with any other, and told by [`receive`](Self::receive) when nothing can mend it.
    ///
    /// # Errors
    /// [`ClientError::Executor`]: the executor takes no task.
    pub fn open(url: &str, config: &LosslessConfig, spawner: &Spawner) -> Result<Self, ClientError> {
        start(url, None, config, spawner)
    }

    /// The same over streams that the caller opens, one for each connection: encrypted ones, Unix sockets, simulated
    /// ones. Only the `Host` header and the target are taken from the address, which may be `wss://`. Dialling counts
    /// towards the limit of the handshake.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_over<F>(
        dial: impl Fn() -> F + Send + Sync + 'static,
        url: &str,
        config: &LosslessConfig,
        spawner: &Spawner,
    ) -> Result<Self, ClientError>
    where
        F: Future<Output = io::Result<IoStream>> + Send + 'static,
    {
        let dial: Dial = Arc::new(move || Box::pin(dial()));
        start(url, Some(dial), config, spawner)
    }

    /// Queues a message; see [`ClientSender::send`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        self.sender.send(message).await
    }

    /// Queues an envelope; see [`ClientSender::send_json`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn send_json(&self, message: &JsonMessage) -> Result<(), ClientError> {
        self.sender.send_json(message).await
    }

    /// What comes next; see [`LosslessReceiver::receive`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn receive(&mut self) -> Result<Option<Incoming>, ClientError> {
        self.receiver.receive().await
    }

    /// The same with text messages read into a type; see [`LosslessReceiver::receive_typed`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use ws_server::client::{ClientError, Incoming, LosslessClient, Typed};
    ///
    /// #[derive(Deserialize)]
    /// #[serde(tag = "type", content = "payload")]
    /// enum FromServer {
    ///     #[serde(rename = "chat.message")]
    ///     Chat { text: String },
    /// }
    ///
    /// async fn listen(mut client: LosslessClient) -> Result<(), ClientError> {
    ///     while let Some(incoming) = client.receive_typed().await? {
    ///         match incoming {
    ///             Typed::Message(FromServer::Chat { text }) => println!("{text}"),
    ///             Typed::Other(Incoming::Gap { lost }) => println!("{lost} messages are lost"),
    ///             _ => {}
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn receive_typed<T: DeserializeOwned>(&mut self) -> Result<Option<Typed<T>>, ClientError> {
        self.receiver.receive_typed().await
    }

    /// Ends the session: what is queued goes out first. See [`ClientSender::close`]. While there is no connection
    /// nobody can be told; then it ends at once, and the server's session with its resume time. `unsent` of the answer
    /// counts what the server may not have.
    ///
    /// Cancel safe: once the future was polled, it ends whether or not it is polled again.
    ///
    /// # Errors
    /// As there.
    pub async fn close(&self, code: u16, reason: &str) -> Result<Closed, ClientError> {
        self.sender.close(code, reason).await
    }

    /// How the conversation ended; `None` while it has not.
    pub fn closed(&self) -> Option<Closed> {
        self.sender.closed()
    }

    /// Another sender of this conversation.
    pub fn sender(&self) -> ClientSender {
        self.sender.clone()
    }

    /// The two halves, for two tasks. The session is closed with 1000 when all senders and the receiver are dropped.
    pub fn split(self) -> (ClientSender, LosslessReceiver) {
        (self.sender, self.receiver)
    }
}

fn start(
    url: &str,
    dial: Option<Dial>,
    config: &LosslessConfig,
    spawner: &Spawner,
) -> Result<LosslessClient, ClientError> {
    let (send, to_send) = queue(config.connection.outbox);
    let (received, receive) = queue(config.connection.inbox);
    let (hold, held) = hold();
    let link = Link::new(url, dial, &config.connection, spawner);
    let conversation = Conversation::new(link, config, to_send, received);
    spawner
        .spawn_service(conversation.run(held, spawner.shutdown_signal()))
        .map_err(ClientError::Executor)?;
    Ok(LosslessClient {
        sender: ClientSender::new(send, hold.clone()),
        receiver: LosslessReceiver::new(receive, hold),
    })
}
