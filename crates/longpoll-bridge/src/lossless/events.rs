//! `GET /ws/session/events`: a stream of what comes after the cursor (HTML standard, server-sent events).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use ws_server::{Carrier, Delivery, Next, TransportKind};

use super::wire::{Farewell, Gap, Numbered};
use super::{PIECE, Visit, attach, cursor};
use crate::bridge::Shared;
use crate::refusal::Refusal;
use crate::waiters::Waiting;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Turns the buffering of nginx off for one answer.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Messages in one piece of the stream.
const MESSAGES: usize = 64;

/// Begins a stream. What a stream that breaks has carried is kept until it is acknowledged.
pub(super) async fn serve(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let visit = Visit::begin(shared, parts).await?;
    let asked = visit.asked()?;
    let from = match visit.parts.headers.get(LAST_EVENT_ID) {
        // A browser sends an empty one when there was none.
        Some(id) if !id.is_empty() => cursor(id.to_str().map_err(|_| Refusal::Cursor)?)?,
        _ => asked.cursor.as_deref().map_or(Ok(0), cursor)?,
    };
    let number = asked.number()?;
    let session = visit.session(&asked)?;
    let place = shared.streams.enter().ok_or(Refusal::TooManyWaiting)?;
    let carrier = attach(&session, TransportKind::Sse, number, from)?;
    let mut first = String::new();
    event(&mut first, Some("hello"), None, &session.hello(from));
    let stream = Stream {
        carrier,
        first: Some(first),
        heartbeat: shared.config.heartbeat,
        is_over: false,
        _place: place,
    };
    let pieces = stream::unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), stream))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

struct Stream {
    carrier: Carrier,
    first: Option<String>,
    heartbeat: Duration,
    is_over: bool,
    _place: Waiting,
}

#[derive(Serialize)]
struct Heartbeat {
    received: u64,
}

#[derive(Serialize)]
struct Nothing {}

impl Stream {
    /// The next piece of the stream; nothing at its end.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let mut piece = String::new();
        match tokio::time::timeout(self.heartbeat, self.carrier.next(MESSAGES, PIECE)).await {
            Err(_) => {
                let received = self.carrier.session().received();
                event(&mut piece, Some("heartbeat"), None, &Heartbeat { received });
            }
            Ok(Next::Messages(delivery)) => messages(&mut piece, &delivery),
            Ok(Next::Close(info)) => {
                self.is_over = true;
                self.carrier.told();
                event(&mut piece, Some("close"), None, &Farewell::from(info));
            }
            Ok(Next::Replaced) => {
                self.is_over = true;
                event(&mut piece, Some("replaced"), None, &Nothing {});
            }
            Ok(_) => return None,
        }
        Some(piece)
    }
}

fn messages(piece: &mut String, delivery: &Delivery) {
    if let Some(gap) = Gap::before(delivery) {
        event(piece, Some("gap"), Some(gap.cursor()), &gap);
    }
    for (number, message) in delivery.numbered() {
        event(piece, None, Some(number), &Numbered::new(number, message));
    }
}

/// Writes one event. JSON has no line breaks of its own, so the data is one line.
fn event(piece: &mut String, name: Option<&str>, id: Option<u64>, data: &impl Serialize) {
    if let Some(name) = name {
        piece.push_str("event: ");
        piece.push_str(name);
        piece.push('\n');
    }
    if let Some(id) = id {
        piece.push_str("id: ");
        piece.push_str(&id.to_string());
        piece.push('\n');
    }
    piece.push_str("data: ");
    piece.push_str(&serde_json::to_string(data).expect("strings and numbers always serialise"));
    piece.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::{Heartbeat, event};

    #[test]
    fn events_as_the_standard_has_them() {
        let mut piece = String::new();
        event(&mut piece, Some("heartbeat"), None, &Heartbeat { received: 4 });
        event(&mut piece, None, Some(7), &"a\r\nb");
        assert_eq!(
            piece,
            "event: heartbeat\ndata: {\"received\":4}\n\nid: 7\ndata: \"a\\r\\nb\"\n\n"
        );
    }
}
