//! A session: one conversation with one peer, owned by the hub and carried by whatever transport is attached.

mod id;
mod life;
mod membership;

pub use id::{SessionId, TransportKind};
pub(crate) use life::End;

use std::any::{Any, TypeId};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use tungstenite::protocol::frame::coding::Data as Kind;

use self::life::Life;
use self::membership::Joined;
use crate::batch::{self, Hold};
use crate::close::{CloseInfo, CloseRequest, ClosedBy, close_code};
use crate::codec::may_be_sent;
use crate::encoded::Encoded;
use crate::handlers::Handlers;
use crate::handshake::Admission;
use crate::hub::Hub;
use crate::message::JsonMessage;
use crate::metrics::Account;
use crate::outbox::{Entry, Load, Offer, Outbox, OutboxPolicy, SendOutcome, Sent};
use crate::peer::Peer;
use crate::resume::ResumableSession;
use crate::sync::{AtomicU8, AtomicU32, Mutex, Ordering};

/// One conversation with one peer. Cloning counts a reference; every method may be called from any thread and none
/// blocks.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

/// In this order, because with thousands of sessions each of these cache lines has to be fetched for a message: what
/// every one needs lies together.
#[repr(C)]
struct Inner {
    id: SessionId,
    hub: Hub,
    /// The callbacks as they were at the start of the server.
    handlers: Arc<Handlers>,
    outbox: Outbox,
    peer: Peer,
    rooms: Mutex<Joined>,
    data: Mutex<Vec<Data>>,
    /// Where it is in the table of all sessions.
    seat: AtomicU32,
    /// A [`TransportKind`]: that of the transport which carries the session, or did last.
    transport: AtomicU8,
    life: Life,
}

pub(crate) type Data = (TypeId, Arc<dyn Any + Send + Sync>);

impl Session {
    pub(crate) fn new(hub: &Hub, handlers: Arc<Handlers>, peer: Peer, transport: TransportKind) -> Self {
        Self::with_outbox(hub, handlers, peer, transport, Outbox::new())
    }

    /// A session that belongs to no table and can be sent nothing.
    pub(crate) fn detached(hub: &Hub, handlers: Arc<Handlers>, peer: Peer) -> Self {
        let session = Self::with_outbox(hub, handlers, peer, TransportKind::Detached, Outbox::closed());
        session.life().end();
        session.leave_all();
        session
    }

    fn with_outbox(
        hub: &Hub,
        handlers: Arc<Handlers>,
        peer: Peer,
        transport: TransportKind,
        outbox: Outbox,
    ) -> Self {
        Self(Arc::new(Inner {
            id: SessionId::next(),
            hub: hub.clone(),
            handlers,
            peer,
            transport: AtomicU8::new(transport.code()),
            outbox,
            life: Life::default(),
            seat: AtomicU32::new(0),
            rooms: Mutex::default(),
            data: Mutex::default(),
        }))
    }

