//! A WebSocket connection under the subprotocol: it carries somebody else's session.
//!
//! The connection is run as every other, by a session of its own that belongs to a second hub and that no user sees.
//! Its handlers, which are here, count the client's messages and hand them on; what the carried session has to say is
//! sent through it by one task, which also tells numbers.

mod link;
mod pump;

use std::future::Future;

use bytes::Bytes;

use super::SUBPROTOCOL;
use super::table::Resumption;
use crate::attachment::Attachment;
use crate::codec::Incoming;
use crate::config::WsConfig;
use crate::handlers::{Handlers, handler};
use crate::handshake::Admission;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::session::{Session, TransportKind};
use crate::text::Text;

use self::link::Link;

/// What the hub of such connections does with their messages.
pub(crate) fn handlers() -> Handlers {
    Handlers {
        text: Some(handler(|session: Session, text: Text| {
            with_link(session, |link, session| async move {
                link.text(&session, text.into_string()).await
            })
        })),
        binary: Some(handler(|session: Session, body: Bytes| {
            with_link(session, |link, session| async move {
                link.message(&session, Incoming::Binary(body)).await;
            })
        })),
        ended: Some(|session, info, outcome| {
            if let Some(link) = session.data::<Link>() {
                link.ended(info.clone(), outcome);
            }
        }),
        ..Handlers::default()
    }
}

async fn with_link<F: Future<Output = ()>>(
    session: Session,
    run: impl FnOnce(std::sync::Arc<Link>, Session) -> F,
) {
    if let Some(link) = session.data::<Link>() {
        run(link, session).await;
    }
}

/// Whether a handshake that agreed on this subprotocol asks for a session that outlives its connection.
pub(crate) fn is_asked_for(subprotocol: Option<&str>) -> bool {
    subprotocol == Some(SUBPROTOCOL)
}

impl Resumption {
    /// A connection that is to carry a session, as soon as its client says which.
    pub(crate) fn carry(
        &self,
        carriers: &Hub,
        peer: Peer,
        admission: Admission,
    ) -> Result<Attachment, Refusal> {
        let attachment =
            carriers.begin_session(peer.clone(), TransportKind::WebSocket, Admission::default())?;
        let session = attachment.session().clone();
        session.insert_data(Link::new(self.clone(), peer, admission));
        let link = session.data::<Link>().expect("it was just put there");
        let spawner = carriers.spawner().ok_or(Refusal::STOPPING)?;
        spawner
            .spawn_service(pump::run(link, session))
            .map_err(|_| Refusal::STOPPING)?;
        Ok(attachment)
    }
}

/// Messages and bytes that go to a connection before it is waited for.
pub(super) fn batch(config: &WsConfig) -> (usize, usize) {
    let within = |limit: usize, most: usize| if limit == 0 { most } else { limit.min(most) };
    (
        within(config.outbox.messages, 64),
        within(config.outbox.bytes, 256 * 1024),
    )
}
