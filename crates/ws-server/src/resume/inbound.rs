//! What the client sends: each number once, in order, whichever transport brings it.

use std::sync::Arc;
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
    /// Not cancel safe: dropping the future drops the handler where it stands, and the message counts as handled. A
    /// transport whose own end would drop it runs this on a task.
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

    /// Runs the handlers for several messages, the first of which has this number. Returns up to which number everything
    /// is handled.
    ///
    /// Cancel safe: they run on a task of their own, to their end also when this future is dropped.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), of the first message that is not taken; two such batches are under way.
    pub async fn receive_all(&self, first: u64, messages: Vec<Incoming>) -> Result<u64, ResumeError> {
        if first > self.received() + 1 {
            return Err(ResumeError::Missing);
        }
        let place = Arc::clone(&self.0.batches)
            .try_acquire_owned()
            .map_err(|_| ResumeError::Busy)?;
        let spawner = self.session().hub().spawner().ok_or(ResumeError::Gone)?;
        let this = self.clone();
        let handling = spawner.spawn(async move {
            let _place = place;
            for (number, message) in (first..).zip(messages) {
                this.receive(number, message).await?;
            }
            Ok(this.received())
        });
        let handling = handling.map_err(|_| ResumeError::Busy)?;
        handling.await.unwrap_or(Err(ResumeError::Gone))
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
