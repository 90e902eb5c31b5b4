//! `POST /ws/send`: into a mailbox; to a room also to its WebSocket members, the relays and the typed handler.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use ws_server::{Encoded, Hub, Peer, WsError};

use crate::bridge::Shared;
use crate::posted::Posted;
use crate::refusal::Refusal;
use crate::relay::AlreadyQueued;

#[derive(Serialize)]
struct Queued<'a> {
    session_id: &'a str,
    status: &'static str,
}

impl Shared {
    /// Delivers a message that was sent over HTTP. Dropping the future half-way drops the typed handler where it
    /// stands; the message has been queued by then.
    pub(crate) async fn send(&self, hub: &Hub, posted: Posted, peer: Peer) -> Result<Response, Refusal> {
        let Posted { message, target } = posted;
        let hold = self.hold(&target)?;
        let Some(room) = target.as_room() else {
            // Held, so it is not closed.
            let _ = hold.push(Bytes::from(message.to_text()));
            return Ok(queued(target.as_str()));
        };
        // The mailbox gets it as every broadcast to its room: through our own relay, and so exactly once.
        hub.publish(room, Encoded::json(&message))
            .await
            .map_err(|error| refused_by_hub(&error))?;
        let session = hub.detached_session(peer);
        session.insert_data(AlreadyQueued);
        hub.dispatch(&session, message)
            .await
            .map_err(|error| refused_by_hub(&error))?;
        drop(hold);
        Ok(queued(target.as_str()))
    }
}

fn refused_by_hub(error: &WsError) -> Refusal {
    match error {
        WsError::HandlerPanicked => Refusal::HandlerPanicked,
        WsError::RoomNameEmpty | WsError::RoomNameTooLong { .. } => Refusal::MailboxName,
        _ => Refusal::NotRunning,
    }
}

fn queued(mailbox: &str) -> Response {
    let body = serde_json::to_string(&Queued {
        session_id: mailbox,
        status: "queued",
    })
    .expect("two strings always serialise");
    (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], body).into_response()
}
