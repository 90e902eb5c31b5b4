//! How a conversation comes to its next connection.

use std::fmt;
use std::io;
use std::sync::Arc;

use core_executor::{IoStream, Spawner};
use futures_util::future::BoxFuture;

use super::envelope::{Frame, Heard, Hello, Said};
use crate::client::{ClientConfig, ClientError, ClientReceiver, ClientSender, Closed, QueueConfig, WsClient};
use crate::{SUBPROTOCOL, close_code};

/// What one connection holds beside the queues of the conversation above it.
const QUEUE: QueueConfig = QueueConfig {
    messages: 32,
    bytes: 64 * 1024,
};

/// Opens a stream to the server.
pub(super) type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<IoStream>> + Send + Sync>;

/// Makes connections to one address.
pub(super) struct Link {
    url: String,
    /// Absent: plain TCP to the address.
    dial: Option<Dial>,
    config: ClientConfig,
    spawner: Spawner,
}

/// The two halves of a connection. Dropping them leaves the session alone; a Close with 1000 would end it.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) sender: ClientSender,
    pub(super) receiver: ClientReceiver,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.sender.ask_to_close(close_code::GOING_AWAY);
    }
}

/// Why there is no connection, or no session on it.
#[derive(Debug)]
pub(super) enum NotJoined {
    Error(ClientError),
    Closed(Closed),
}

impl Link {
    pub(super) fn new(url: &str, dial: Option<Dial>, config: &ClientConfig, spawner: &Spawner) -> Self {
        let config = ClientConfig {
            subprotocols: vec![SUBPROTOCOL.to_owned()],
            outbox: QUEUE,
            inbox: QUEUE,
            ..config.clone()
        };
        Self {
            url: url.to_owned(),
            dial,
            config,
            spawner: spawner.clone(),
        }
    }

    /// Connects, and opens a session or resumes this one, within the limit of a handshake.
    pub(super) async fn join(&self, session: Option<(&str, u64)>) -> Result<(Carrier, Hello), NotJoined> {
        let limit = self.config.handshake_timeout;
        let work = async {
            let client = self.connect().await.map_err(NotJoined::Error)?;
            if client.subprotocol() != Some(SUBPROTOCOL) {
                return Err(not_spoken());
            }
            let (sender, receiver) = client.split();
            greet(Carrier { sender, receiver }, session).await
        };
        if limit.is_zero() {
            return work.await;
        }
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(NotJoined::Error(ClientError::HandshakeTimeout { limit })))
    }

    async fn connect(&self) -> Result<WsClient, ClientError> {
        let Self {
            url,
            dial,
            config,
            spawner,
        } = self;
        let Some(dial) = dial else {
            return WsClient::connect(url, config, spawner).await;
        };
        let stream = dial().await.map_err(|source| ClientError::Connect {
            address: "the server".to_owned(),
            source,
        })?;
        WsClient::connect_over(stream, url, config, spawner).await
    }
}

fn not_spoken() -> NotJoined {
    NotJoined::Error(ClientError::BadAnswer {
        rule: "it does not speak lossless.v1",
    })
}

/// Says which session it is about and waits for the answer.
async fn greet(mut carrier: Carrier, session: Option<(&str, u64)>) -> Result<(Carrier, Hello), NotJoined> {
    let said = match session {
        Some((session, cursor)) => Said::Resume { session, cursor },
        None => Said::Open {},
    };
    // When it cannot be sent, the receiver knows why.
    let _ = carrier.sender.send(said.to_message()).await;
    loop {
        let frame = match carrier.receiver.receive().await {
            Ok(Some(message)) => Frame::read(message),
            Ok(None) => return Err(ended(carrier.receiver.closed())),
            Err(error) => return Err(NotJoined::Error(error)),
        };
        match frame {
            Frame::Control(Heard {
                hello: Some(hello), ..
            }) => return Ok((carrier, hello)),
            // Why the Close follows that is right behind it, or something of a later version.
            Frame::Control(_) => {}
            Frame::Message(_) | Frame::Malformed => return Err(not_spoken()),
        }
    }
}

fn ended(closed: Option<Closed>) -> NotJoined {
    closed.map_or(NotJoined::Error(ClientError::ExecutorEnded), NotJoined::Closed)
}

/// The function that dials has nothing to show, and headers may hold credentials.
impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}
