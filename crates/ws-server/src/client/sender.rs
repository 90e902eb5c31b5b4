//! The half of a client that sends.

use tungstenite::protocol::Message;

use super::closed::Closed;
use super::end::Hold;
use super::error::ClientError;
use super::queue::{NotQueued, QueueSender};
use crate::codec::may_be_sent;
use crate::message::JsonMessage;

/// Sends messages over a client's connection or in a conversation above connections; clone it for as many tasks as need
/// to. Its methods can be awaited on any runtime.
#[derive(Debug, Clone)]
pub struct ClientSender {
    queue: QueueSender,
    hold: Hold,
}

impl ClientSender {
    pub(super) fn new(queue: QueueSender, hold: Hold) -> Self {
        Self { queue, hold }
    }

    /// Queues a text (`&str`, `String`) or binary (`Vec<u8>`, `Bytes`) message, and waits while too much waits. It
    /// goes out behind what was queued before; that it is queued does not say that the server has read it.
    ///
    /// Cancel safe: a call that does not finish has sent nothing.
    ///
    /// # Errors
    /// [`ClientError::Closed`] once the connection closes, [`ClientError::NotAMessage`] for a control frame.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        let message = checked(message.into())?;
        let room = self.queue.room(&message).await.map_err(|_| ClientError::Closed)?;
        room.put(message);
        Ok(())
    }

    /// Queues an envelope as a text message, as [`send`](Self::send) does. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError::Closed`] once the connection closes.
    pub async fn send_json(&self, message: &JsonMessage) -> Result<(), ClientError> {
        self.send(message.to_text()).await
    }

    /// Queues a message without waiting.
    ///
    /// # Errors
    /// [`ClientError::Full`] at the limit of [`ClientConfig::outbox`](super::ClientConfig::outbox), and as
    /// [`send`](Self::send).
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        let message = checked(message.into())?;
        self.queue.try_send(message).map_err(|error| match error {
            NotQueued::Full(_) => ClientError::Full,
            NotQueued::Closed => ClientError::Closed,
        })
    }

    /// Closes: nothing more can be sent, what is queued goes out, then our Close, and the server's is waited for.
    /// Gives the last word about the connection, which is another one when it was closing already.
    ///
    /// Cancel safe: once the future was polled, the connection closes whether or not it is polled again. It takes at
    /// most [`ClientConfig::close_timeout`](super::ClientConfig::close_timeout) after the last byte that the server
    /// took, twice when the server answers and then does not end the connection.
    ///
    /// # Errors
    /// [`ClientError::BadCloseCode`], and [`ClientError::ExecutorEnded`].
    pub async fn close(&self, code: u16, reason: &str) -> Result<Closed, ClientError> {
        if !may_be_sent(code) {
            return Err(ClientError::BadCloseCode { code });
        }
        self.hold.ask(code, reason);
        self.hold.clone().ended().await
    }

    /// Wishes to close, and does not wait.
    pub(super) fn ask_to_close(&self, code: u16) {
        self.hold.ask(code, "");
    }

    /// How the connection ended; `None` while it has not.
    pub fn closed(&self) -> Option<Closed> {
        self.hold.closed()
    }
}

fn checked(message: Message) -> Result<Message, ClientError> {
    match message {
        Message::Text(_) | Message::Binary(_) => Ok(message),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
            Err(ClientError::NotAMessage)
        }
    }
}
