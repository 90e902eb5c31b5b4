//! `POST /ws/session`: a session that polls or a stream will carry.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use ws_server::TransportKind;

use super::{Visit, json};
use crate::bridge::Shared;
use crate::metrics::Counted;
use crate::refusal::Refusal;

/// Opens a session. Dropped before it is done, it ends the session.
pub(super) async fn serve(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let mut visit = Visit::begin(shared, parts).await?;
    let binding = visit.resumption.binding(&visit.parts.headers);
    let (peer, admission) = (visit.peer.clone(), std::mem::take(&mut visit.admission));
    let opening = visit
        .resumption
        .open(peer, TransportKind::LongPoll, admission, binding);
    let session = visit.in_time(opening).await?.map_err(Refusal::Denied)?;
    session.keep(Counted::session(&shared.metrics));
    Ok(json(StatusCode::CREATED, &session.hello(0)))
}
