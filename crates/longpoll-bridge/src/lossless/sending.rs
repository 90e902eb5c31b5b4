//! `POST /ws/session/send`: numbered messages of the client, each handled once, and its cursor.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::wire::Sent;
use super::{json, posted};
use crate::bridge::Shared;
use crate::refusal::Refusal;

#[derive(Serialize)]
struct Received {
    received: u64,
}

/// Takes messages over. They are handled to the end also when this future is dropped.
pub(super) async fn serve(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let (visit, session, body) = posted(shared, request).await?;
    let (first, messages, cursor) = Sent::read(&body, visit.hub.config().max_message_size)?;
    drop(body);
    if let Some(cursor) = cursor {
        session.acknowledge(cursor).map_err(Refusal::Resume)?;
    }
    let received = match messages.is_empty() {
        true => session.received(),
        false => visit
            .in_time(session.receive_all(first, messages))
            .await?
            .map_err(Refusal::Resume)?,
    };
    Ok(json(StatusCode::OK, &Received { received }))
}
