//! The task that removes mailboxes nobody uses any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use core_executor::ShutdownSignal;

use crate::bridge::Shared;

/// A mailbox outlives its time by at most this much.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Sweeps until a shutdown is asked for. While there is no mailbox it sleeps without a timer.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: ShutdownSignal) {
    tokio::select! {
        () = shutdown.requested() => {}
        () = sweep_forever(&shared) => {}
    }
}

async fn sweep_forever(shared: &Shared) {
    let ttl = shared.config.session_ttl;
    loop {
        shared.mailboxes.filled().await;
        tokio::time::sleep(pause(ttl)).await;
        let removed = shared.mailboxes.sweep(Instant::now(), ttl);
        if removed > 0 {
            tracing::debug!(removed, left = shared.mailboxes.len(), "removed unused mailboxes");
        }
    }
}

fn pause(ttl: Duration) -> Duration {
    (ttl / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::{pause, run};
    use crate::{LongPollBridge, LongPollConfig};
    use core_executor::RuntimeExecutor;
    use std::time::Duration;

    #[test]
    fn it_stops_when_a_shutdown_is_asked_for() {
        let executor = RuntimeExecutor::with_threads(1).unwrap();
        let bridge = LongPollBridge::new(LongPollConfig::default());
        let sweeping = run(bridge.share(), executor.shutdown_signal());
        let sweeping = executor.spawner().spawn(sweeping).unwrap();
        executor.shutdown_handle().request_stop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let stopped =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), sweeping).await });
        stopped.expect("it stops by itself").expect("it has not been cut");
    }

    #[test]
    fn a_short_life_is_looked_at_more_often() {
        assert_eq!(pause(Duration::from_secs(60)), Duration::from_secs(1));
        assert_eq!(pause(Duration::from_secs(1)), Duration::from_millis(250));
        assert_eq!(pause(Duration::from_millis(1)), Duration::from_millis(10));
    }
}
