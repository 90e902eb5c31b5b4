//! The one timer of a connection.

use crate::turn_clock;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the connection at a deadline or before. A deadline that moves away costs nothing: the timer is left where it
/// stands, and moved when it fires.
#[derive(Default)]
pub(super) struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Where the timer stands. Kept here too, because the timer itself has left the caches when there are many
    /// connections, and nearly every look ends with this.
    stands_at: Option<Instant>,
}

impl Clock {
    /// Ready once the deadline is over; until then it wakes the task that asked, which must be the same each time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        match self.stands_at {
            // It has not fired yet.
            Some(at) if at <= deadline && turn_clock::of_turn() < at => Poll::Pending,
            _ => self.poll_timer(cx, deadline),
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let polled = match &mut self.sleep {
            None => {
                let sleep = self.sleep.insert(Box::pin(sleep_until(deadline)));
                sleep.as_mut().poll(cx)
            }
            Some(sleep) if sleep.is_elapsed() && sleep.deadline() >= deadline => Poll::Ready(()),
            Some(sleep) if !sleep.is_elapsed() && sleep.deadline() <= deadline => Poll::Pending,
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep.as_mut().poll(cx)
            }
        };
        self.stands_at = self.sleep.as_ref().map(|sleep| sleep.deadline());
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_both_ways() {
        let (mut clock, begin) = (Clock::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let pending = async |clock: &mut Clock, deadline| {
            poll_fn(|cx| Poll::Ready(clock.poll(cx, deadline).is_pending())).await
        };
        assert!(pending(&mut clock, at(5)).await);
        assert!(pending(&mut clock, at(20)).await);
        poll_fn(|cx| clock.poll(cx, at(20))).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(20));
        assert!(pending(&mut clock, at(60)).await);
        poll_fn(|cx| clock.poll(cx, at(30))).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(30));
        assert!(!pending(&mut clock, at(25)).await, "what is over stays over");
    }
}
