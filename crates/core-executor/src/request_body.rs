//! The body of a request as services read it.

use crate::http2::Patience;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of a request served by [`serve`](crate::serve()), read as it comes.
///
/// One that stops coming for [`body_stall_timeout`](crate::ConnectionLimits::body_stall_timeout) while it is waited for
/// is an error; the answer is 408 then, whatever the service makes of it, and the service is dropped.
pub struct RequestBody {
    inner: Incoming,
    /// On HTTP/2 alone: on HTTP/1 the connection keeps the limit.
    patience: Option<Box<Patience>>,
}

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// Nothing of it came for [`body_stall_timeout`](crate::ConnectionLimits::body_stall_timeout).
    #[error("the request's body stopped coming")]
    Stalled,
    /// The client left, reset the stream, or broke the framing.
    #[error("the request's body broke off")]
    BrokenOff(#[source] hyper::Error),
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming) -> Self {
        Self {
            inner,
            patience: None,
        }
    }

    /// Waits no longer than this for the next bytes.
    pub(crate) fn with_patience(inner: Incoming, patience: Patience) -> Self {
        Self {
            inner,
            patience: Some(Box::new(patience)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        match (&mut self.patience, frame) {
            (Some(patience), Poll::Pending) => patience
                .poll_exhausted(cx)
                .map(|()| Some(Err(RequestBodyError::Stalled))),
            (patience, frame) => {
                if let Some(patience) = patience {
                    patience.renew();
                }
                frame.map(|frame| frame.map(|frame| frame.map_err(RequestBodyError::BrokenOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RequestBody").finish_non_exhaustive()
    }
}
