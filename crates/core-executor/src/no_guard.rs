//! The guard compiled out, for benches alone: what a request costs without any. Nobody is told of any connection.

use crate::connection::{ConnectionCounts, SharedListener};
use crate::{CloseReason, ConnectionId, TlsFacts};
use std::net::SocketAddr;
use std::sync::Arc;

/// Stands where the guard is and does nothing.
pub struct ConnectionGuard;

impl ConnectionGuard {
    pub(crate) fn arrived(
        _: Option<&SharedListener>,
        _: ConnectionId,
        _: &SocketAddr,
        _: &SocketAddr,
        _: impl FnOnce() -> Arc<dyn ConnectionCounts>,
    ) -> Self {
        Self
    }

    pub(crate) fn accepted(&mut self, _: Option<&Arc<TlsFacts>>) {}

    pub(crate) fn is_heard(&self) -> bool {
        false
    }

    pub(crate) fn closed(self, _: CloseReason) {}

    pub(crate) fn upgraded(self) {}
}
