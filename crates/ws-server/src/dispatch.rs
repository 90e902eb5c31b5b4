//! One message on its way through the handlers: raw, then relays, then typed; panics end here.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use crate::codec::Incoming;
use crate::handlers::Pending;
use crate::message::JsonMessage;
use crate::session::Session;

/// A callback panicked; it has been counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// A message that is being handled. Dropping it drops the handler where it stands.
pub(crate) struct Dispatch {
    session: Session,
    stage: Stage,
}

enum Stage {
    Received(Incoming),
    /// The raw handler runs; what the text is as an envelope waits.
    Raw(Pending, Option<Box<JsonMessage>>),
    Envelope(Box<JsonMessage>),
    Typed(Pending),
    Done,
}

impl Dispatch {
    /// A message as the transport received it.
    pub(crate) fn received(session: Session, message: Incoming) -> Self {
        Self {
            session,
            stage: Stage::Received(message),
        }
    }

    /// An envelope that did not come as a text: relays and typed handler only.
    pub(crate) fn envelope(session: Session, message: JsonMessage) -> Self {
        Self {
            session,
            stage: Stage::Envelope(Box::new(message)),
        }
    }

    fn step(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Received(message) => self.begin(message, context),
                Stage::Raw(mut handler, envelope) => match handler.as_mut().poll(context) {
                    Poll::Ready(_) => after_raw(envelope),
                    Poll::Pending => {
                        self.stage = Stage::Raw(handler, envelope);
                        return Poll::Pending;
                    }
                },
                Stage::Envelope(envelope) => self.relay(*envelope, context),
                Stage::Typed(mut handler) => match handler.as_mut().poll(context) {
                    Poll::Ready(_) => Stage::Done,
                    Poll::Pending => {
                        self.stage = Stage::Typed(handler);
                        return Poll::Pending;
                    }
                },
                Stage::Done => return Poll::Ready(()),
            };
        }
    }

    fn begin(&self, message: Incoming, context: &mut Context<'_>) -> Stage {
        let handlers = self.session.handlers();
        match message {
            Incoming::Text(text) => {
                let depth = self.session.hub().config().max_json_depth;
                let envelope = handlers
                    .wants_envelopes()
                    .then(|| JsonMessage::parse(&text, depth).map(Box::new))
                    .flatten();
                let pending = handlers
                    .text
                    .as_ref()
                    .and_then(|handler| handler.begin(self.session.clone(), text, context));
                match pending {
                    Some(pending) => Stage::Raw(pending, envelope),
                    None => after_raw(envelope),
                }
            }
            Incoming::Binary(body) => handlers
                .binary
                .as_ref()
                .and_then(|handler| handler.begin(self.session.clone(), body, context))
                .map_or(Stage::Done, |pending| Stage::Raw(pending, None)),
        }
    }

    fn relay(&self, envelope: JsonMessage, context: &mut Context<'_>) -> Stage {
        let handlers = self.session.handlers();
        for relay in &handlers.relays {
            let call = || relay.session_message(&self.session, &envelope);
            if catch_unwind(AssertUnwindSafe(call)).is_err() {
                self.session.hub().metrics().panicked();
            }
        }
        handlers
            .typed
            .as_ref()
            .and_then(|handler| handler.begin(self.session.clone(), envelope, context))
            .map_or(Stage::Done, Stage::Typed)
    }
}

fn after_raw(envelope: Option<Box<JsonMessage>>) -> Stage {
    envelope.map_or(Stage::Done, Stage::Envelope)
}

impl Future for Dispatch {
    type Output = Result<(), Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        catch_unwind(AssertUnwindSafe(|| this.step(context))).map_or_else(
            |_| {
                this.stage = Stage::Done;
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
