//! The conversation while a connection carries it.

use std::future::pending;
use std::time::Duration;

use tokio::time::Instant;
use tungstenite::protocol::Message;

use super::Conversation;
use super::outcome::{Next, Outcome};
use crate::client::end::{Ask, Held};
use crate::client::lossless::envelope::{Frame, Heard, Said, escaped};
use crate::client::lossless::incoming::Incoming;
use crate::client::lossless::link::Carrier;
use crate::client::queue::QueueSender;
use crate::client::{ClientError, ClientSender};

/// Longest time until the server is told how far we are.
const ACK_AFTER: Duration = Duration::from_secs(1);

/// What happened next.
enum Step {
    /// Something came over the connection, or its end.
    Came(Result<Option<Message>, ClientError>),
    /// What waited found room, or no receiver.
    HandedOver(bool),
    /// A sender queued a message; `None` when none can come any more.
    ToSend(Option<Message>),
    /// The next message is on its way, or the connection takes none.
    Sent(bool),
    AckDue,
    /// Somebody wishes to close.
    Asked(Ask),
}

impl Conversation {
    pub(super) async fn carry(&mut self, carrier: &mut Carrier, held: &mut Held) -> Next {
        let mut takes = true;
        loop {
            let is_empty = self.to_send.is_finished() && self.numbers.next().is_none();
            if let Some(ask) = self.asked.take_if(|_| is_empty || !takes) {
                return self.say_close(carrier, ask).await;
            }
            match self.step(carrier, held, takes).await {
                Step::Came(Ok(Some(message))) => {
                    if let Some(next) = self.hear(message) {
                        return next;
                    }
                }
                Step::Came(Ok(None)) => {
                    let closed = carrier.receiver.closed();
                    return closed.map_or_else(cut, |closed| self.after_close(closed));
                }
                Step::Came(Err(error)) => return self.after_error(error),
                Step::HandedOver(is_read) => self.handed_over(is_read),
                Step::ToSend(Some(message)) => self.numbers.keep(message),
                // The next turn notices that nothing more can come.
                Step::ToSend(None) => {}
                Step::Sent(true) => self.numbers.wrote(),
                // The receiver says why.
                Step::Sent(false) => takes = false,
                Step::AckDue => self.ack(carrier),
                Step::Asked(ask) => self.begin_close(ask),
            }
            self.plan_ack(carrier);
        }
    }

    /// Waits for whatever comes first; the others lose nothing, because each of them is cancel safe.
    async fn step(&mut self, carrier: &mut Carrier, held: &mut Held, takes: bool) -> Step {
        let Self {
            numbers,
            to_send,
            received,
            waiting,
            ..
        } = self;
        let waits = waiting.is_some();
        let is_closing = self.asked.is_some();
        let has_room = (is_closing || numbers.has_room()) && !to_send.is_finished();
        let ack_at = self.ack_at;
        let next = numbers.next().filter(|_| takes);
        let has_next = next.is_some();
        let Carrier { sender, receiver } = carrier;
        tokio::select! {
            came = receiver.receive(), if !waits => Step::Came(came),
            is_read = hand_over(received, waiting), if waits => Step::HandedOver(is_read),
            message = to_send.recv(), if has_room => Step::ToSend(message),
            is_sent = send(sender, next), if has_next => Step::Sent(is_sent),
            () = until(ack_at), if ack_at.is_some() => Step::AckDue,
            ask = held.asked(), if !is_closing => Step::Asked(ask),
        }
    }

    /// Takes what came; what follows from it when that is the end of the connection.
    fn hear(&mut self, message: Message) -> Option<Next> {
        match Frame::read(message) {
            Frame::Message(message) => self.waiting = self.numbers.heard(message),
            Frame::Malformed => return Some(Next::wrong("a control envelope is malformed")),
            Frame::Control(Heard { gap, ack, .. }) => {
                if let Some(gap) = gap {
                    self.waiting = self.numbers.gap(gap.cursor);
                }
                if let Some(Err(miscounted)) = ack.map(|ack| self.numbers.taken_over(ack)) {
                    return Some(miscounted.into());
                }
            }
        }
        None
    }

    /// Acknowledges what has come: at once after many messages, else soon.
    fn plan_ack(&mut self, carrier: &Carrier) {
        if !self.numbers.owes_ack() {
            return;
        }
        if self.numbers.owes_ack_now() {
            self.ack(carrier);
        } else {
            self.ack_at.get_or_insert_with(|| Instant::now() + ACK_AFTER);
        }
    }

    fn ack(&mut self, carrier: &Carrier) {
        self.ack_at = None;
        let said = Said::Ack(self.numbers.cursor());
        // Where there is no room, the next turn tries again soon.
        if carrier.sender.try_send(said.to_message()).is_ok() {
            self.numbers.acknowledged();
        } else {
            self.ack_at = Some(Instant::now() + ACK_AFTER);
        }
    }

    /// Says Close behind everything else and hands on what still comes.
    async fn say_close(&mut self, carrier: &mut Carrier, ask: Ask) -> Next {
        let closed = carrier.sender.close(ask.code, &ask.reason).await;
        while let Ok(Some(message)) = carrier.receiver.receive().await {
            if self.hear(message).is_some() {
                break;
            }
            let left = self
                .waiting
                .take()
                .map(|incoming| self.received.try_send(incoming));
            self.unread += u64::from(matches!(left, Some(Err(_))));
        }
        match closed {
            Ok(closed) => {
                let has_all = closed.is_clean && closed.code == ask.code;
                self.unread += closed.unread;
                Next::Over(Outcome {
                    has_all,
                    ..Outcome::closed(closed)
                })
            }
            Err(error) => Next::Over(Outcome::failed(error)),
        }
    }
}

fn cut() -> Next {
    Next::Over(Outcome::failed(ClientError::ExecutorEnded))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

/// Sends a message over the connection. Returns whether it was taken.
async fn send(sender: &ClientSender, message: Option<&Message>) -> bool {
    match message {
        Some(message) => sender.send(escaped(message)).await.is_ok(),
        None => pending().await,
    }
}

/// Waits for room for what waits. Returns whether somebody will read it.
pub(super) async fn hand_over(received: &QueueSender<Incoming>, waiting: &mut Option<Incoming>) -> bool {
    let Some(incoming) = waiting else {
        return pending().await;
    };
    let room = received.room(incoming).await;
    let incoming = waiting.take();
    match (room, incoming) {
        (Ok(room), Some(incoming)) => {
            room.put(incoming);
            true
        }
        _ => false,
    }
}
