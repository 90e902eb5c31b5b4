//! The lossless form: sessions with numbers and acknowledgements, over polls and SSE. `docs/wire-protocol.md` describes
//! it.

mod closing;
mod events;
mod opening;
mod polling;
mod sending;
mod wire;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use ws_server::{Admission, Carrier, Hub, Peer, ResumableSession, ResumeId, Resumption, TransportKind};

use crate::LongPollBridge;
use crate::bridge::Shared;
use crate::refusal::Refusal;
use crate::routes::{admit, answered, peer_of, read, refuse_method};

/// Names the session of a request.
const SESSION: HeaderName = HeaderName::from_static("longpoll-session");

/// Bytes of messages that are taken for one answer or one piece of a stream.
const PIECE: usize = 256 * 1024;

pub(crate) fn router(bridge: &LongPollBridge) -> Router<LongPollBridge> {
    let body_limit = DefaultBodyLimit::max(bridge.config().ring_bytes);
    Router::new()
        .route("/ws/session", post(open))
        // A HEAD request would take the session over for an answer that nobody reads.
        .route("/ws/session/poll", get(poll).head(refuse_method))
        .route("/ws/session/events", get(events).head(refuse_method))
        .route("/ws/session/send", post(send).layer(body_limit))
        .route(
            "/ws/session/close",
            post(close).layer(DefaultBodyLimit::max(4096)),
        )
}

async fn open(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, opening::serve(bridge.shared(), request).await)
}

async fn poll(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, polling::serve(bridge.shared(), request).await)
}

async fn events(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, events::serve(bridge.shared(), request).await)
}

async fn send(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, sending::serve(bridge.shared(), request).await)
}

async fn close(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, closing::serve(bridge.shared(), request).await)
}

/// What a request may say in its query.
#[derive(Deserialize)]
struct Asked {
    session_id: Option<String>,
    cursor: Option<String>,
    request: Option<String>,
    max: Option<String>,
}

impl Asked {
    /// The number of the request: whole, from 1 and below 2^53.
    fn number(&self) -> Result<Option<u64>, Refusal> {
        let number = |text| cursor(text).ok().filter(|number| *number > 0);
        let given = self.request.as_deref();
        given
            .map(|text| number(text).ok_or(Refusal::RequestNumber))
            .transpose()
    }
}

/// Lets a request carry the session; one that came twice is known by its number.
fn attach(
    session: &ResumableSession,
    kind: TransportKind,
    number: Option<u64>,
    from: u64,
) -> Result<Carrier, Refusal> {
    match number {
        Some(number) => session.attach_numbered(kind, number, from),
        None => session.attach(kind, from),
    }
    .map_err(Refusal::Resume)
}

/// A request that has come in: from here on its sender is told what is wrong with it.
struct Visit {
    hub: Hub,
    resumption: Resumption,
    admission: Admission,
    peer: Peer,
    parts: Parts,
    deadline: Instant,
}

impl Visit {
    async fn begin(shared: &Shared, parts: Parts) -> Result<Self, Refusal> {
        let hub = shared.hub().ok_or(Refusal::NotAttached)?.clone();
        let resumption = hub.resumption().ok_or(Refusal::NotAttached)?;
        let deadline = Instant::now() + shared.config.request_limit;
        let peer = peer_of(&parts);
        let admission = admit(&hub, parts.clone(), deadline).await?;
        Ok(Self {
            hub,
            resumption,
            admission,
            peer,
            parts,
            deadline,
        })
    }

    fn asked(&self) -> Result<Asked, Refusal> {
        let Query(asked) = Query::try_from_uri(&self.parts.uri).map_err(|_| Refusal::Query)?;
        Ok(asked)
    }

    /// The session that the header names.
    fn session_of_header(&self) -> Result<Option<ResumableSession>, Refusal> {
        let Some(name) = self.parts.headers.get(SESSION) else {
            return Ok(None);
        };
        let name = name.to_str().map_err(|_| Refusal::MailboxName)?;
        self.find(name).map(Some)
    }

    /// The session that the header names, or the query.
    fn session(&self, asked: &Asked) -> Result<ResumableSession, Refusal> {
        match (self.session_of_header()?, &asked.session_id) {
            (Some(session), _) => Ok(session),
            (None, Some(name)) => self.find(name),
            (None, None) => Err(Refusal::NoSession),
        }
    }

    fn find(&self, name: &str) -> Result<ResumableSession, Refusal> {
        let id: ResumeId = name.parse().map_err(|_| Refusal::MailboxName)?;
        let shown = self.resumption.binding(&self.parts.headers);
        self.resumption.find(id, &shown).map_err(Refusal::Resume)
    }

    /// Awaits something of the application's, which may take as long as a request may.
    async fn in_time<F: Future>(&self, future: F) -> Result<F::Output, Refusal> {
        timeout_at(self.deadline, future)
            .await
            .map_err(|_| Refusal::HandlersTooSlow)
    }
}

/// A request with a body for the session that its header names.
async fn posted(
    shared: &Shared,
    request: Request,
) -> Result<(Visit, ResumableSession, bytes::Bytes), Refusal> {
    let (parts, body) = request.into_parts();
    let visit = Visit::begin(shared, parts.clone()).await?;
    let session = visit.session_of_header()?.ok_or(Refusal::NoSession)?;
    let body = timeout_at(visit.deadline, read(Request::from_parts(parts, body)))
        .await
        .map_err(|_| Refusal::BodyTooSlow)??;
    Ok((visit, session, body))
}

/// A cursor: a whole number below 2^53.
fn cursor(text: &str) -> Result<u64, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number
        .filter(|number: &u64| *number < 1 << 53)
        .ok_or(Refusal::Cursor)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_string(body).expect("strings and numbers always serialise");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::{Refusal, cursor};

    #[test]
    fn a_cursor_is_a_whole_number_that_javascript_can_say() {
        for (text, number) in [
            ("0", 0),
            ("17", 17),
            ("007", 7),
            ("9007199254740991", (1 << 53) - 1),
        ] {
            assert_eq!(cursor(text), Ok(number));
        }
        for text in [
            "",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "x",
            "9007199254740992",
            "99999999999999999999",
        ] {
            assert_eq!(cursor(text), Err(Refusal::Cursor), "{text}");
        }
    }
}
