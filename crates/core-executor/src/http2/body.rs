//! An answer's body on its way into a stream: in pieces, each of which shows that the peer takes something.

use super::service::Fate;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes handed to a stream at once: the default size of a frame (RFC 9113 §6.5.2).
const PIECE: usize = 16 * 1024;
/// Answers that are remembered before those that are gone are forgotten.
const FEW: usize = 32;

/// Answers of one connection that wait for their peers to make room (flow control, RFC 9113 §5.2).
#[derive(Clone)]
pub(super) struct Stalls {
    begin: Instant,
    answers: Arc<Mutex<Vec<Weak<Waiting>>>>,
}

/// Since when an answer waits: milliseconds from the connection's beginning and one, 0 while it does not.
#[derive(Default)]
struct Waiting(AtomicU64);

impl Stalls {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            answers: Arc::default(),
        }
    }

    /// Since when the answer that waits longest waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = answers.iter().filter_map(Weak::upgrade);
        let since = waiting.map(|answer| answer.0.load(Ordering::Relaxed));
        let oldest = since.filter(|since| *since > 0).min()?;
        Some(self.begin + Duration::from_millis(oldest - 1))
    }

    fn remember(&self) -> Arc<Waiting> {
        let waiting = Arc::<Waiting>::default();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= FEW && answers.len() == answers.capacity() {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        answers.push(Arc::downgrade(&waiting));
        waiting
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

pin_project! {
    /// The body as hyper takes it. Hyper holds one piece until the peer has room for some of it, so a body that is not
    /// asked for the next one waits for its peer.
    pub(super) struct PacedBody<B> {
        // Without one there are only the bytes of `rest`.
        #[pin]
        inner: Option<B>,
        rest: Bytes,
        stalls: Stalls,
        waiting: Option<Arc<Waiting>>,
        fate: Option<Fate>,
    }
}

impl<B: Body<Data = Bytes>> PacedBody<B> {
    pub(super) fn new(inner: B, stalls: Stalls, mut fate: Option<Fate>) -> Self {
        if let Some(fate) = fate.as_mut().filter(|_| inner.is_end_stream()) {
            fate.is_over();
        }
        Self {
            inner: Some(inner),
            rest: Bytes::new(),
            stalls,
            waiting: None,
            fate,
        }
    }
}

impl<B> PacedBody<B> {
    /// These bytes and nothing else.
    pub(super) fn of_bytes(rest: Bytes, stalls: Stalls, fate: Option<Fate>) -> Self {
        Self {
            inner: None,
            rest,
            stalls,
            waiting: None,
            fate,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Some(waiting) = this.waiting {
            waiting.0.store(0, Ordering::Relaxed);
        }
        if this.rest.is_empty() {
            let next = match this.inner.as_mut().as_pin_mut() {
                Some(inner) => ready!(inner.poll_frame(cx)),
                None => None,
            };
            match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => *this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => {
                    if let Some(fate) = this.fate.as_mut().filter(|_| end.is_none()) {
                        fate.is_over();
                    }
                    return Poll::Ready(end);
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        let waiting = this.waiting.get_or_insert_with(|| this.stalls.remember());
        waiting.0.store(this.stalls.now(), Ordering::Relaxed);
        let is_last = this.rest.is_empty()
            && this
                .inner
                .as_ref()
                .as_pin_ref()
                .is_none_or(|inner| inner.is_end_stream());
        if let Some(fate) = this.fate.as_mut().filter(|_| is_last) {
            fate.is_over();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self
            .inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test(start_paused = true)]
    async fn pieces_add_up_and_a_body_that_is_not_asked_waits() {
        let stalls = Stalls::new();
        let whole = Bytes::from(vec![7; 2 * PIECE + 1]);
        let mut body = PacedBody::new(Full::new(whole.clone()), stalls.clone(), None);
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        let mut lengths = Vec::new();
        for left in [PIECE + 1, 1, 0] {
            tokio::time::advance(Duration::from_secs(1)).await;
            let before = Instant::now();
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(stalls.oldest(), Some(before));
            assert_eq!(body.size_hint().exact(), Some(left as u64));
            lengths.push(data.len());
        }
        assert_eq!(lengths, [PIECE, PIECE, 1]);
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
        assert_eq!(stalls.oldest(), None);
    }

    #[test]
    fn answers_that_are_gone_are_forgotten() {
        let stalls = Stalls::new();
        for _ in 0..10_000 {
            drop(stalls.remember());
        }
        assert!(stalls.answers.lock().unwrap().len() <= 2 * FEW);
        assert_eq!(stalls.oldest(), None);
    }
}
