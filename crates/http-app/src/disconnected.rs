//! An extractor that tells a handler that its client has left.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use core_executor::{ClientGone, ConnectionInfo};
use http::request::Parts;

use crate::ticket::Ticket;

/// Tells a handler that its client has left, under the policies [`OnDisconnect::Notify`] and
/// [`OnDisconnect::Grace`]. Any handler can extract it.
///
/// Without such a policy a handler is dropped when the client leaves, and this tells only whoever else was handed it:
/// a task the handler started, the stream of its answer. What counts as leaving is said at [`ClientGone`].
///
/// [`OnDisconnect::Notify`]: crate::OnDisconnect::Notify
/// [`OnDisconnect::Grace`]: crate::OnDisconnect::Grace
#[derive(Clone, Debug)]
pub struct Disconnected {
    client: ClientGone,
}

impl Disconnected {
    /// Whether the client has left.
    pub fn is_gone(&self) -> bool {
        self.client.is_gone()
    }

    /// Waits until the client has left; at once when it has. Cancel safe.
    pub async fn gone(&self) {
        self.client.gone().await;
    }
}

impl<S: Sync> FromRequestParts<S> for Disconnected {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let of_ours = Ticket::of(&parts.extensions).map(|ticket| ticket.told());
        let of_connection = || Some(parts.extensions.get::<ConnectionInfo>()?.client_gone.clone());
        let client = of_ours.or_else(of_connection);
        Ok(Self {
            client: client.unwrap_or_else(ClientGone::never),
        })
    }
}
