//! Which connection a request came in on.

use crate::{ClientGone, ConnectionId, TlsFacts};
use std::net::SocketAddr;
use std::sync::Arc;

/// Which connection a request came in on. In the extensions of every request served by [`serve`](crate::serve()).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection.
    pub id: ConnectionId,
    /// Where it comes from: the client, or the proxy in front of us.
    pub remote_addr: SocketAddr,
    /// Who sent the request: `remote_addr`, or, when that is a trusted proxy (`SERVER_TRUSTED_PROXIES`), the client it
    /// forwards for; then the port is 0 where the proxy does not tell it.
    pub client_addr: SocketAddr,
    /// The address it came in on.
    pub local_addr: SocketAddr,
    /// What the TLS handshake found out; nothing on a plain connection.
    pub tls: Option<Arc<TlsFacts>>,
    /// Tells that the client of this request has left.
    pub client_gone: ClientGone,
}
