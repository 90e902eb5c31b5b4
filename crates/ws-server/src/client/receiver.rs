//! The half of a client that receives.

use tungstenite::protocol::Message;

use super::closed::Closed;
use super::end::Hold;
use super::error::ClientError;
use super::queue::QueueReceiver;

/// Receives the messages of a client's connection. Its methods can be awaited on any runtime.
///
/// Dropping it while a [`ClientSender`](super::ClientSender) lives throws away what comes; the messages are counted
/// in [`Closed::unread`].
#[derive(Debug)]
pub struct ClientReceiver {
    queue: QueueReceiver,
    hold: Hold,
}

impl ClientReceiver {
    pub(super) fn new(queue: QueueReceiver, hold: Hold) -> Self {
        Self { queue, hold }
    }

    /// The next message, text or binary; `None` when a Close ended the connection ([`closed`](Self::closed) tells
    /// which). What came before the end is given out first.
    ///
    /// Cancel safe: a call that does not finish has taken no message.
    ///
    /// # Errors
    /// What ended the connection other than a Close, once: [`ClientError::Lost`], [`ClientError::Protocol`],
    /// [`ClientError::NoPong`], [`ClientError::Stalled`]; and [`ClientError::ExecutorEnded`]. After it `None` comes.
    pub async fn receive(&mut self) -> Result<Option<Message>, ClientError> {
        match self.queue.recv().await {
            Some(message) => Ok(Some(message)),
            None => self.hold.outcome().await.map(|()| None),
        }
    }

    /// How the connection ended; `None` while it has not.
    pub fn closed(&self) -> Option<Closed> {
        self.hold.closed()
    }
}
