//! The bond between a session and the transport that carries it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::close::CloseInfo;
use crate::codec::Incoming;
use crate::dispatch::Dispatch;
use crate::encoded::Encoded;
use crate::error::WsError;
use crate::hub::Hub;
use crate::outbox::{Interest, Load};
use crate::registry::{Ending, Outcome};
use crate::session::Session;

/// A transport's hold on a session: it takes what is to be sent, hands in what was received, and says how it ended.
///
/// Dropping it ends the session with 1006, so that `on_close` is called whatever happens to the transport.
///
/// A transport of one's own, from the session's first message to its end:
///
/// ```
/// use core_executor::RuntimeExecutor;
/// use http::HeaderMap;
/// use ws_server::{Encoded, Incoming, Peer, Ready, TransportKind, WsConfig, WsServer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = RuntimeExecutor::on_current()?;
/// let server = WsServer::new(WsConfig::default()).on_message(|session, text| async move {
///     session.send_text(format!("you said {text}"));
///     session.close(1000, "that is all");
/// });
/// let running = server.start_without_listener(&executor.spawner())?;
///
/// let peer = Peer::new(None, "/mine", &HeaderMap::new());
/// let Ok(mut transport) = running.hub().open_session(peer, TransportKind::LongPoll).await else {
///     return Err("answer with what the refusal says".into());
/// };
/// transport.receive(Incoming::Text("hello".into())).await?;
/// let mut written = Vec::new();
/// loop {
///     match transport.ready().await {
///         Ready::Messages => {
///             let batch = transport.take_batch(64, 64 * 1024);
///             written.extend(batch.iter().filter_map(Encoded::as_text).map(str::to_owned));
///             transport.written(&batch);
///         }
///         Ready::Close(info) => break transport.finish(info).await,
///         _ => break,
///     }
/// }
/// assert_eq!(written, ["you said hello"]);
/// assert_eq!(running.hub().sessions(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the session with 1006"]
pub struct Attachment {
    session: Session,
}

/// What a transport that waited has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// Messages wait: [`Attachment::take_batch`].
    Messages,
    /// The session is to be closed: send what waits, tell the peer, then [`Attachment::finish`].
    Close(CloseInfo),
    /// The session has ended without this transport; there is nothing left to do.
    Ended,
}

impl Attachment {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    /// The session that is carried.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until there is something to send or to end. Cancel safe; one waiter at a time.
    pub async fn ready(&self) -> Ready {
        poll_fn(|context| self.poll_ready(context)).await
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Ready> {
        let outbox = self.session.outbox();
        if outbox.has_ended() {
            return Poll::Ready(Ready::Ended);
        }
        if !outbox.is_empty() {
            return Poll::Ready(Ready::Messages);
        }
        let (request, close_version) = outbox.close_request();
        if let Some(request) = request {
            return Poll::Ready(Ready::Close(request.info));
        }
        if outbox.sleep(
            Interest {
                messages: true,
                close_version,
            },
            context,
        ) {
            return Poll::Pending;
        }
        // Something came between the look and the nap: look again at the next poll.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes at most `messages` messages and about `bytes` bytes (the last message may pass that). They count as
    /// waiting until [`written`](Self::written).
    pub fn take_batch(&mut self, messages: usize, bytes: usize) -> Vec<Encoded> {
        let mut batch = Vec::new();
        self.session
            .outbox()
            .take(Load { messages, bytes }, |message| batch.push(message));
        batch
    }

    /// Messages that were taken have reached the peer's transport.
    pub fn written(&mut self, batch: &[Encoded]) {
        let bytes = batch.iter().map(Encoded::len).sum();
        let load = Load {
            messages: batch.len(),
            bytes,
        };
        self.session.outbox().written(load);
        self.hub().metrics().messages_out.inc_by(load.messages as u64);
    }

    /// Runs the handlers for a message of the peer: raw, then relays, then typed. The transport has to wait for it
    /// before it hands in the next one.
    ///
    /// Not cancel safe: dropping the future drops the handler where it stands.
    ///
    /// # Errors
    /// [`WsError::HandlerPanicked`]: it has been counted; the transport closes the session with 1011.
    pub async fn receive(&self, message: Incoming) -> Result<(), WsError> {
        receive(&self.session, message).await
    }

    /// The session ends: it leaves its rooms and `on_close` runs, unless that has happened already.
    ///
    /// Not cancel safe: dropping the future drops `on_close` where it stands.
    pub async fn finish(self, info: CloseInfo) {
        self.end(Ending::new(info, Outcome::Clean)).await;
    }

    pub(crate) async fn end(self, ending: Ending) {
        let session = self.session.clone();
        session.hub().end(&session, ending).await;
    }

    fn hub(&self) -> &Hub {
        self.session.hub()
    }
}

/// Runs the handlers for a message of a session's peer.
pub(crate) async fn receive(session: &Session, message: Incoming) -> Result<(), WsError> {
    session.hub().metrics().messages_in.inc();
    let mut message = Some(message);
    let begun = poll_fn(|context| {
        let message = message.take().expect("it is ready at the first poll");
        Poll::Ready(Dispatch::begin(session, message, context))
    });
    let ended = match begun.await {
        Ok(Some(handling)) => handling.await,
        Ok(None) => Ok(()),
        Err(panicked) => Err(panicked),
    };
    ended.map_err(|_| WsError::HandlerPanicked)
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.session.has_ended() {
            self.hub().end_at_once(&self.session, Ending::dropped(self.hub()));
        }
    }
}
