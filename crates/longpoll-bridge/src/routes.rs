//! The endpoints of the plain form, and what every request has to pass before it reaches the mailboxes.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use core_executor::{ConnectionInfo, LongWait};
use http::Uri;
use http::request::Parts;
use tokio::time::{Instant, timeout_at};
use ws_server::{Admission, HandshakeRequest, Hub, Peer};

use crate::bridge::Shared;

use crate::poll::Poll;
use crate::posted::Posted;
use crate::refusal::Refusal;
use crate::{LongPollBridge, browser_client, lossless};

pub(crate) fn router(bridge: LongPollBridge) -> Router {
    // A body that fits in no mailbox need not be read.
    let body_limit = DefaultBodyLimit::max(bridge.config().ring_bytes);
    Router::new()
        // A HEAD request would take part in reading and throw away what it read.
        .route("/ws/poll", get(poll).head(refuse_method))
        .route("/ws/send", post(send).layer(body_limit))
        .merge(lossless::router(&bridge))
        .merge(browser_client::router())
        .with_state(bridge)
}

async fn poll(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, serve_poll(bridge.shared(), request).await)
}

async fn send(State(bridge): State<LongPollBridge>, request: Request) -> Response {
    answered(&bridge, serve_send(bridge.shared(), request).await)
}

pub(crate) async fn refuse_method(State(bridge): State<LongPollBridge>) -> Response {
    answered(&bridge, Err(Refusal::MethodNotAllowed))
}

pub(crate) fn answered(bridge: &LongPollBridge, served: Result<Response, Refusal>) -> Response {
    served.unwrap_or_else(|refusal| {
        bridge.metrics().refused(refusal.reason());
        refusal.into_response()
    })
}

async fn serve_poll(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    // Boxed, because a poll that waits should not keep room for what comes before.
    let (poll, long) = Box::pin(begin_poll(shared, request)).await?;
    shared.poll(poll, long).await
}

async fn begin_poll(shared: &Shared, request: Request) -> Result<(Poll, LongWait), Refusal> {
    let hub = shared.hub().ok_or(Refusal::NotAttached)?;
    let (parts, _) = request.into_parts();
    let long = LongWait::of(&parts);
    let query = Query::try_from_uri(&parts.uri).map_err(|_| Refusal::Query);
    let poll = query.and_then(|Query(query)| Poll::parse(query, &parts.headers));
    // Who may not come in is not told what is wrong with the request.
    admit(hub, parts, Instant::now() + shared.config.request_limit)
        .await
        .map(drop)?;
    Ok((poll?, long))
}

async fn serve_send(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let hub = shared.hub().ok_or(Refusal::NotAttached)?;
    let deadline = Instant::now() + shared.config.request_limit;
    let (parts, body) = request.into_parts();
    let peer = peer_of(&parts);
    admit(hub, parts.clone(), deadline).await?;
    if body.size_hint().lower() > shared.config.ring_bytes as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let reading = read(Request::from_parts(parts, body));
    let body = timeout_at(deadline, reading)
        .await
        .map_err(|_| Refusal::BodyTooSlow)??;
    let posted = Posted::parse(&body, hub.config().max_json_depth)?;
    timeout_at(deadline, shared.send(hub, posted, peer))
        .await
        .map_err(|_| Refusal::HandlersTooSlow)?
}

/// The rules of a WebSocket handshake that hold for every transport: Origin and the `authorize` hook.
pub(crate) async fn admit(hub: &Hub, parts: Parts, deadline: Instant) -> Result<Admission, Refusal> {
    let (remote_addr, uri) = (remote_addr(&parts), target(&parts));
    let decision = hub.admit(HandshakeRequest::new(remote_addr, uri, parts.headers));
    let decision = timeout_at(deadline, decision)
        .await
        .map_err(|_| Refusal::HandlersTooSlow)?;
    decision.map_err(Refusal::Denied)
}

/// Who sent a request.
pub(crate) fn peer_of(parts: &Parts) -> Peer {
    Peer::new(remote_addr(parts), &target(parts).to_string(), &parts.headers)
}

/// The whole body, up to the limit of the route.
pub(crate) async fn read(request: Request<Body>) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                Refusal::BodyTooLarge
            }
            _ => Refusal::BodyUnreadable,
        })
}

fn remote_addr(parts: &Parts) -> Option<SocketAddr> {
    let core = parts
        .extensions
        .get::<ConnectionInfo>()
        .map(|info| info.client_addr);
    core.or_else(|| {
        parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0)
    })
}

/// The target as the client wrote it, also when the router is nested in another.
fn target(parts: &Parts) -> Uri {
    let target = ConnectionInfo::target_of(&parts.uri, &parts.extensions);
    target.map_or_else(|| parts.uri.clone(), |target| target.clone().into())
}
