//! Limits on what a request may carry, checked before a handler sees it or while its body is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::Uri;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use pin_project_lite::pin_project;

use crate::ticket::Ticket;

/// Length of the request target as it stood in the request line.
pub(crate) fn target_len(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    scheme + authority + path
}

/// Whether the request has said by itself that its body is larger than `limit`.
pub(crate) fn declares_more_than(limit: u64, body: &impl HttpBody) -> bool {
    body.size_hint().lower() > limit
}

/// The body for the handler: counted while it is read where its length is not known, bare elsewhere.
pub(crate) fn capped<B>(body: B, limit: Option<u64>, ticket: &Arc<Ticket>) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    let known = body.size_hint().exact().is_some();
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if !known => Body::new(CappedBody {
            inner: Limited::new(body, limit),
            ticket: Arc::clone(ticket),
        }),
        _ => Body::new(body),
    }
}

pin_project! {
    /// A body of unknown length that reports on the request's ticket when it passes the limit.
    struct CappedBody<B> {
        #[pin]
        inner: Limited<B>,
        ticket: Arc<Ticket>,
    }
}

impl<B> HttpBody for CappedBody<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let frame = this.inner.poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &frame
            && error.is::<LengthLimitError>()
        {
            this.ticket.set_body_too_large();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_length_is_that_of_the_request_line() {
        for target in ["/", "/a?b=c", "http://example.org:80/a?b", "*"] {
            assert_eq!(target_len(&target.parse().unwrap()), target.len(), "{target}");
        }
    }
}
