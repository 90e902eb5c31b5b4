//! The parts of an application between description and start: who gets which socket, and who needs none.

use crate::RuntimeError;
use core_executor::{InheritedSockets, Spawner};
use std::net::{SocketAddr, TcpListener};
use ws_server::{BoundWsServer, RunningWsServer, WsServer};

/// The sockets of a supervisor, one for each server that has one.
#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) http: Option<TcpListener>,
    pub(crate) websocket: Option<TcpListener>,
    pub(crate) metrics: Option<TcpListener>,
}

impl Sockets {
    pub(crate) fn deal(
        inherited: InheritedSockets,
        has_websocket: bool,
        has_metrics: bool,
    ) -> Result<Self, RuntimeError> {
        let mut servers = vec!["http"];
        servers.extend(has_websocket.then_some("websocket"));
        servers.extend(has_metrics.then_some("metrics"));
        let dealt = inherited.assign(&servers).map_err(RuntimeError::Inherited)?;
        let mut sockets = Self::default();
        for (server, socket) in servers.into_iter().zip(dealt) {
            match server {
                "http" => sockets.http = socket,
                "websocket" => sockets.websocket = socket,
                _ => sockets.metrics = socket,
            }
        }
        Ok(sockets)
    }
}

/// The WebSocket server before it serves.
pub(crate) enum WsPart {
    OwnPort(BoundWsServer),
    /// Its sessions come through the HTTP app alone.
    UnderPaths(WsServer),
}

impl WsPart {
    pub(crate) fn bind(ws: WsServer, own_port: bool) -> Result<Self, RuntimeError> {
        if own_port {
            return ws.bind().map(Self::OwnPort).map_err(RuntimeError::WebSocket);
        }
        Ok(Self::UnderPaths(ws))
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::OwnPort(bound) => Some(bound.local_addr()),
            Self::UnderPaths(_) => None,
        }
    }

    pub(crate) fn start(self, spawner: &Spawner) -> Result<RunningWsServer, RuntimeError> {
        let started = match self {
            Self::OwnPort(bound) => bound.start(spawner),
            Self::UnderPaths(ws) => ws.start_without_listener(spawner),
        };
        started.map_err(RuntimeError::WebSocket)
    }
}
