//! One message on its way through the handlers: raw, then relays, then typed; panics end here.

use std::future::Future;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use crate::codec::Incoming;
use crate::handlers::{Handler, Pending};
use crate::message::JsonMessage;
use crate::session::Session;
use crate::text::Text;

/// A callback panicked; it has been counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// A message that is being handled. Dropping it drops the handler where it stands.
pub(crate) struct Dispatch {
    session: Session,
    /// Nothing once it has ended.
    stage: Option<Stage>,
}

enum Stage {
    /// The raw handler runs; what the text is as an envelope waits.
    Raw(Pending, Option<Box<JsonMessage>>),
    Envelope(Box<JsonMessage>),
    Typed(Pending),
}

impl Dispatch {
    /// Runs the handlers of a message as far as they come without a wait. Nothing is left when they have ended.
    #[inline]
    pub(crate) fn begin(
        session: &Session,
        message: Incoming,
        context: &mut Context<'_>,
    ) -> Result<Option<Self>, Panicked> {
        let begin = || match begin(session, message, context) {
            Some(Stage::Envelope(envelope)) => relay(session, *envelope, context),
            stage => stage,
        };
        Self::guarded(session, begin)
    }

    /// Runs the handler of texts for one after the other, until it has to wait.
    #[inline]
    pub(crate) fn texts(
        session: &Session,
        handler: &Handler<Text>,
        texts: &mut dyn Iterator<Item = Text>,
        context: &mut Context<'_>,
    ) -> Result<Option<Self>, Panicked> {
        Self::guarded(session, || {
            let pending = handler.begin(session, texts, context)?;
            Some(Stage::Raw(pending, None))
        })
    }

    #[inline]
    fn guarded(session: &Session, begin: impl FnOnce() -> Option<Stage>) -> Result<Option<Self>, Panicked> {
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(None) => Ok(None),
            Ok(stage) => Ok(Some(Self {
                session: session.clone(),
                stage,
            })),
            Err(_) => {
                session.hub().metrics().panicked();
                Err(Panicked)
            }
        }
    }

    /// An envelope that did not come as a text: relays and typed handler only.
    pub(crate) fn envelope(session: Session, message: JsonMessage) -> Self {
        Self {
            session,
            stage: Some(Stage::Envelope(Box::new(message))),
        }
    }

    fn step(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(stage) = self.stage.take() {
            self.stage = match stage {
                Stage::Raw(mut handler, envelope) => match handler.as_mut().poll(context) {
                    Poll::Ready(_) => after_raw(envelope),
                    Poll::Pending => {
                        self.stage = Some(Stage::Raw(handler, envelope));
                        return Poll::Pending;
                    }
                },
                Stage::Envelope(envelope) => relay(&self.session, *envelope, context),
                Stage::Typed(mut handler) => match handler.as_mut().poll(context) {
                    Poll::Ready(_) => None,
                    Poll::Pending => {
                        self.stage = Some(Stage::Typed(handler));
                        return Poll::Pending;
                    }
                },
            };
        }
        Poll::Ready(())
    }
}

#[inline]
fn begin(session: &Session, message: Incoming, context: &mut Context<'_>) -> Option<Stage> {
    let handlers = session.handlers();
    match message {
        Incoming::Text(text) => {
            let envelope = if handlers.wants_envelopes() {
                let depth = session.hub().config().max_json_depth;
                JsonMessage::parse(&text, depth).map(Box::new)
            } else {
                None
            };
            let pending = handlers
                .text
                .as_ref()
                .and_then(|handler| handler.begin(session, &mut iter::once(text), context));
            match pending {
                Some(pending) => Some(Stage::Raw(pending, envelope)),
                None => after_raw(envelope),
            }
        }
        Incoming::Binary(body) => handlers
            .binary
            .as_ref()
            .and_then(|handler| handler.begin(session, &mut iter::once(body), context))
            .map(|pending| Stage::Raw(pending, None)),
    }
}

fn after_raw(envelope: Option<Box<JsonMessage>>) -> Option<Stage> {
    envelope.map(Stage::Envelope)
}

fn relay(session: &Session, envelope: JsonMessage, context: &mut Context<'_>) -> Option<Stage> {
    let handlers = session.handlers();
    for relay in &handlers.relays {
        let call = || relay.session_message(session, &envelope);
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            session.hub().metrics().panicked();
        }
    }
    handlers
        .typed
        .as_ref()
        .and_then(|handler| handler.begin(session, &mut iter::once(envelope), context))
        .map(Stage::Typed)
}

impl Future for Dispatch {
    type Output = Result<(), Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        catch_unwind(AssertUnwindSafe(|| this.step(context))).map_or_else(
            |_| {
                this.stage = None;
                this.session.hub().metrics().panicked();
                Poll::Ready(Err(Panicked))
            },
            |step| step.map(Ok),
        )
    }
}

/// Runs a callback of a session to its end; a panic in it is caught and counted.
pub(crate) async fn guarded(
    session: &Session,
    callback: impl Future<Output = ()> + Send,
) -> Result<(), Panicked> {
    guarded_value(callback)
        .await
        .inspect_err(|_| session.hub().metrics().panicked())
}

/// Runs a callback to its end; a panic in it is caught.
pub(crate) async fn guarded_value<T>(callback: impl Future<Output = T> + Send) -> Result<T, Panicked> {
    AssertUnwindSafe(callback)
        .catch_unwind()
        .await
        .map_err(|_| Panicked)
}
