//! `WsClient`, a connection to a WebSocket server.

use std::sync::Arc;

use core_executor::{IoStream, Spawner};
use http::HeaderMap;
use tokio::sync::oneshot;
use tungstenite::protocol::Message;

use super::closed::Closed;
use super::config::ClientConfig;
use super::connection::Connection;
use super::end::hold;
use super::error::ClientError;
use super::establish::{Established, Road, establish};
use super::opening::{Agreed, Opening};
use super::queue::queue;
use super::receiver::ClientReceiver;
use super::sender::ClientSender;
use super::target::Target;
use crate::message::JsonMessage;

/// A connection to a WebSocket server. See the [module](super) for how it lives.
///
/// Dropping it closes the connection with 1000, in the background.
#[derive(Debug)]
#[must_use = "dropping it ends the connection"]
pub struct WsClient {
    sender: ClientSender,
    receiver: ClientReceiver,
    agreed: Agreed,
}

impl WsClient {
    /// Connects to a `ws://` address. The connection's task runs on the executor; the future itself can be awaited
    /// on any runtime.
    ///
    /// Cancel safe: a call that does not finish leaves no connection behind.
    ///
    /// # Errors
    /// [`ClientError`]: an address or setting that cannot be used, no connection, a refusal, a wrong answer, the
    /// time limit, an executor that takes no task.
    pub async fn connect(url: &str, config: &ClientConfig, spawner: &Spawner) -> Result<Self, ClientError> {
        let target = Target::parse(url)?;
        if target.is_tls {
            return Err(ClientError::TlsNotSupported);
        }
        let opening = Opening::new(&target, config)?;
        let road = Road::Tcp {
            host: target.host,
            port: target.port,
        };
        open(road, opening, config, spawner).await
    }

    /// Shakes hands over a stream that is open already: encrypted, a Unix socket, a simulated one. Only the `Host`
    /// header and the target are taken from the address, which may be `wss://`. A stream that belongs to a runtime
    /// works as long as that runtime runs.
    ///
    /// Cancel safe: a call that does not finish leaves no connection behind.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_over(
        stream: IoStream,
        url: &str,
        config: &ClientConfig,
        spawner: &Spawner,
    ) -> Result<Self, ClientError> {
        let opening = Opening::new(&Target::parse(url)?, config)?;
        open(Road::Open(stream), opening, config, spawner).await
    }

    /// Sends a message; see [`ClientSender::send`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        self.sender.send(message).await
    }

    /// Sends an envelope; see [`ClientSender::send_json`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn send_json(&self, message: &JsonMessage) -> Result<(), ClientError> {
        self.sender.send_json(message).await
    }

    /// The next message; see [`ClientReceiver::receive`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn receive(&mut self) -> Result<Option<Message>, ClientError> {
        self.receiver.receive().await
    }

    /// Closes the connection; see [`ClientSender::close`]. Cancel safe: it closes all the same.
    ///
    /// # Errors
    /// As there.
    pub async fn close(&self, code: u16, reason: &str) -> Result<Closed, ClientError> {
        self.sender.close(code, reason).await
    }

    /// How the connection ended; `None` while it has not.
    pub fn closed(&self) -> Option<Closed> {
        self.sender.closed()
    }

    /// The subprotocol the server took, one of those that were offered.
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.subprotocol.as_deref()
    }

    /// Whether permessage-deflate was offered and taken.
    pub fn uses_deflate(&self) -> bool {
        self.agreed.deflate.is_some()
    }

    /// The headers of the server's answer to the handshake.
    pub fn response_headers(&self) -> &HeaderMap {
        &self.agreed.headers
    }

    /// Another sender of this connection.
    pub fn sender(&self) -> ClientSender {
        self.sender.clone()
    }

    /// The two halves, for two tasks. The connection closes with 1000 when all senders and the receiver are dropped.
    pub fn split(self) -> (ClientSender, ClientReceiver) {
        (self.sender, self.receiver)
    }
}

/// Opens the connection in a task of its own, so that the socket belongs to the worker that serves it.
async fn open(
    road: Road,
    opening: Opening,
    config: &ClientConfig,
    spawner: &Spawner,
) -> Result<WsClient, ClientError> {
    let (answer, answered) = oneshot::channel();
    let task = live(road, opening, Arc::new(config.clone()), spawner.clone(), answer);
    spawner.spawn_service(task).map_err(ClientError::Executor)?;
    answered.await.unwrap_or(Err(ClientError::ExecutorEnded))
}

/// The life of a connection.
async fn live(
    road: Road,
    opening: Opening,
    config: Arc<ClientConfig>,
    spawner: Spawner,
    mut answer: oneshot::Sender<Result<WsClient, ClientError>>,
) {
    let signal = spawner.shutdown_signal();
    let established = tokio::select! {
        established = Box::pin(establish(road, opening, &config)) => established,
        () = answer.closed() => return,
        () = signal.requested_now() => return,
    };
    let Established {
        stream,
        early,
        agreed,
    } = match established {
        Ok(established) => established,
        Err(error) => {
            // Nobody waits for the answer any more: there is nobody to tell.
            let _ = answer.send(Err(error));
            return;
        }
    };
    let (send, to_send) = queue(config.outbox);
    let (received, receive) = queue(config.inbox);
    let (hold, held) = hold();
    let deflate = agreed.deflate;
    let client = WsClient {
        sender: ClientSender::new(send, hold.clone()),
        receiver: ClientReceiver::new(receive, hold),
        agreed,
    };
    let connection = Connection::new(stream, early, deflate, (to_send, received), &config);
    // When nobody waits any more, both halves are dropped here and the connection closes at once.
    let _ = answer.send(Ok(client));
    connection.run(held, signal).await;
}
