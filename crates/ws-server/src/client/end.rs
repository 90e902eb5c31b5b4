//! What the connection's task leaves for the two halves: how it ended.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::closed::Closed;
use super::error::ClientError;

/// How the connection ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) closed: Closed,
    /// What went wrong, told to who asks first.
    error: Mutex<Option<ClientError>>,
}

impl End {
    pub(super) fn new(closed: Closed, error: Option<ClientError>) -> Self {
        Self {
            closed,
            error: Mutex::new(error),
        }
    }

    fn take_error(&self) -> Option<ClientError> {
        self.error.lock().take()
    }
}

/// A wish to close.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) code: u16,
    pub(super) reason: String,
}

/// What both halves hold of their connection. When the last is dropped, the connection closes.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    ask: watch::Sender<Option<Ask>>,
    end: watch::Receiver<Option<Arc<End>>>,
}

/// The other side of a [`Hold`], in the connection's task.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) asked: watch::Receiver<Option<Ask>>,
    pub(super) ended: watch::Sender<Option<Arc<End>>>,
}

pub(super) fn hold() -> (Hold, Held) {
    let (ask, asked) = watch::channel(None);
    let (ended, end) = watch::channel(None);
    (Hold { ask, end }, Held { asked, ended })
}

impl Hold {
    /// The first wish counts.
    pub(super) fn ask(&self, code: u16, reason: &str) {
        self.ask.send_if_modified(|ask| {
            let is_first = ask.is_none();
            if is_first {
                let reason = reason.to_owned();
                *ask = Some(Ask { code, reason });
            }
            is_first
        });
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        self.end.borrow().as_ref().map(|end| end.closed.clone())
    }

    /// Waits for the end. Cancel safe.
    pub(super) async fn ended(&mut self) -> Result<Closed, ClientError> {
        self.wait().await.map(|end| end.closed.clone())
    }

    /// Waits for the end, which is an error once if something went wrong. Cancel safe.
    pub(super) async fn outcome(&mut self) -> Result<(), ClientError> {
        self.wait().await?.take_error().map_or(Ok(()), Err)
    }

    async fn wait(&mut self) -> Result<Arc<End>, ClientError> {
        let end = self.end.wait_for(Option::is_some).await;
        match end.as_deref() {
            Ok(Some(end)) => Ok(end.clone()),
            // The task was dropped before it could say anything.
            Ok(None) | Err(_) => Err(ClientError::ExecutorEnded),
        }
    }
}

impl Held {
    /// The wish to close; 1000 when both halves are gone. Cancel safe.
    pub(super) async fn asked(&mut self) -> Ask {
        match self.asked.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ask)) => ask.clone(),
            Ok(None) | Err(_) => Ask {
                code: crate::close_code::NORMAL,
                reason: String::new(),
            },
        }
    }
}
