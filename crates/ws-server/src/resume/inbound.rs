//! What the client sends: each number once, in order, whichever transport brings it.

use std::sync::atomic::Ordering;

use tokio::sync::futures::Notified;

use super::error::ResumeError;
use super::session::ResumableSession;
use crate::attachment::receive;
use crate::close::CloseRequest;
use crate::codec::Incoming;
use crate::registry::Ending;

impl ResumableSession {
    /// Runs the handlers for the client's message of this number, unless it was had before; waits for those of the
    /// messages before it. Returns whether it was new.
    ///
    /// Dropping the future drops the handler where it stands, and the message counts as handled: a transport whose own
    /// end would drop it runs this on a task.
    ///
    /// # Errors
    /// The session has ended or is closing, or messages before this one are missing.
    pub async fn receive(&self, number: u64, message: Incoming) -> Result<bool, ResumeError> {
        let inner = &self.0;
        let _turn = inner.inbound.lock().await;
        let received = inner.received.load(Ordering::Acquire);
        if number <= received {
            inner.table.metrics.duplicates.inc();
            return Ok(false);
        }
        if number > received + 1 {
            return Err(ResumeError::Missing);
        }
        if inner.session.outbox().is_closing() {
            inner.session.hub().metrics().messages_unhandled.inc();
            return Err(ResumeError::Gone);
        }
        inner.received.store(number, Ordering::Release);
        let handled = tokio::select! {
            handled = receive(&inner.session, message) => handled.is_ok(),
            () = self.handler_is_cut() => true,
        };
        if !handled {
            let ending = Ending::handler_panicked();
            inner.lock().error = ending.error;
            inner.session.request_close(CloseRequest::new(ending.info));
        }
        inner.heard.notify_waiters();
        Ok(true)
    }

    /// Resolves when the next message is taken over.
    pub(super) fn heard(&self) -> Notified<'_> {
        self.0.heard.notified()
    }

    async fn handler_is_cut(&self) {
        loop {
            let changed = self.0.changed.notified();
            let is_cut = self
                .0
                .lock()
                .closing
                .as_ref()
                .is_some_and(|closing| closing.is_handler_cut);
            if is_cut {
                return;
            }
            changed.await;
        }
    }
}
