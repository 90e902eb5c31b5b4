//! How serving a connection ended, and what the listener is told of it.

use crate::http2;
use crate::traffic::Traffic;
use crate::{CloseReason, ConnectionGuard, IoStream};
use bytes::Bytes;

/// How serving a connection ended.
pub(crate) enum Outcome {
    /// Hyper is done with it.
    Over(hyper::Result<()>),
    /// The peer left before it was answered, while hyper did not read.
    PeerLeft,
    /// Nothing was served: the peer speaks HTTP/2, and this much of it was read.
    Http2(IoStream, Bytes),
    /// It ended for this reason.
    Ended(CloseReason),
    /// The server stops, and the peer was owed nothing.
    NothingOwed,
    /// The server stops, and the peer was owed an answer.
    Cut,
}

impl Outcome {
    /// The server stops now.
    pub(crate) fn stopped(traffic: &Traffic) -> Self {
        if traffic.owes_nothing() {
            Self::NothingOwed
        } else {
            traffic.cut();
            Self::Cut
        }
    }

    /// Finds the reason while hyper's connection is still there: what it lets go of in the end is owed to nobody.
    pub(crate) fn settled(self, traffic: &Traffic, draining: bool) -> Self {
        match self {
            Self::Over(Ok(())) if traffic.is_upgraded() => Self::Over(Ok(())),
            Self::Over(result) => Self::Ended(
                traffic
                    .verdict()
                    .unwrap_or_else(|| reason(result, traffic, draining)),
            ),
            outcome => outcome,
        }
    }

    /// All that matters of it where nobody asks why: whether the connection goes on as HTTP/2.
    pub(crate) fn untold(self) -> Self {
        match self {
            // Named apart because it is the usual end and has nothing in it to be dropped.
            Self::Over(Ok(())) => Self::NothingOwed,
            Self::Http2(stream, early) => Self::Http2(stream, early),
            _ => Self::NothingOwed,
        }
    }

    /// Says the last word, when nothing happens on the connection any more: letting go of it may have written answers.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(self, guard: ConnectionGuard, traffic: &Traffic, draining: bool) {
        match self {
            Self::NothingOwed => guard.closed(CloseReason::ServerStop),
            Self::Ended(reason) => guard.closed(reason),
            // Not served to its end; nobody asks for it.
            Self::Http2(..) | Self::Cut => guard.closed(CloseReason::Cut),
            Self::PeerLeft => guard.closed(CloseReason::PeerLeft),
            Self::Over(Ok(())) if traffic.is_upgraded() => guard.upgraded(),
            Self::Over(result) => {
                let reason = traffic
                    .verdict()
                    .unwrap_or_else(|| reason(result, traffic, draining));
                guard.closed(reason);
            }
        }
    }
}

/// Says that the requests under way are cut when the connection's task is dropped where it waits: the executor ends.
pub(crate) struct CutWhenDropped<'a>(pub(crate) Option<&'a Traffic>);

impl Drop for CutWhenDropped<'_> {
    fn drop(&mut self) {
        if let Some(traffic) = self.0 {
            traffic.cut();
        }
    }
}

fn reason(result: hyper::Result<()>, traffic: &Traffic, draining: bool) -> CloseReason {
    let error = result.err();
    error
        .as_ref()
        .and_then(fault_of_peer)
        .or_else(|| traffic.failure())
        .or_else(|| error.as_ref().and_then(http2::reason_of))
        .or_else(|| error.and_then(|error| reason_of(&error)))
        .unwrap_or_else(|| orderly(traffic, draining))
}

/// What the peer did wrong. It counts before a failing socket: who is refused often leaves with a reset.
fn fault_of_peer(error: &hyper::Error) -> Option<CloseReason> {
    if error.is_timeout() {
        Some(CloseReason::Idle)
    } else if error.is_parse() {
        Some(CloseReason::BadRequest)
    } else {
        None
    }
}

fn reason_of(error: &hyper::Error) -> Option<CloseReason> {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Some(CloseReason::PeerLeft)
    } else if error.is_shutdown() {
        // The peer was quicker with closing.
        None
    } else {
        Some(CloseReason::Error)
    }
}

fn orderly(traffic: &Traffic, draining: bool) -> CloseReason {
    if !traffic.owes_nothing() {
        CloseReason::PeerLeft
    } else if draining {
        CloseReason::ServerStop
    } else {
        CloseReason::Finished
    }
}
