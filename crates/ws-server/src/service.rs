//! The upgrade as a tower service: for the own listener, and for any axum router on somebody else's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use core_executor::{ConnectionInfo, ConnectionPermit};
use http::{Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use tower_service::Service;

use crate::carry::carry;
use crate::handlers::BoxFuture;
use crate::handshake::{self, Granted, HandshakeRequest};
use crate::hub::Hub;
use crate::openapi;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::resume::websocket;
use crate::session::TransportKind;

/// Answers WebSocket handshakes on whatever path it is mounted and carries the sessions they open.
///
/// It is a tower service without an error, so it fits every axum router:
/// `Router::new().route_service("/ws", server.service())`. Until the server is started, and from its stop on, it
/// answers 503. The peer's address is taken from the connection of `core_executor::serve` or, under `axum::serve`,
/// from `ConnectInfo<SocketAddr>`; without either it is unknown. Below a prefix the hooks are told the whole path by
/// `core_executor::serve`, and what the prefix leaves by another server.
#[derive(Debug, Clone)]
pub struct UpgradeService {
    hub: Hub,
}

impl UpgradeService {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
    }
}

impl UpgradeService {
    /// What a `GET` on its path is in an OpenAPI document: an operation object (OpenAPI 3.1.0 §4.8.10).
    ///
    /// ```
    /// use ws_server::{WsConfig, WsServer};
    ///
    /// let operation = WsServer::new(WsConfig::default()).service().openapi();
    /// assert!(operation["responses"]["101"].is_object());
    /// ```
    pub fn openapi(&self) -> serde_json::Value {
        openapi::operation()
    }
}

impl<B: Send + 'static> Service<Request<B>> for UpgradeService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let checked = handshake::check(&request, self.hub.config(), self.hub.carriers().is_some());
        handshake::normalize(&mut request);
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
        // The body is let go here: a handshake has none, and nothing is kept of it while the hooks run.
        let (parts, _) = request.into_parts();
        let hub = self.hub.clone();
        Box::pin(async move {
            let opened = match checked {
                Ok(granted) => open(&hub, parts, on_upgrade, &granted).await.map(|()| granted),
                Err(refusal) => Err(refusal),
            };
            Ok(opened.map_or_else(
                |refusal| {
                    hub.metrics().handshake_refused(refusal.status().as_u16());
                    refusal.into_response()
                },
                |granted| granted.opening(),
            ))
        })
    }
}

/// Decides on a lawful handshake, registers the session, runs `on_open`, and leaves a task behind that takes the
/// stream over as soon as the 101 is out.
async fn open(
    hub: &Hub,
    parts: http::request::Parts,
    on_upgrade: Option<OnUpgrade>,
    granted: &Granted,
) -> Result<(), Refusal> {
    let on_upgrade = on_upgrade.ok_or(Refusal::bad_request("this connection cannot be upgraded"))?;
    let remote_addr = remote_addr(&parts);
    let permit = place_of_its_own(hub, &parts)?;
    let uri = target(&parts);
    let peer = Peer::new(remote_addr, &uri.to_string(), &parts.headers)
        .with_subprotocol(granted.subprotocol.as_deref());
    let admission = hub
        .admit(HandshakeRequest::new(remote_addr, uri, parts.headers))
        .await?;
    let attachment = match (hub.resumption(), hub.carriers()) {
        (Some(resumption), Some(carriers)) if websocket::is_asked_for(peer.subprotocol()) => {
            resumption.carry(carriers, peer, admission)?
        }
        _ => {
            hub.open_admitted_session(peer, TransportKind::WebSocket, admission)
                .await?
        }
    };
    let id = attachment.session().id();
    hub.spawn_session(id, carry(on_upgrade, permit, attachment, granted.negotiated()))
        .map_err(|_| Refusal::STOPPING)
}

/// The target as the client wrote it, also when the service is mounted below a prefix.
fn target(parts: &http::request::Parts) -> Uri {
    let target = ConnectionInfo::target_of(&parts.uri, &parts.extensions);
    target.map_or_else(|| parts.uri.clone(), |target| target.clone().into())
}

fn remote_addr(parts: &http::request::Parts) -> Option<SocketAddr> {
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

/// A place among the connections for a session that does not inherit one: on HTTP/2 the connection keeps its own, and
/// a server that is not ours never took one.
fn place_of_its_own(hub: &Hub, parts: &http::request::Parts) -> Result<Option<ConnectionPermit>, Refusal> {
    let connection = parts.extensions.get::<ConnectionInfo>();
    if connection.is_some() && parts.version <= Version::HTTP_11 {
        return Ok(None);
    }
    let peer = connection.map_or_else(|| remote_addr(parts), |info| Some(info.remote_addr));
    let spawner = hub.spawner().ok_or(Refusal::STOPPING)?;
    let permit = spawner.connection_budget().take(peer.map(|peer| peer.ip()));
    permit.map(Some).map_err(|_| Refusal::FULL)
}
