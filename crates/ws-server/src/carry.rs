//! From the 101 to the end: what waits for the stream of an upgrade becomes what runs the session on it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use core_executor::{ConnectionPermit, IoStream};
use hyper::upgrade::{OnUpgrade, Upgraded};
use pin_project_lite::pin_project;

use crate::attachment::Attachment;
use crate::close::CloseInfo;
use crate::deflate::Negotiated;
use crate::handlers::BoxFuture;
use crate::outbox::Interest;
use crate::registry::{Ending, Outcome};
use crate::session_loop;

pin_project! {
    /// Waits for the stream and runs the session on it. One task for both; written by hand, because an async function
    /// would keep its room for the handshake as long as the session lives.
    #[project = Stage]
    pub(crate) enum Carry<R, F> {
        Shaking { shaking: Option<Shaking<R>> },
        Running { #[pin] session: F },
        Failed { ended: BoxFuture<()> },
    }
}

/// A session whose 101 is on its way out. The connection that upgrades tells when it fails.
pub(crate) struct Shaking<R> {
    on_upgrade: OnUpgrade,
    /// Kept as long as the stream.
    permit: Option<ConnectionPermit>,
    attachment: Attachment,
    deflate: Option<Negotiated>,
    /// Runs the session on the stream.
    run: R,
}

/// Carries a session over the stream that its handshake leads to.
pub(crate) fn carry(
    on_upgrade: OnUpgrade,
    permit: Option<ConnectionPermit>,
    attachment: Attachment,
    deflate: Option<Negotiated>,
) -> impl Future<Output = ()> {
    Carry::Shaking {
        shaking: Some(Shaking {
            on_upgrade,
            permit,
            attachment,
            deflate,
            run: session_loop::run,
        }),
    }
}

impl<R, F> Future for Carry<R, F>
where
    R: FnOnce(IoStream, &[u8], Attachment, Option<Negotiated>) -> F,
    F: Future<Output = ()>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let shaken = match self.as_mut().project() {
                Stage::Running { session } => return session.poll(context),
                Stage::Failed { ended } => return ended.as_mut().poll(context),
                Stage::Shaking { shaking } => {
                    let Some(waiting) = shaking else {
                        return Poll::Ready(());
                    };
                    let upgraded = ready!(waiting.poll(context));
                    shaking.take().zip(upgraded)
                }
            };
            // A session that was cut meanwhile does not wait for the stream.
            let Some((shaking, upgraded)) = shaken else {
                return Poll::Ready(());
            };
            self.set(shaking.after(upgraded));
        }
    }
}

impl<R> Shaking<R> {
    /// The stream; nothing when the session has ended before.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Upgraded>>> {
        if let Poll::Ready(upgraded) = Pin::new(&mut self.on_upgrade).poll(context) {
            return Poll::Ready(Some(upgraded));
        }
        let outbox = self.attachment.session().outbox();
        loop {
            if outbox.has_ended() {
                return Poll::Ready(None);
            }
            let interest = Interest {
                messages: false,
                close_version: outbox.close_version(),
            };
            if outbox.sleep(interest, context) {
                return Poll::Pending;
            }
        }
    }

    fn after<F>(self, upgraded: hyper::Result<Upgraded>) -> Carry<R, F>
    where
        R: FnOnce(IoStream, &[u8], Attachment, Option<Negotiated>) -> F,
    {
        let Ok(upgraded) = upgraded else {
            let info = CloseInfo::gone("the connection ended during the handshake");
            let ended = Box::pin(self.attachment.end(Ending::new(info, Outcome::Left)));
            return Carry::Failed { ended };
        };
        // What came early may be a slice of the handshake's whole buffer, so it does not live on.
        let (stream, early) = IoStream::from_upgraded(upgraded);
        let stream = match self.permit {
            Some(permit) => stream.holding(permit),
            None => stream,
        };
        let session = (self.run)(stream, &early, self.attachment, self.deflate);
        Carry::Running { session }
    }
}
