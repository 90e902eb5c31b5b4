//! The task of one conversation: from connection to connection, until it is over.

mod carrying;
mod outcome;

use core_executor::ShutdownSignal;
use tokio::time::Instant;

use self::outcome::{Next, Outcome};
use super::config::LosslessConfig;
use super::envelope::Hello;
use super::incoming::Incoming;
use super::link::{Carrier, Link, NotJoined};
use super::numbers::Numbers;
use crate::client::end::{Ask, End, Held};
use crate::client::queue::{QueueReceiver, QueueSender};
use crate::client::{ClientError, Reconnect};

/// A conversation above its connections.
#[derive(Debug)]
pub(super) struct Conversation {
    link: Link,
    numbers: Numbers,
    reconnect: Reconnect,
    /// What the senders want to send.
    to_send: QueueReceiver,
    /// What the receiver has not taken yet.
    received: QueueSender<Incoming>,
    /// What found no room there; nothing is read until it does.
    waiting: Option<Incoming>,
    /// The wish to close, once it was heard.
    asked: Option<Ask>,
    /// When the server is told how far we are.
    ack_at: Option<Instant>,
    /// An attempt of our own was given up and may still reach the server, which then takes it for the newest.
    may_be_late: bool,
    unread: u64,
}

impl Conversation {
    pub(super) fn new(
        link: Link,
        config: &LosslessConfig,
        to_send: QueueReceiver,
        received: QueueSender<Incoming>,
    ) -> Self {
        Self {
            link,
            numbers: Numbers::new(config.unacknowledged),
            reconnect: Reconnect::new(config.reconnect),
            to_send,
            received,
            waiting: None,
            asked: None,
            ack_at: None,
            may_be_late: false,
            unread: 0,
        }
    }

    /// Carries the conversation to its end.
    pub(super) async fn run(mut self, mut held: Held, signal: ShutdownSignal) {
        let mut outcome = tokio::select! {
            outcome = self.live(&mut held) => outcome,
            () = signal.requested_now() => Outcome::failed(ClientError::ExecutorEnded),
        };
        let kept = if outcome.has_all {
            0
        } else {
            self.numbers.kept() as u64
        };
        outcome.closed.unsent = kept + self.to_send.discard();
        outcome.closed.unread = self.unread + u64::from(self.waiting.is_some());
        let end = End::new(outcome.closed, outcome.error);
        // Before the queue of what was received goes, so that who finds it at its end finds this.
        held.ended.send_replace(Some(end.into()));
    }

    async fn live(&mut self, held: &mut Held) -> Outcome {
        loop {
            let (hint, outcome) = match self.attempt(held).await {
                Next::Over(outcome) => return outcome,
                Next::AtOnce => continue,
                Next::Again { hint, outcome } => (hint, outcome),
            };
            if let Some(ask) = self.asked.take() {
                return Outcome::unheard(ask);
            }
            let Some(delay) = self.reconnect.delay(now(), hint) else {
                return outcome;
            };
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                ask = held.asked() => return Outcome::unheard(ask),
            }
        }
    }

    /// One connection, from the attempt to its end.
    async fn attempt(&mut self, held: &mut Held) -> Next {
        while self.waiting.is_some() {
            tokio::select! {
                is_read = carrying::hand_over(&self.received, &mut self.waiting) => self.handed_over(is_read),
                ask = held.asked() => return Next::Over(Outcome::unheard(ask)),
            }
        }
        let joined = self.join(held).await;
        match joined {
            Ok((mut carrier, hello)) => {
                self.reconnect.connected(now());
                match self.numbers.begin(hello) {
                    Ok(news) => self.waiting = news,
                    Err(miscounted) => return miscounted.into(),
                }
                self.ack_at = None;
                self.carry(&mut carrier, held).await
            }
            Err(NotJoined::Closed(closed)) => self.after_close(closed),
            Err(NotJoined::Error(error)) => self.after_error(error),
        }
    }

    /// Connects. A wish to close does not break it off, because what is queued goes out first.
    async fn join(&mut self, held: &mut Held) -> Result<(Carrier, Hello), NotJoined> {
        let mut asked = None;
        let joined = {
            let mut join = std::pin::pin!(self.link.join(self.numbers.session()));
            loop {
                tokio::select! {
                    joined = &mut join => break joined,
                    ask = held.asked(), if asked.is_none() => asked = Some(ask),
                }
            }
        };
        if let Some(ask) = asked {
            self.begin_close(ask);
        }
        joined
    }

    /// Takes nothing more; what is queued still goes out.
    fn begin_close(&mut self, ask: Ask) {
        self.to_send.close();
        self.asked = Some(ask);
    }

    fn handed_over(&mut self, is_read: bool) {
        self.unread += u64::from(!is_read);
    }
}

/// The time as the runtime has it, which a test or a simulation may move.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
