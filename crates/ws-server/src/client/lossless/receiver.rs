//! The half of a conversation that receives.

use serde::de::DeserializeOwned;

use super::incoming::Incoming;
use super::typed::Typed;
use crate::client::end::Hold;
use crate::client::queue::QueueReceiver;
use crate::client::{ClientError, Closed};

/// Receives what comes in a conversation. Its methods can be awaited on any runtime.
///
/// Dropping it while a [`ClientSender`](crate::client::ClientSender) lives throws away what comes; it is counted in
/// [`Closed::unread`].
#[derive(Debug)]
pub struct LosslessReceiver {
    queue: QueueReceiver<Incoming>,
    hold: Hold,
}

impl LosslessReceiver {
    pub(super) fn new(queue: QueueReceiver<Incoming>, hold: Hold) -> Self {
        Self { queue, hold }
    }

    /// What comes next; `None` when a Close ended the session for good ([`closed`](Self::closed) tells which).
    ///
    /// Cancel safe: a call that does not finish has taken nothing.
    ///
    /// # Errors
    /// What ended the conversation other than a Close, once: an address, a refusal or an answer that no later attempt
    /// would mend, [`ClientError::Protocol`], the error of the last of
    /// [`attempts`](crate::client::ReconnectConfig::attempts), [`ClientError::ExecutorEnded`]. After it `None` comes.
    pub async fn receive(&mut self) -> Result<Option<Incoming>, ClientError> {
        match self.queue.recv().await {
            Some(incoming) => Ok(Some(incoming)),
            None => self.hold.outcome().await.map(|()| None),
        }
    }

    /// The same with text messages read into a type, which serde can have from the JSON of an envelope: an enum with
    /// `#[serde(tag = "type", content = "payload")]`, for example, whose variants are the types of messages. What
    /// cannot be read so comes as it is, so nothing is lost.
    ///
    /// Cancel safe, as [`receive`](Self::receive).
    ///
    /// # Errors
    /// As there.
    pub async fn receive_typed<T: DeserializeOwned>(&mut self) -> Result<Option<Typed<T>>, ClientError> {
        Ok(self.receive().await?.map(Typed::from))
    }

    /// How the conversation ended; `None` while it has not.
    pub fn closed(&self) -> Option<Closed> {
        self.hold.closed()
    }
}
