//! The accept loop: one per server, neither spinning nor dying.

use crate::sync::CancellationToken;
use crate::{Arrival, BoundListener, ConnectionMetrics};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// First pause after an error that a new try would meet again at once (no descriptors, no memory).
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause: a freed descriptor is used within this time.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Connections accepted before those that are there get a turn: some may be over and have to give their places back.
const TURN: u32 = 16;
/// At most one line in the log within this time.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until `stop`, then drops the listener, which closes the port.
pub(crate) async fn accept_loop(
    name: &'static str,
    mut listener: BoundListener,
    stop: CancellationToken,
    metrics: ConnectionMetrics,
    mut deal: impl FnMut(Arrival, SocketAddr),
) {
    let mut trouble = Trouble::default();
    let mut in_turn = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = poll_fn(|cx| listener.source.poll_accept(cx)) => accepted,
        };
        match accepted {
            Ok((arrival, from)) => {
                trouble.clear();
                deal(arrival, from);
                in_turn = (in_turn + 1) % TURN;
                if in_turn == 0 {
                    tokio::task::yield_now().await;
                }
            }
            // Somebody else's turn in between: such errors may come in any number.
            Err(error) if is_about_one_connection(&error) => tokio::task::yield_now().await,
            Err(error) => {
                metrics.count_accept_error();
                let pause = trouble.pause(name, &error, Instant::now());
                if stop
                    .run_until_cancelled(tokio::time::sleep(pause))
                    .await
                    .is_none()
                {
                    return;
                }
            }
        }
    }
}

/// Errors that say something about the connection that was about to be accepted, so the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

/// How long errors have gone on.
#[derive(Default)]
struct Trouble {
    last_pause: Option<Duration>,
    last_log: Option<Instant>,
    unlogged: u64,
}

impl Trouble {
    fn clear(&mut self) {
        self.last_pause = None;
    }

    fn pause(&mut self, server: &'static str, error: &io::Error, now: Instant) -> Duration {
        let pause = self
            .last_pause
            .map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last_pause = Some(pause);
        self.unlogged += 1;
        if self
            .last_log
            .is_none_or(|last| now.duration_since(last) >= LOG_PAUSE)
        {
            tracing::error!(server, %error, times = self.unlogged, "cannot accept connections, pausing");
            self.last_log = Some(now);
            self.unlogged = 0;
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_again() {
        let mut trouble = Trouble::default();
        let error = io::Error::from_raw_os_error(24);
        let now = Instant::now();
        let pauses: Vec<_> = (0..8)
            .map(|_| trouble.pause("test", &error, now).as_millis())
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 250, 250, 250]);
        trouble.clear();
        assert_eq!(trouble.pause("test", &error, now), FIRST_PAUSE);
    }

    #[test]
    fn one_line_a_second() {
        let mut trouble = Trouble::default();
        let error = io::Error::from_raw_os_error(24);
        let start = Instant::now();
        for millis in 0..1000 {
            trouble.pause("test", &error, start + Duration::from_millis(millis));
        }
        assert_eq!(trouble.unlogged, 999);
        trouble.pause("test", &error, start + LOG_PAUSE);
        assert_eq!(trouble.unlogged, 0);
    }

    #[test]
    fn a_full_descriptor_table_is_not_about_one_connection() {
        assert!(!is_about_one_connection(&io::Error::from_raw_os_error(24)));
        assert!(is_about_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }
}
