//! The one path of every publication: local sessions, counts, relays.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::{Instrument, Level};

use crate::encoded::Encoded;
use crate::error::WsError;
use crate::fan_out::Receipt;
use crate::hub::Hub;
use crate::message::JsonMessage;
use crate::metrics::Account;
use crate::outbox::{OutboxPolicy, SendOutcome};
use crate::relay::Target;
use crate::roster::{Roster, Walk};
use crate::session::Session;
use crate::witness::{Nobody, Onlooker, Witness};

/// What one step of a fan-out may cost before other tasks of the worker get their turn: so many messages queued, or
/// as many system calls or wake-ups as take about as long, some 50 µs.
const STEP: usize = 1024;
/// What a write to a socket costs, a queued message being 1.
const WRITE: usize = 32;
/// What it costs to wake the task of a session whose transport only that task may write to. All who are woken have
/// their turn before the next look at the sockets, and what each of them does then takes longer than a write.
const WAKE: usize = 128;

/// What became of a published message among the local sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Sessions to whom it was written, or in whose outbox it waits.
    pub delivered: u64,
    /// Sessions whose outbox was full; each loss is counted.
    pub dropped: u64,
    /// Sessions that were closing.
    pub closing: u64,
}

impl Published {
    fn count(&mut self, outcome: SendOutcome) {
        match outcome {
            SendOutcome::Queued => self.delivered += 1,
            SendOutcome::Dropped => self.dropped += 1,
            SendOutcome::Closed => self.closing += 1,
        }
    }
}

/// One message on its way to many.
struct Publication<'a> {
    target: Target<'a>,
    except: Option<&'a Session>,
    message: Encoded,
    policy: OutboxPolicy,
}

impl Hub {
    /// Sends a framed message to the members of a room and to the relays.
    ///
    /// The message is framed once and shared by all. A member whose outbox is full is treated by the server's
    /// outbox policy. It goes to who is there when the call begins, in small steps between which other tasks get
    /// their turn. Not cancel safe: dropping the future between two steps leaves the rest of the members, and the
    /// relays, without it.
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish(&self, room: &str, message: impl Into<Encoded>) -> Result<Published, WsError> {
        self.publish_with(room, message, self.config().outbox.policy)
            .await
    }

    /// The same under an outbox policy of its own. Not cancel safe, as [`publish`](Self::publish).
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish_with(
        &self,
        room: &str,
        message: impl Into<Encoded>,
        policy: OutboxPolicy,
    ) -> Result<Published, WsError> {
        self.send_out(Publication {
            target: Target::Room(room),
            except: None,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a framed message to the members of a room but one, and to the relays. Not cancel safe, as
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// The name of the room is empty or too long.
    pub async fn publish_except(
        &self,
        room: &str,
        except: &Session,
        message: impl Into<Encoded>,
    ) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        let (target, except) = (Target::Room(room), Some(except));
        self.send_out(Publication {
            target,
            except,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a text message to a room, as [`publish`](Self::publish) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_text_to_room(
        &self,
        room: &str,
        text: impl AsRef<str>,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::text(text)).await
    }

    /// Sends a binary message to a room, as [`publish`](Self::publish) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_binary_to_room(
        &self,
        room: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::binary(body)).await
    }

    /// Sends an envelope to a room, as [`publish`](Self::publish) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn broadcast_json_to_room(
        &self,
        room: &str,
        message: &JsonMessage,
    ) -> Result<Published, WsError> {
        self.publish(room, Encoded::json(message)).await
    }

    /// Sends a framed message to every session and to the relays. Not cancel safe, as [`publish`](Self::publish).
    ///
    /// # Errors
    /// None today; a broker behind the relays may have some.
    pub async fn broadcast(&self, message: impl Into<Encoded>) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        self.send_out(Publication {
            target: Target::All,
            except: None,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a framed message to every session but one, and to the relays. Not cancel safe, as
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_except(
        &self,
        except: &Session,
        message: impl Into<Encoded>,
    ) -> Result<Published, WsError> {
        let policy = self.config().outbox.policy;
        let (target, except) = (Target::All, Some(except));
        self.send_out(Publication {
            target,
            except,
            message: message.into(),
            policy,
        })
        .await
    }

    /// Sends a text message to every session, as [`broadcast`](Self::broadcast) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_text(&self, text: impl AsRef<str>) -> Result<Published, WsError> {
        self.broadcast(Encoded::text(text)).await
    }

    /// Sends a binary message to every session, as [`broadcast`](Self::broadcast) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_binary(&self, body: impl AsRef<[u8]>) -> Result<Published, WsError> {
        self.broadcast(Encoded::binary(body)).await
    }

    /// Sends an envelope to every session, as [`broadcast`](Self::broadcast) does; not cancel safe either.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_json(&self, message: &JsonMessage) -> Result<Published, WsError> {
        self.broadcast(Encoded::json(message)).await
    }