    /// The session's number.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The peer's address, where it is known; see [`Peer::remote_addr`].
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.peer.remote_addr()
    }

    /// The subprotocol that was agreed on, one of [`WsConfig::subprotocols`](crate::WsConfig::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.peer.subprotocol()
    }

    /// The path of the opening request, undecoded.
    pub fn path(&self) -> &str {
        self.0.peer.path()
    }

    /// The query of the opening request, undecoded, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.0.peer.query()
    }

    /// The first value of a header of the opening request, if it is UTF-8; see [`Peer::new`] for those left out.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.peer.header(name)
    }

    /// The headers of the opening request, built anew at each call; see [`Peer::new`] for those left out.
    pub fn headers(&self) -> HeaderMap {
        self.0.peer.headers()
    }

    /// What carries this session, or did last.
    pub fn transport(&self) -> TransportKind {
        TransportKind::of_code(self.0.transport.load(Ordering::Relaxed))
    }

    /// Another transport carries it from here on.
    pub(crate) fn carried_by(&self, transport: TransportKind) {
        self.0.transport.store(transport.code(), Ordering::Relaxed);
    }

    /// The hub this session belongs to.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Whether the session has ended: `on_close` has run, is running, or waits for `on_open` to be over.
    pub fn has_ended(&self) -> bool {
        self.0.life.has_ended()
    }

    /// Keeps a value with the session, one for each type; gives the one it replaces.
    pub fn insert_data<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let key = TypeId::of::<T>();
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        let mut data = self.0.data.lock();
        let Some((_, slot)) = data.iter_mut().find(|(known, _)| *known == key) else {
            data.push((key, value));
            return None;
        };
        let before = std::mem::replace(slot, value);
        drop(data);
        before.downcast().ok()
    }

    /// Keeps what `authorize` gave.
    pub(crate) fn admitted(&self, admission: Admission) {
        self.0.data.lock().extend(admission.into_data());
    }

    /// The value of this type kept with the session, such as what `authorize` gave.
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let key = TypeId::of::<T>();
        let value = self
            .0
            .data
            .lock()
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.clone())?;
        value.downcast().ok()
    }

    /// Sends a text message under the server's outbox policy.
    pub fn send_text(&self, text: impl AsRef<str>) -> SendOutcome {
        self.send_body(Kind::Text, text.as_ref().as_bytes())
    }

    /// Sends a binary message under the server's outbox policy.
    pub fn send_binary(&self, body: impl AsRef<[u8]>) -> SendOutcome {
        self.send_body(Kind::Binary, body.as_ref())
    }

    /// Sends an envelope under the server's outbox policy.
    pub fn send_json(&self, message: &JsonMessage) -> SendOutcome {
        self.send_body(Kind::Text, message.to_text().as_bytes())
    }

    /// Sends a framed message under the server's outbox policy.
    pub fn send(&self, message: Encoded) -> SendOutcome {
        self.send_with(message, self.0.hub.config().outbox.policy)
    }

    /// Sends a framed message under a policy of its own.
    pub fn send_with(&self, message: Encoded, policy: OutboxPolicy) -> SendOutcome {
        self.send_one(Offer::Framed(&message), policy)
    }

    #[inline]
    fn send_body(&self, kind: Kind, body: &[u8]) -> SendOutcome {
        let limits = &self.0.hub.config().outbox;
        if batch::hold() == Hold::Always {
            match self.0.outbox.join(kind, body, limits) {
                Entry::Joined => return SendOutcome::Queued,
                Entry::First => {
                    batch::list(self);
                    return SendOutcome::Queued;
                }
                Entry::Refused => {}
            }
        }
        self.send_one(Offer::Body(kind, body), limits.policy)
    }

    #[inline(always)]
    fn send_one(&self, message: Offer<'_>, policy: OutboxPolicy) -> SendOutcome {
        match self.pass_on(message, policy) {
            Ok(bytes) => {
                self.0.hub.metrics().wrote(Load { messages: 1, bytes });
                SendOutcome::Queued
            }
            Err(sent) => {
                let mut account = Account::default();
                account.add(&sent);
                account.settle(self.0.hub.metrics());
                sent.outcome
            }
        }
    }

    /// One of many sends of the same message; the caller settles the account.
    #[inline(always)]
    pub(crate) fn offer(&self, message: Offer<'_>, policy: OutboxPolicy, account: &mut Account) -> Sent {
        let sent = self
            .pass_on(message, policy)
            .inspect(|_| message.had())
            .map_or_else(|sent| sent, Sent::written);
        account.add(&sent);
        sent
    }

    /// Gives the length of its frame when it is out.
    // Three callers, each with a kind of offer of its own: that is decided here, once, and not for every message.
    #[inline(always)]
    fn pass_on(&self, message: Offer<'_>, policy: OutboxPolicy) -> Result<usize, Sent> {
        let limits = &self.0.hub.config().outbox;
        self.0
            .outbox
            .send(message, policy, limits, batch::hold())
            .map_err(|sent| {
                if sent.to_be_listed || sent.overflowed {
                    self.see_to(sent)
                } else {
                    sent
                }
            })
    }

    #[inline(never)]
    fn see_to(&self, mut sent: Sent) -> Sent {
        if sent.to_be_listed {
            batch::list(self);
        }
        if sent.overflowed {
            sent.outcome = self.overflowed();
        }
        sent
    }

    /// Writes what was held for the end of a wake-up.
    pub(crate) fn write_held(&self) {
        self.0.hub.metrics().wrote(self.0.outbox.write_held());
    }

    /// Waits until nothing waits in the outbox any more, for a producer that would rather wait than lose messages.
    /// Returns whether the session still lives. Any number may wait; each is woken when the outbox is empty, which a
    /// peer that reads nothing delays at most for `WsConfig::write_stall_timeout`. Cancel safe.
    ///
    /// An empty outbox means that the operating system has the bytes, not that the peer has read them. For a session
    /// that outlives its transport ([`ResumableSession`]) it means that the peer has acknowledged everything.
    pub async fn drained(&self) -> bool {
        let is_drained = self.0.outbox.drained().await;
        match ResumableSession::of(self) {
            Some(resumable) => resumable.drained().await,
            None => is_drained,
        }
    }

    /// Ends the session: what is queued is sent, then a Close with this code and reason (cut to 123 bytes), then
    /// the peer's Close is awaited for `WsConfig::close_timeout`. From this call on `send` answers
    /// [`SendOutcome::Closed`]. Only the first call counts; returns whether it was this one.
    ///
    /// A code that may not stand in a Close frame (RFC 6455 §7.4.2) is replaced by 1011 and logged.
    pub fn close(&self, code: u16, reason: impl Into<String>) -> bool {
        let sendable = if may_be_sent(code) {
            code
        } else {
            tracing::warn!(session = %self.id(), code, "a close code that may not be sent was replaced by 1011");
            close_code::INTERNAL
        };
        self.request_close(CloseRequest::new(CloseInfo::new(
            sendable,
            reason,
            ClosedBy::Server,
        )))
    }

    #[cold]
    fn overflowed(&self) -> SendOutcome {
        if let Some(resumable) = ResumableSession::of(self) {
            resumable.lost_one();
            return SendOutcome::Dropped;
        }
        let info = CloseInfo::new(close_code::TRY_AGAIN, "too slow", ClosedBy::Slow);
        self.request_close(CloseRequest::discarding(info));
        SendOutcome::Closed
    }

    pub(crate) fn request_close(&self, request: CloseRequest) -> bool {
        let lost = self.0.outbox.close(request);
        if let Some(lost @ 1..) = lost {
            self.0.hub.metrics().messages_dropped.inc_by(lost);
        }
        lost.is_some()
    }

    /// What was given to it and is not written or, where its client acknowledges, not acknowledged.
    pub(crate) fn held(&self) -> Load {
        let mut held = self.0.outbox.held();
        if let Some(resumable) = ResumableSession::of(self) {
            held += resumable.held();
        }
        held
    }

    pub(crate) fn enlist(&self) {
        let note = |seat| self.0.seat.store(seat, Ordering::Release);
        self.0.hub.tables().insert(self, note);
    }

    /// Leaves the table of all sessions; once, by whoever ends the session.
    pub(crate) fn unlist(&self) {
        self.0.hub.tables().remove(self.0.seat.load(Ordering::Acquire));
    }

    pub(crate) fn life(&self) -> &Life {
        &self.0.life
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn handlers(&self) -> &Arc<Handlers> {
        &self.0.handlers
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.0.id.get())
            .field("transport", &self.transport())
            .field("peer", &self.0.peer)
            .finish_non_exhaustive()
    }
}
