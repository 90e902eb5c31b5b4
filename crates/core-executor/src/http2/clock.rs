//! The one timer of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the connection at a moment or before; a moment that moves away is only followed when the old one has come.
#[derive(Default)]
pub(super) struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Ready when the moment has come; else the task is woken no later than that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, moment: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(moment)));
        if sleep.is_elapsed() || sleep.deadline() > moment {
            sleep.as_mut().reset(moment);
        }
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) if sleep.deadline() < moment => {
                sleep.as_mut().reset(moment);
                sleep.as_mut().poll(cx)
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_moment_moves_both_ways() {
        let (mut clock, begin) = (Clock::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        for moment in [5, 20, 10] {
            let pending = poll_fn(|cx| Poll::Ready(clock.poll(cx, at(moment)).is_pending())).await;
            assert!(pending, "{moment}");
        }
        poll_fn(|cx| clock.poll(cx, at(10))).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(10));
        poll_fn(|cx| clock.poll(cx, at(15))).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(15));
    }
}
