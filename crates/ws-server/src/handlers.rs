//! The callbacks of a server, erased to one type each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::close::CloseInfo;
use crate::error::SessionError;
use crate::handshake::{Admission, HandshakeRequest};
use crate::message::JsonMessage;
use crate::refusal::Refusal;
use crate::relay::Relay;
use crate::session::Session;

/// A boxed future that any thread may run.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A callback of a session with one more argument.
pub(crate) type Callback<A> = Box<dyn Fn(Session, A) -> BoxFuture<()> + Send + Sync>;

/// The hook that decides on a handshake.
pub(crate) type Authorize =
    Box<dyn Fn(HandshakeRequest) -> BoxFuture<Result<Admission, Refusal>> + Send + Sync>;

/// Everything a user has hung into the server. Fixed from the start on.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) open: Option<Callback<()>>,
    pub(crate) close: Option<Callback<CloseInfo>>,
    pub(crate) error: Option<Callback<SessionError>>,
    pub(crate) text: Option<Callback<String>>,
    pub(crate) binary: Option<Callback<Bytes>>,
    pub(crate) typed: Option<Callback<JsonMessage>>,
    pub(crate) authorize: Option<Authorize>,
    pub(crate) relays: Vec<Arc<dyn Relay>>,
}

impl Handlers {
    /// Whether anybody wants texts read as envelopes.
    pub(crate) fn wants_envelopes(&self) -> bool {
        self.typed.is_some() || !self.relays.is_empty()
    }
}

pub(crate) fn callback<A, F, Fut>(function: F) -> Callback<A>
where
    F: Fn(Session, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Box::new(move |session, argument| Box::pin(function(session, argument)))
}
