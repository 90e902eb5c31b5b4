//! Waits for a server's drain at the price of one look at a flag a turn.

use crate::sync::{AtomicBool, CancellationToken, Ordering, WaitForCancellationFuture};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A drain that is asked for once: of many who are asked at every turn of theirs, nearly all are told no.
#[derive(Default)]
pub(crate) struct Drain {
    has_begun: AtomicBool,
    told: CancellationToken,
}

impl Drain {
    /// Tells everybody. Again has no effect.
    pub(crate) fn begin(&self) {
        // In this order: who is woken finds the flag.
        self.has_begun.store(true, Ordering::Release);
        self.told.cancel();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Waits for the drain. Polled by one task alone.
    pub(crate) fn begun(&self) -> Draining<'_> {
        Draining {
            drain: self,
            told: self.told.cancelled(),
            is_awaited: false,
        }
    }
}

pin_project! {
    /// The future of [`Drain::begun`].
    pub(crate) struct Draining<'a> {
        drain: &'a Drain,
        #[pin]
        told: WaitForCancellationFuture<'a>,
        // The task is known to the token, which wakes it; a token takes a lock each time it is asked.
        is_awaited: bool,
    }
}

impl Future for Draining<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.drain.has_begun() {
            return Poll::Ready(());
        }
        if *this.is_awaited {
            return Poll::Pending;
        }
        *this.is_awaited = true;
        this.told.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    #[tokio::test]
    async fn a_task_that_waited_for_several_turns_is_woken() {
        let drain = Drain::default();
        let mut turns = 0;
        let waiting = async {
            let mut begun = pin!(drain.begun());
            poll_fn(|cx| {
                turns += 1;
                if turns < 3 {
                    cx.waker().wake_by_ref();
                }
                begun.as_mut().poll(cx)
            })
            .await;
        };
        let beginning = async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            drain.begin();
        };
        let both = async { tokio::join!(waiting, beginning) };
        tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        assert!(turns > 3, "woken by the drain");
        drain.begun().await;
    }
}
