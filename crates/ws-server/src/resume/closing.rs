//! The end of a session that outlives its transport: who is waited for, and until when.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::session::{Inner, ResumableSession, State};
use crate::close::{CloseInfo, CloseRequest, ClosedBy};
use crate::registry::{Ending, Outcome};

/// A session that is to be closed.
pub(super) struct Closing {
    pub(super) info: CloseInfo,
    /// A handler that runs may go on until then.
    handler_until: Option<std::time::Instant>,
    /// Nothing more is sent: a transport that has handed out everything tells the client.
    pub(super) is_sealed: bool,
    /// The handler has had its time.
    pub(super) is_handler_cut: bool,
    /// What a transport says of having told the client.
    pub(super) told: Option<Outcome>,
}

impl ResumableSession {
    /// The client ends the session. Waits for the handler that runs and for `on_close`.
    ///
    /// Cancel safe: once the future was polled, the session ends also when it is dropped.
    pub async fn close_by_peer(&self, code: u16, reason: impl Into<String>) {
        let inner = Arc::clone(&self.0);
        let info = CloseInfo::new(code, reason, ClosedBy::Peer);
        let closing = async move {
            let _turn = inner.inbound.lock().await;
            inner.finish(Ending::new(info, Outcome::Clean)).await;
        };
        let spawner = self.session().hub().spawner();
        if let Some(closing) = spawner.and_then(|spawner| spawner.spawn(closing).ok()) {
            // A panic of `on_close` has been counted; cut, the session is ended by the hub.
            let _ = closing.await;
        }
    }

    /// A transport found a fault of the client's, or failed in a way that no other would mend.
    pub(super) async fn close_for(&self, info: CloseInfo) {
        self.0.finish(Ending::new(info, Outcome::Clean)).await;
    }
}

impl Inner {
    /// Carries out a wish to close, on a task of its own.
    pub(super) fn begin_closing(self: &Arc<Self>, state: &mut State, request: CloseRequest) {
        if request.discard {
            let kept = state.ring.len();
            let unsent = state.ring.clear();
            self.forgot(kept);
            self.session.hub().metrics().messages_dropped.inc_by(unsent);
        }
        let is_begun = state.closing.is_some();
        state.closing = Some(Closing {
            info: request.info,
            handler_until: request.handler_until,
            is_sealed: false,
            is_handler_cut: false,
            told: None,
        });
        let spawner = self.session.hub().spawner().filter(|_| !is_begun);
        if let Some(spawner) = spawner {
            // Refused only while the executor ends, and then the hub cuts what is left.
            let _ = spawner.spawn_service(Arc::clone(self).close());
        }
    }

    async fn close(self: Arc<Self>) {
        self.wait_for_handler().await;
        self.session.outbox().seal();
        self.take_over();
        if let Some(closing) = &mut self.lock().closing {
            closing.is_sealed = true;
        }
        self.changed.notify_waiters();
        let outcome = self.wait_for_client().await;
        let (info, error) = {
            let mut state = self.lock();
            let info = state.closing.as_ref().map(|closing| closing.info.clone());
            (info, state.error.take())
        };
        if let Some(info) = info {
            self.finish(Ending::new(info, outcome).with_error(error)).await;
        }
    }

    async fn wait_for_handler(&self) {
        let until = self
            .lock()
            .closing
            .as_ref()
            .and_then(|closing| closing.handler_until);
        let Some(until) = until else {
            return;
        };
        if timeout_at(until.into(), self.inbound.lock()).await.is_ok() {
            return;
        }
        if let Some(closing) = &mut self.lock().closing {
            closing.is_handler_cut = true;
        }
        self.session.hub().tally().count_cut_handler();
        self.changed.notify_waiters();
    }

    /// Waits until the client knows, as far as that can be known: a closing handshake is complete, an answer is
    /// acknowledged, or the time to wait for it is over. A server that stops waits for nobody who has been answered, or
    /// who is not there.
    async fn wait_for_client(&self) -> Outcome {
        let patience = self.session.hub().config().close_timeout;
        let (mut progress, mut deadline) = (None, Instant::now() + patience);
        loop {
            let changed = self.changed.notified();
            {
                let state = self.lock();
                if let Some(outcome) = self.client_knows(&state) {
                    return outcome;
                }
                let now = (state.carrier, state.ring.progress());
                if progress.replace(now) != Some(now) {
                    deadline = Instant::now() + patience;
                }
            }
            if timeout_at(deadline, changed).await.is_err() {
                return self.outcome_at_the_end();
            }
        }
    }

    fn client_knows(&self, state: &State) -> Option<Outcome> {
        if state.is_over {
            return Some(Outcome::Cut);
        }
        let is_stopping = self.session.hub().is_stopping();
        let told = state.closing.as_ref().and_then(|closing| closing.told);
        match told {
            Some(Outcome::Clean) if !is_stopping && !state.ring.is_settled() => None,
            Some(outcome) => Some(outcome),
            None if is_stopping && state.carrier == 0 => Some(Outcome::Left),
            None => None,
        }
    }

    fn outcome_at_the_end(&self) -> Outcome {
        let state = self.lock();
        let told = state.closing.as_ref().and_then(|closing| closing.told);
        match (told, state.carrier) {
            (Some(outcome), _) => outcome,
            (None, 0) => Outcome::Left,
            (None, _) => Outcome::Cut,
        }
    }

    /// Ends the session, unless somebody else does.
    pub(super) async fn finish(&self, ending: Ending) {
        let attachment = self
            .attachment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let unsent = self.over();
        if let Some(attachment) = attachment {
            attachment.end(ending.with_undelivered(unsent)).await;
        }
    }

    /// Whether no transport has come for `time`, and nobody is at work.
    pub(super) fn is_forsaken(&self, now: std::time::Instant, time: Duration) -> bool {
        let state = self.lock();
        state.carrier == 0
            && state.closing.is_none()
            && now.saturating_duration_since(state.detached_at) >= time
            && self.inbound.try_lock().is_ok()
    }
}
