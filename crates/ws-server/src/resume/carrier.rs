//! A transport's turn at carrying a session.

use std::sync::Arc;
use std::time::Instant;

use super::session::{Inner, ResumableSession};
use crate::close::CloseInfo;
use crate::encoded::Encoded;
use crate::registry::Outcome;
use crate::session::TransportKind;

/// A transport's hold on a session that outlives it: it takes what comes after its cursor. Dropping it detaches the
/// transport, and the resume time begins.
///
/// What one transport did not get to its client, the next one has:
///
/// ```
/// use core_executor::RuntimeExecutor;
/// use http::HeaderMap;
/// use ws_server::{Admission, Next, Peer, ResumeConfig, TransportKind, WsConfig, WsServer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = RuntimeExecutor::on_current()?;
/// let server = WsServer::new(WsConfig::default()).resumable(ResumeConfig::default());
/// let running = server.start_without_listener(&executor.spawner())?;
/// let sessions = running.hub().resumption().ok_or("the server is resumable")?;
///
/// let headers = HeaderMap::new();
/// let (peer, shown) = (Peer::new(None, "/mine", &headers), sessions.binding(&headers));
/// let opened = sessions.open(peer, TransportKind::LongPoll, Admission::default(), shown);
/// let Ok(session) = opened.await else {
///     return Err("answer with what the refusal says".into());
/// };
/// session.session().send_text("one");
/// session.session().send_text("two");
///
/// let mut first = session.attach(TransportKind::LongPoll, 0)?;
/// let Next::Messages(sent) = first.next(1, 64 * 1024).await else {
///     return Err("there are messages".into());
/// };
/// assert_eq!((sent.from, sent.messages.len()), (0, 1));
/// drop(first); // it broke, and the client had got nothing
///
/// let mut second = session.attach(TransportKind::Sse, 0)?;
/// let Next::Messages(sent) = second.next(16, 64 * 1024).await else {
///     return Err("there are messages".into());
/// };
/// assert_eq!((sent.from, sent.messages.len(), sent.lost), (0, 2, 0));
/// session.acknowledge(2)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it detaches the transport"]
pub struct Carrier {
    inner: Arc<Inner>,
    number: u64,
    cursor: u64,
    /// One answer is all it gives: a session that closes has its last word in it.
    answers_once: bool,
}

/// Messages behind a carrier's cursor, in order and without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Messages that came before these and are lost, because the ring had no room for them: a gap.
    pub lost: u64,
    /// Number of the last message before the first of these.
    pub from: u64,
    /// The messages; none when everything behind the cursor is lost.
    pub messages: Vec<Encoded>,
}

impl Delivery {
    /// No messages behind this cursor.
    pub fn none_after(cursor: u64) -> Self {
        Self {
            lost: 0,
            from: cursor,
            messages: Vec::new(),
        }
    }

    /// The messages with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Encoded)> {
        (self.from + 1..).zip(&self.messages)
    }

    /// The cursor behind them.
    pub fn cursor(&self) -> u64 {
        self.from + self.messages.len() as u64
    }
}

/// What a carrier has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Hand these to the client. They are kept until it acknowledges them.
    Messages(Delivery),
    /// Everything has been handed out: tell the client that the session ends, then [`Carrier::told`].
    Close(CloseInfo),
    /// Another transport carries the session now.
    Replaced,
    /// The session has ended without this transport.
    Ended,
}

impl Carrier {
    pub(super) fn new(inner: Arc<Inner>, number: u64, cursor: u64, kind: TransportKind) -> Self {
        Self {
            inner,
            number,
            cursor,
            answers_once: kind == TransportKind::LongPoll,
        }
    }

    /// The session that is carried.
    pub fn session(&self) -> ResumableSession {
        ResumableSession(Arc::clone(&self.inner))
    }

    /// Number of the last message that was taken.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Waits until there is something to do. At most so many messages are taken, and about so many bytes, but always
    /// one. Cancel safe.
    ///
    /// To a poll a session that closes gives all that is left at once, when its handler has ended: there may be no
    /// other.
    pub async fn next(&mut self, messages: usize, bytes: usize) -> Next {
        loop {
            let inner = Arc::clone(&self.inner);
            let changed = inner.changed.notified();
            if let Some(next) = self.now(messages, bytes) {
                return next;
            }
            changed.await;
        }
    }

    /// The same without waiting.
    pub fn now(&mut self, messages: usize, bytes: usize) -> Option<Next> {
        let mut state = self.inner.lock();
        if state.carrier != self.number {
            return Some(Next::Replaced);
        }
        if state.is_over {
            return Some(state.last_word().map_or(Next::Ended, Next::Close));
        }
        let (messages, bytes) = match &state.closing {
            Some(closing) if self.answers_once && !closing.is_sealed => return None,
            Some(_) if self.answers_once => (usize::MAX, usize::MAX),
            _ => (messages, bytes),
        };
        let run = state.ring.read(self.cursor, messages, bytes);
        if run.lost > 0 || !run.messages.is_empty() {
            drop(state);
            self.cursor = run.end();
            self.inner.table.metrics.lost.inc_by(run.newly_lost);
            self.inner.session.hub().metrics().messages_out.inc_by(run.new);
            return Some(Next::Messages(Delivery {
                lost: run.lost,
                from: run.from,
                messages: run.messages,
            }));
        }
        state.last_word().map(Next::Close)
    }

    /// How the session ends, if it does and nothing is left behind the cursor.
    pub fn close(&self) -> Option<CloseInfo> {
        let state = self.inner.lock();
        let is_all = state.carrier == self.number && state.ring.is_end(self.cursor);
        state.last_word().filter(|_| is_all)
    }

    /// The client has been told that the session ends, as far as the transport can know.
    pub fn told(&self) {
        self.ended_with(Outcome::Clean);
    }

    /// The same with what became of the closing handshake.
    pub(super) fn ended_with(&self, outcome: Outcome) {
        let mut state = self.inner.lock();
        if state.carrier == self.number
            && let Some(closing) = &mut state.closing
        {
            closing.told = Some(outcome);
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }

    /// Whether this transport carries the session.
    pub(super) fn is_current(&self) -> bool {
        let state = self.inner.lock();
        !state.is_over && state.carrier == self.number
    }

    /// Resolves when this transport does not carry the session any more.
    pub(super) async fn relieved(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if !self.is_current() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        if state.carrier != self.number {
            return;
        }
        state.holds -= 1;
        if state.holds == 0 {
            state.carrier = 0;
            state.detached_at = Instant::now();
            drop(state);
            self.inner.changed.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Carrier")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
