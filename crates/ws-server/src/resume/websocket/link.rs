//! What a connection knows of the session that it carries, and what its client says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::close::CloseInfo;
use crate::codec::Incoming;
use crate::handshake::Admission;
use crate::peer::Peer;
use crate::registry::Outcome;
use crate::resume::carrier::Carrier;
use crate::resume::envelope::{FromClient, FromServer, Text};
use crate::resume::error::ResumeError;
use crate::resume::session::ResumableSession;
use crate::resume::table::Resumption;
use crate::session::{Session, TransportKind};

/// Kept with the session of a connection.
pub(super) struct Link {
    pub(super) resumption: Resumption,
    state: Mutex<State>,
    /// Rung for the pump: the session is there, or the connection has ended.
    bell: Notify,
}

struct State {
    /// What the handshake showed; taken by the envelope that opens or resumes a session.
    handshake: Option<(Peer, Admission)>,
    carried: Option<Carried>,
    /// For the pump to take.
    carrier: Option<Carrier>,
    ended: Option<(CloseInfo, Outcome)>,
}

struct Carried {
    session: ResumableSession,
    /// Number of the client's next message.
    next: u64,
}

impl Link {
    pub(super) fn new(resumption: Resumption, peer: Peer, admission: Admission) -> Self {
        let state = State {
            handshake: Some((peer, admission)),
            carried: None,
            carrier: None,
            ended: None,
        };
        Self {
            resumption,
            state: Mutex::new(state),
            bell: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection has ended.
    pub(super) fn ended(&self, info: CloseInfo, outcome: Outcome) {
        self.lock().ended = Some((info, outcome));
        self.bell.notify_one();
    }

    /// How the connection ended, once it has. Cancel safe.
    pub(super) async fn end(&self) -> (CloseInfo, Outcome) {
        loop {
            if let Some(ended) = self.lock().ended.clone() {
                return ended;
            }
            self.bell.notified().await;
        }
    }

    /// The transport, once the client has said for which session; nothing when the connection ends before.
    pub(super) async fn carrier(&self) -> Option<Carrier> {
        loop {
            {
                let mut state = self.lock();
                if state.carrier.is_some() || state.ended.is_some() {
                    return state.carrier.take();
                }
            }
            self.bell.notified().await;
        }
    }

    pub(super) async fn text(&self, session: &Session, text: String) {
        match Text::read(text) {
            Text::Message(text) => self.message(session, Incoming::Text(text.into())).await,
            Text::Control(said) => self.control(session, said).await,
            Text::Malformed => refuse(session, 400, "malformed control envelope"),
        }
    }

    /// A message of the client's, which has the next number.
    pub(super) async fn message(&self, session: &Session, message: Incoming) {
        let carried = self.lock().carried.as_mut().map(|carried| {
            carried.next += 1;
            (carried.session.clone(), carried.next - 1)
        });
        match carried {
            // One that comes late is not counted: the client sends it again on the next connection.
            Some((carried, number)) => drop(carried.receive(number, message).await),
            None => refuse(session, 400, "no session is open: say open or resume first"),
        }
    }

    async fn control(&self, session: &Session, said: FromClient) {
        let carried = self
            .lock()
            .carried
            .as_ref()
            .map(|carried| carried.session.clone());
        match (said, carried) {
            (FromClient::Open {}, None) => self.open(session).await,
            (FromClient::Resume { session: id, cursor }, None) => self.resume(session, &id, cursor),
            (FromClient::Ping(number), _) => {
                session.send_text(FromServer::Pong(number).to_text());
            }
            (FromClient::Ack(cursor), Some(carried)) => {
                if let Err(error) = carried.acknowledge(cursor) {
                    refuse_for(session, error);
                }
            }
            (FromClient::Ack(_), None) => {
                refuse(session, 400, "no session is open: say open or resume first")
            }
            (FromClient::Open {} | FromClient::Resume { .. }, Some(_)) => {
                refuse(session, 400, "a session is open already");
            }
        }
    }

    async fn open(&self, session: &Session) {
        let Some((peer, admission)) = self.lock().handshake.take() else {
            return refuse(session, 400, "a session is being opened already");
        };
        let binding = self.resumption.binding(&peer.headers());
        let opened = self
            .resumption
            .open(peer, TransportKind::WebSocket, admission, binding)
            .await;
        match opened {
            Ok(opened) => self.begin(session, &opened, 0),
            Err(refusal) => refuse(session, refusal.status().as_u16(), refusal.text()),
        }
    }

    fn resume(&self, session: &Session, id: &str, cursor: u64) {
        let Some((peer, _)) = self.lock().handshake.take() else {
            return refuse(session, 400, "a session is being opened already");
        };
        let binding = self.resumption.binding(&peer.headers());
        let found = id.parse().and_then(|id| self.resumption.find(id, &binding));
        match found {
            Ok(found) => self.begin(session, &found, cursor),
            Err(error) => refuse_for(session, error),
        }
    }

    fn begin(&self, session: &Session, carried: &ResumableSession, cursor: u64) {
        let carrier = match carried.attach(TransportKind::WebSocket, cursor) {
            Ok(carrier) => carrier,
            Err(error) => return refuse_for(session, error),
        };
        let hello = carried.hello(cursor);
        session.send_text(FromServer::Hello(&hello).to_text());
        let mut state = self.lock();
        state.carried = Some(Carried {
            session: carried.clone(),
            next: hello.received + 1,
        });
        state.carrier = Some(carrier);
        drop(state);
        self.bell.notify_one();
    }
}

fn refuse_for(session: &Session, error: ResumeError) {
    refuse(session, error.status().as_u16(), &error.to_string());
}

/// Says why, and closes with the code that belongs to the status.
pub(super) fn refuse(session: &Session, status: u16, error: &str) {
    session.send_text(FromServer::Error { status, error }.to_text());
    session.close(4000 + status, error);
}
