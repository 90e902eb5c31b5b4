//! Who looks on while a publication goes to its receivers: nearly always nobody.

use tracing::Level;

use crate::encoded::Encoded;
use crate::fan_out::Receipt;
use crate::metrics::Account;
use crate::outbox::{Offer, OutboxPolicy, SendOutcome, Sent};
use crate::session::{Session, SessionId};

/// Gives a message to one receiver after the other and sees what becomes of it.
pub(crate) trait Witness: Send {
    fn offer(
        &mut self,
        session: &Session,
        message: &Encoded,
        policy: OutboxPolicy,
        account: &mut Account,
    ) -> Sent;

    /// A step of the fan-out is over, and no lock is held.
    fn step_done(&mut self) {}
}

/// Nobody looks on.
pub(crate) struct Nobody;

impl Witness for Nobody {
    #[inline(always)]
    fn offer(
        &mut self,
        session: &Session,
        message: &Encoded,
        policy: OutboxPolicy,
        account: &mut Account,
    ) -> Sent {
        session.offer(Offer::Framed(message), policy, account)
    }
}

/// Takes the times of a publication, or names each receiver in the log, or both.
pub(crate) struct Onlooker {
    receipt: Option<Receipt>,
    names_receivers: bool,
    /// Of this step.
    given: Vec<(SessionId, SendOutcome)>,
}

impl Onlooker {
    pub(crate) fn new(receipt: Option<Receipt>) -> Self {
        Self {
            receipt,
            names_receivers: tracing::enabled!(target: "ws_server::publish", Level::TRACE),
            given: Vec::new(),
        }
    }
}

impl Witness for Onlooker {
    fn offer(
        &mut self,
        session: &Session,
        message: &Encoded,
        policy: OutboxPolicy,
        account: &mut Account,
    ) -> Sent {
        let offer = match &self.receipt {
            Some(receipt) => Offer::Measured(message, receipt),
            None => Offer::Framed(message),
        };
        let sent = session.offer(offer, policy, account);
        if self.names_receivers {
            self.given.push((session.id(), sent.outcome));
        }
        sent
    }

    fn step_done(&mut self) {
        // Now, because whoever writes the log may publish what it writes.
        for (session, outcome) in self.given.drain(..) {
            tracing::trace!(target: "ws_server::publish", %session, ?outcome, "delivery");
        }
    }
}
