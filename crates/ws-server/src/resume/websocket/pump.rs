//! The task beside a connection: from the ring of the session to the connection, and numbers to the client.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::link::{Link, refuse};
use crate::close::{CloseInfo, CloseRequest, ClosedBy, close_code};
use crate::codec::may_be_sent;
use crate::registry::Outcome;
use crate::resume::carrier::{Carrier, Delivery, Next};
use crate::resume::envelope::{FromServer, escaped};
use crate::resume::session::ResumableSession;
use crate::session::Session;

/// The client is told of so many of its messages at once,
const ACK_MESSAGES: u64 = 32;
/// or of fewer after this time.
const ACK_DELAY: Duration = Duration::from_millis(100);
/// Tells the former connection that another transport carries the session.
const REPLACED: u16 = 4409;

pub(super) async fn run(link: Arc<Link>, session: Session) {
    let opened = tokio::select! {
        // First, because a session that is there closes as sessions do, also when the server stops at this moment.
        biased;
        carrier = link.carrier() => carrier,
        () = tokio::time::sleep(link.resumption.config().open_timeout) => {
            refuse(&session, 408, "neither open nor resume came in time");
            None
        }
        () = link.resumption.stopping() => {
            session.close(close_code::GOING_AWAY, "");
            None
        }
    };
    let Some(carrier) = opened else {
        return;
    };
    let mut pump = Pump {
        session,
        carried: carrier.session(),
        acknowledged: 0,
        acknowledge_at: None,
        said_close: false,
    };
    pump.acknowledged = pump.carried.received();
    pump.run(&link, carrier).await;
}

struct Pump {
    /// The connection's.
    session: Session,
    carried: ResumableSession,
    /// The client knows of its messages up to this number.
    acknowledged: u64,
    acknowledge_at: Option<Instant>,
    /// The connection closes because the session does.
    said_close: bool,
}

impl Pump {
    async fn run(&mut self, link: &Link, mut carrier: Carrier) {
        let (messages, bytes) = super::batch(self.session.hub().config());
        let (info, outcome) = loop {
            let carried = self.carried.clone();
            let heard = carried.heard();
            self.watch_received();
            tokio::select! {
                biased;
                ended = link.end() => break ended,
                () = heard => {}
                () = due(self.acknowledge_at) => self.acknowledge(),
                next = carrier.next(messages, bytes) => match next {
                    Next::Messages(delivery) => {
                        if let Some(ended) = self.deliver(link, &carrier, &delivery).await {
                            break ended;
                        }
                    }
                    last => {
                        self.close(last);
                        break link.end().await;
                    }
                },
            }
        };
        self.conclude(&carrier, info, outcome).await;
    }

    /// Sends what was taken and waits until the connection has it. Gives how the connection ended, if it did.
    async fn deliver(
        &self,
        link: &Link,
        carrier: &Carrier,
        delivery: &Delivery,
    ) -> Option<(CloseInfo, Outcome)> {
        let ended = self.written(link, carrier).await;
        if ended.is_some() {
            return ended;
        }
        if delivery.lost > 0 {
            let (lost, cursor) = (delivery.lost, delivery.from);
            self.session.send_text(FromServer::Gap { lost, cursor }.to_text());
        }
        for message in &delivery.messages {
            match message.as_text().and_then(escaped) {
                Some(text) => self.session.send_text(text),
                None => self.session.send(message.clone()),
            };
        }
        self.written(link, carrier).await
    }

    async fn written(&self, link: &Link, carrier: &Carrier) -> Option<(CloseInfo, Outcome)> {
        tokio::select! {
            biased;
            _ = self.session.drained() => None,
            ended = link.end() => Some(ended),
            () = carrier.relieved() => None,
        }
    }

    /// Sees to it that the client learns what was received.
    fn watch_received(&mut self) {
        let received = self.carried.received();
        if received >= self.acknowledged + ACK_MESSAGES {
            self.acknowledge();
        } else if received > self.acknowledged {
            self.acknowledge_at.get_or_insert(Instant::now() + ACK_DELAY);
        }
    }

    fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        let received = self.carried.received();
        if received > self.acknowledged {
            self.acknowledged = received;
            self.session.send_text(FromServer::Ack(received).to_text());
        }
    }

    fn close(&mut self, last: Next) {
        self.acknowledge();
        let info = match last {
            Next::Close(info) => {
                self.said_close = true;
                info
            }
            Next::Replaced => CloseInfo::new(REPLACED, "replaced", ClosedBy::Server),
            _ => CloseInfo::new(close_code::NORMAL, "the session has ended", ClosedBy::Server),
        };
        let code = if may_be_sent(info.code) {
            info.code
        } else {
            close_code::GOING_AWAY
        };
        self.session
            .request_close(CloseRequest::new(CloseInfo::new(code, info.reason, info.by)));
    }

    /// The connection has ended. Does the session end with it?
    async fn conclude(&self, carrier: &Carrier, info: CloseInfo, outcome: Outcome) {
        if self.said_close {
            carrier.ended_with(outcome);
            return;
        }
        if !carrier.is_current() {
            return;
        }
        match (info.by, info.code) {
            (ClosedBy::Peer, close_code::NORMAL | 3000..=4999) => {
                self.carried.close_by_peer(info.code, info.reason).await;
            }
            // The client was told by a Close that it is at fault, or that it has been silent for too long.
            (ClosedBy::Error, _)
            | (ClosedBy::Timeout, close_code::NORMAL)
            | (ClosedBy::Slow, close_code::TRY_AGAIN) => self.carried.close_for(info).await,
            _ => {}
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