    /// The one path of every publication: local sessions, counts, relays.
    async fn send_out(&self, publication: Publication<'_>) -> Result<Published, WsError> {
        let target = publication.target;
        let mut published = Published::default();
        match target {
            Target::All => {
                self.give_to(self.tables().everybody(), &publication, &mut published)
                    .await;
            }
            Target::Room(name) => {
                self.check_room_name(name)?;
                if let Some(room) = self.tables().room(name) {
                    self.give_to(room.members(), &publication, &mut published).await;
                }
            }
        }
        self.relay(target, &publication.message);
        Ok(published)
    }

    /// One message to all who are seated now, and whoever looks on.
    async fn give_to(&self, roster: &Roster, publication: &Publication<'_>, published: &mut Published) {
        let receipt = self.metrics().fan_out.begin();
        if receipt.is_none() && !tracing::enabled!(target: "ws_server::publish", Level::DEBUG) {
            return self.fan_out(roster, publication, published, Nobody).await;
        }
        // Boxed, because of most publications nothing of it is needed.
        Box::pin(self.give_before_witness(roster, publication, published, receipt)).await;
    }

    async fn give_before_witness(
        &self,
        roster: &Roster,
        publication: &Publication<'_>,
        published: &mut Published,
        receipt: Option<Receipt>,
    ) {
        let room = match publication.target {
            Target::All => None,
            Target::Room(name) => Some(tracing::field::debug(name)),
        };
        // It stands in the span of whatever publishes, such as a request.
        let span = tracing::debug_span!("publish", room, bytes = publication.message.len());
        self.fan_out(roster, publication, published, Onlooker::new(receipt))
            .instrument(span)
            .await;
    }

    /// One message to all who are seated now, in steps between which others get their turn.
    async fn fan_out(
        &self,
        roster: &Roster,
        publication: &Publication<'_>,
        published: &mut Published,
        mut witness: impl Witness,
    ) {
        let Publication {
            except,
            message,
            policy,
            ..
        } = publication;
        let mut walk = Walk::default();
        loop {
            let mut account = Account::default();
            let is_unfinished = roster.step(&mut walk, STEP, |session| {
                if *except == Some(session) {
                    return 0;
                }
                let sent = witness.offer(session, message, *policy, &mut account);
                published.count(sent.outcome);
                match (sent.written.bytes > 0, sent.woke) {
                    (true, _) => WRITE,
                    (false, true) => WAKE,
                    (false, false) => 1,
                }
            });
            account.settle(self.metrics());
            witness.step_done();
            if !is_unfinished {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn relay(&self, target: Target<'_>, message: &Encoded) {
        let Some(handlers) = self.handlers() else {
            return;
        };
        for relay in &handlers.relays {
            if catch_unwind(AssertUnwindSafe(|| relay.broadcast(target, message))).is_err() {
                self.metrics().panicked();
            }
        }
    }
}
