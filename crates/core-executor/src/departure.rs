//! Whether the client of a request has left, as the request's handler can know it.

use crate::handed::Handed;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Tells a handler that its client has left: [`ConnectionFacts::client_gone`](crate::ConnectionFacts::client_gone).
///
/// A client has left when it closes its side of the connection (a FIN counts, so half a close does too), resets it or,
/// on HTTP/2, the request's stream, or cannot be written to any more, whether or not further bytes of it wait to be
/// read. What is still under way to this machine hides it: a FIN behind more bytes than the receive window takes has
/// not arrived. The server's own end is no departure.
///
/// ```
/// use core_executor::ConnectionInfo;
/// use http::Request;
///
/// async fn report<B>(request: Request<B>) -> Option<u64> {
///     let client = &request.extensions().get::<ConnectionInfo>()?.client_gone;
///     let mut rows = 0;
///     while rows < 1000 && !client.is_gone() {
///         rows += 1; // One more step of something long.
///     }
///     Some(rows)
/// }
/// ```
#[derive(Clone)]
pub struct ClientGone {
    departure: Arc<Departure>,
}

impl ClientGone {
    pub(crate) fn new(departure: Arc<Departure>) -> Self {
        Self { departure }
    }

    pub(crate) fn departure(&self) -> Arc<Departure> {
        self.departure.clone()
    }

    /// A client that never leaves, for handlers that shall not hear of it.
    pub fn never() -> Self {
        Self::new(Arc::default())
    }

    /// Whether the client has left.
    pub fn is_gone(&self) -> bool {
        self.departure.has_left.load(Ordering::Acquire)
    }

    /// Whether the server has cut the request at the deadline of its end: its client was there, and was not answered.
    pub fn is_cut(&self) -> bool {
        self.departure.is_cut.load(Ordering::Acquire)
    }

    /// Waits until the client has left; at once when it has. Cancel safe.
    pub async fn gone(&self) {
        // Made before the look at the flag: it hears what comes between the look and the wait.
        let told = self.departure.told.notified();
        if !self.is_gone() {
            told.await;
        }
    }
}

/// Equal are those that tell of the same client.
impl PartialEq for ClientGone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.departure, &other.departure)
    }
}

impl Eq for ClientGone {}

impl fmt::Debug for ClientGone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClientGone")
            .field("is_gone", &self.is_gone())
            .finish()
    }
}

/// Where a connection notes that its client has left.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    has_left: AtomicBool,
    is_cut: AtomicBool,
    told: Notify,
    /// What a handler left that said that its answer takes long.
    pub(crate) long_wait: Handed<Box<[u8]>>,
}

impl Departure {
    /// The server gives the client up.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// Tells everybody who waits. Again has no effect.
    pub(crate) fn tell(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel) {
            self.told.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn all_who_wait_hear_it_and_so_does_who_comes_later() {
        let departure = Arc::new(Departure::default());
        let client = ClientGone::new(departure.clone());
        let mut waiting =
            [client.clone(), client.clone()].map(|client| Box::pin(async move { client.gone().await }));
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(!client.is_gone());
        departure.tell();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_some()));
        assert!(client.is_gone() && client.gone().now_or_never().is_some());
    }

    #[test]
    fn a_wait_that_was_given_up_costs_nothing() {
        let departure = Arc::new(Departure::default());
        let client = ClientGone::new(departure.clone());
        assert!(client.gone().now_or_never().is_none());
        departure.tell();
        assert!(client.gone().now_or_never().is_some());
    }
}
