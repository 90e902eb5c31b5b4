//! `GET /ws/session/poll`: what comes after the cursor, at once or as soon as it is there.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use ws_server::{Carrier, Delivery, Next, ResumeError, TransportKind};

use super::wire::{Farewell, Gap, Numbered};
use super::{PIECE, Visit, cursor, json};
use crate::bridge::Shared;
use crate::poll::{DEFAULT_MAX, parse_max};
use crate::refusal::Refusal;

#[derive(Serialize)]
struct Answer<'a> {
    messages: Vec<Numbered<'a>>,
    cursor: u64,
    received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<Farewell>,
}

/// Serves a poll. Cancel safe: what a dropped one would have answered is kept.
pub(super) async fn serve(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (session, from, max) = {
        let visit = Visit::begin(shared, parts).await?;
        let asked = visit.asked()?;
        let from = asked.cursor.as_deref().map_or(Ok(0), cursor)?;
        let max = asked.max.as_deref().map_or(Ok(DEFAULT_MAX), parse_max)?;
        (visit.session(&asked)?, from, max)
    };
    let mut carrier = session
        .attach(TransportKind::LongPoll, from)
        .map_err(Refusal::Resume)?;
    shared.metrics.polls.inc();
    match wait(shared, &mut carrier, max).await? {
        None => Ok(answer(&carrier, &Delivery::none_after(from), None)),
        Some(Next::Messages(delivery)) => {
            let close = carrier.close();
            Ok(answer(&carrier, &delivery, close.map(Farewell::from)))
        }
        Some(Next::Close(info)) => Ok(answer(&carrier, &Delivery::none_after(from), Some(info.into()))),
        Some(Next::Replaced) => Err(Refusal::Replaced),
        Some(_) => Err(Refusal::Resume(ResumeError::Gone)),
    }
}

/// Nothing when nothing came within the wait.
async fn wait(shared: &Shared, carrier: &mut Carrier, max: usize) -> Result<Option<Next>, Refusal> {
    if let Some(next) = carrier.now(max, PIECE) {
        return Ok(Some(next));
    }
    let _place = shared.waiters.enter().ok_or(Refusal::TooManyWaiting)?;
    let deadline = Instant::now() + shared.config.wait;
    Ok(timeout_at(deadline, carrier.next(max, PIECE)).await.ok())
}

fn answer(carrier: &Carrier, delivery: &Delivery, close: Option<Farewell>) -> Response {
    if close.is_some() {
        carrier.told();
    }
    let messages = delivery
        .numbered()
        .map(|(number, message)| Numbered::new(number, message));
    json(
        StatusCode::OK,
        &Answer {
            messages: messages.collect(),
            cursor: delivery.cursor(),
            received: carrier.session().received(),
            gap: Gap::before(delivery),
            close,
        },
    )
}
