//! The callbacks of a server, erased to one type each.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use futures_util::future::OptionFuture;

use crate::close::CloseInfo;
use crate::error::SessionError;
use crate::handshake::{Admission, HandshakeRequest};
use crate::message::JsonMessage;
use crate::refusal::Refusal;
use crate::registry::Outcome;
use crate::relay::Relay;
use crate::session::Session;
use crate::text::Text;

/// A boxed future that any thread may run.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A callback of a session with one more argument.
pub(crate) type Callback<A> = Box<dyn Fn(Session, A) -> BoxFuture<()> + Send + Sync>;

/// A handler of messages.
pub(crate) type Handler<A> = Box<dyn Begin<A>>;

/// A handler that did not end at once.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Option<()>> + Send>>;

/// Runs a handler up to its first wait.
pub(crate) trait Begin<A>: Send + Sync {
    /// Runs it for one argument after the other. Nothing when it has ended with each, else what it waits in with the
    /// last one that was taken.
    fn begin(
        &self,
        session: &Session,
        arguments: &mut dyn Iterator<Item = A>,
        context: &mut Context<'_>,
    ) -> Option<Pending>;
}

thread_local! {
    /// Most handlers end at once, so the memory one of them ran in is kept for the next of its kind: a [`Place`].
    static SPARE: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
}

/// Memory for handlers of one kind.
struct Place<Fut>(Pin<Box<OptionFuture<Fut>>>);

impl<A, F, Fut> Begin<A> for F
where
    F: Fn(Session, A) -> Fut + Send + Sync,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn begin(
        &self,
        session: &Session,
        arguments: &mut dyn Iterator<Item = A>,
        context: &mut Context<'_>,
    ) -> Option<Pending> {
        let mut place = match SPARE.take().map(<Box<dyn Any>>::downcast::<Place<Fut>>) {
            Some(Ok(place)) => place,
            _ => Box::new(Place(Box::pin(None.into()))),
        };
        let mut running = place.0.as_mut();
        for argument in arguments {
            running.set(Some(self(session.clone(), argument)).into());
            if running.as_mut().poll(context).is_pending() {
                return Some(place.0);
            }
            // What the handler held is let go now and not with the next message.
            running.set(None.into());
        }
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| spare.replace(Some(place)));
        None
    }
}

/// A handler of messages, erased.
pub(crate) fn handler<A, F, Fut>(function: F) -> Handler<A>
where
    A: 'static,
    F: Fn(Session, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Box::new(function)
}

/// The hook that decides on a handshake.
pub(crate) type Authorize =
    Box<dyn Fn(HandshakeRequest) -> BoxFuture<Result<Admission, Refusal>> + Send + Sync>;

/// Hears how a session ended. Not for users: nothing in it may wait or panic.
pub(crate) type Ended = fn(&Session, &CloseInfo, Outcome);

/// Everything a user has hung into the server. Fixed from the start on.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) open: Option<Callback<()>>,
    pub(crate) close: Option<Callback<CloseInfo>>,
    pub(crate) error: Option<Callback<SessionError>>,
    pub(crate) text: Option<Handler<Text>>,
    pub(crate) binary: Option<Handler<Bytes>>,
    pub(crate) typed: Option<Handler<JsonMessage>>,
    pub(crate) authorize: Option<Authorize>,
    pub(crate) relays: Vec<Arc<dyn Relay>>,
    /// Told how a session ended, before `close`.
    pub(crate) ended: Option<Ended>,
}

impl Handlers {
    /// The handler of texts, where it is all that a text is for.
    pub(crate) fn texts_only(&self) -> Option<&Handler<Text>> {
        self.text.as_ref().filter(|_| !self.wants_envelopes())
    }

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
