//! `GET /ws/session/poll`: what comes after the cursor, at once or as soon as it is there.

use axum::extract::Request;
use axum::response::Response;
use core_executor::LongWait;
use http::StatusCode;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use ws_server::{Carrier, Delivery, Next, ResumableSession, ResumeError, TransportKind};

use super::wire::{Farewell, Gap, Numbered};
use super::{PIECE, Visit, attach, cursor, json};
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
    // Boxed, because a poll that waits should not keep room for what comes before.
    let Asking {
        session,
        from,
        number,
        max,
        long,
    } = Box::pin(begin(shared, request)).await?;
    let mut carrier = attach(&session, TransportKind::LongPoll, number, from)?;
    shared.metrics.polls.inc();
    match wait(shared, &mut carrier, max, long).await? {
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

/// What a poll asks for.
struct Asking {
    session: ResumableSession,
    from: u64,
    number: Option<u64>,
    max: usize,
    long: LongWait,
}

async fn begin(shared: &Shared, request: Request) -> Result<Asking, Refusal> {
    let (parts, _) = request.into_parts();
    let long = LongWait::of(&parts);
    let visit = Visit::begin(shared, parts).await?;
    let asked = visit.asked()?;
    let from = asked.cursor.as_deref().map_or(Ok(0), cursor)?;
    let number = asked.number()?;
    let max = asked.max.as_deref().map_or(Ok(DEFAULT_MAX), parse_max)?;
    let session = visit.session(&asked)?;
    Ok(Asking {
        session,
        from,
        number,
        max,
        long,
    })
}

/// Nothing when nothing came within the wait.
async fn wait(
    shared: &Shared,
    carrier: &mut Carrier,
    max: usize,
    long: LongWait,
) -> Result<Option<Next>, Refusal> {
    if let Some(next) = carrier.now(max, PIECE) {
        return Ok(Some(next));
    }
    let _place = shared.waiters.enter().ok_or(Refusal::TooManyWaiting)?;
    long.begin();
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
