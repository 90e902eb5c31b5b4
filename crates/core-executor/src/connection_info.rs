//! Which connection a request came in on.

use crate::{ClientGone, ConnectionId, TlsFacts};
use http::uri::PathAndQuery;
use http::{Extensions, Uri};
use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

/// Which connection a request came in on. In the extensions of every request served by [`serve`](crate::serve()), and
/// read through [`ConnectionFacts`]: `info.remote_addr`. Cloning shares them.
#[derive(Clone)]
pub struct ConnectionInfo {
    facts: Arc<ConnectionFacts>,
    target: Option<PathAndQuery>,
    notes: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a [`ConnectionInfo`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionFacts {
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

impl ConnectionInfo {
    pub(crate) fn new(facts: ConnectionFacts) -> Self {
        Self {
            facts: Arc::new(facts),
            target: None,
            notes: None,
        }
    }

    /// For a request that differs from the others of its connection.
    pub(crate) fn facts_mut(&mut self) -> &mut ConnectionFacts {
        Arc::make_mut(&mut self.facts)
    }

    /// For a request with this target.
    pub(crate) fn set_target(&mut self, target: &Uri) {
        self.target = target.path_and_query().cloned();
    }

    /// Path and query of the request with this URI and these extensions, as its client wrote them: a router that took a
    /// prefix off the URI has not changed them. Under another server than [`serve`](crate::serve()) they are the URI's
    /// own. `None` where a target has no path (`CONNECT`, RFC 9110 §9.3.6).
    ///
    /// ```
    /// use core_executor::ConnectionInfo;
    /// use http::Request;
    ///
    /// fn canonical_link<B>(request: &Request<B>) -> String {
    ///     let target = ConnectionInfo::target_of(request.uri(), request.extensions());
    ///     let path = target.map_or("/", |target| target.path());
    ///     format!("<https://example.org{path}>; rel=\"canonical\"")
    /// }
    ///
    /// let request = Request::get("/shop/7?from=mail").body(()).unwrap();
    /// assert_eq!(canonical_link(&request), "<https://example.org/shop/7>; rel=\"canonical\"");
    /// ```
    pub fn target_of<'a>(uri: &'a Uri, extensions: &'a Extensions) -> Option<&'a PathAndQuery> {
        let info = extensions.get::<Self>();
        let original = info.and_then(|info| info.target.as_ref());
        original.or_else(|| uri.path_and_query())
    }

    /// Leaves notes for whoever is handed the request further in: it costs no extension of its own. Those left before
    /// are gone. Clones made from now on have them too.
    pub fn leave_notes(&mut self, notes: Arc<dyn Any + Send + Sync>) {
        self.notes = Some(notes);
    }

    /// The notes that were left, when they are of this type.
    pub fn notes<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.notes.clone()?.downcast().ok()
    }
}

impl Deref for ConnectionInfo {
    type Target = ConnectionFacts;

    fn deref(&self) -> &ConnectionFacts {
        &self.facts
    }
}

/// Equal are those that tell the same of a connection, whatever its request and its notes are.
impl PartialEq for ConnectionInfo {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

impl Eq for ConnectionInfo {}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionFacts {
            id,
            remote_addr,
            client_addr,
            local_addr,
            tls,
            client_gone,
        } = &*self.facts;
        out.debug_struct("ConnectionInfo")
            .field("id", id)
            .field("remote_addr", remote_addr)
            .field("client_addr", client_addr)
            .field("local_addr", local_addr)
            .field("tls", tls)
            .field("client_gone", client_gone)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_of_one_type_and_leave_the_rest_alone() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 80));
        let plain = ConnectionInfo::new(ConnectionFacts {
            id: ConnectionId::next(),
            remote_addr: addr,
            client_addr: addr,
            local_addr: addr,
            tls: None,
            client_gone: ClientGone::never(),
        });
        let mut noted = plain.clone();
        noted.leave_notes(Arc::new(7_u8));
        assert_eq!(noted.notes::<u8>().as_deref(), Some(&7));
        assert_eq!((noted.notes::<u16>(), plain.notes::<u8>()), (None, None));
        assert_eq!(noted, plain);
        assert_eq!(noted.remote_addr, addr);
    }
}
