//! The whole life of one application on one call, for a plain `main`.

use std::time::Duration;

use core_executor::{RuntimeExecutor, listen_for_signals, reload_on_hangup};
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

use crate::app::App;
use crate::error::AppError;
use crate::report::AppReport;
use crate::running::RunningApp;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Listens, blocks this thread until SIGTERM, SIGINT or a handle asks for the end, and ends the application and
    /// then the executor, [`AppConfig::drain_deadline`](crate::AppConfig::drain_deadline) bounds both. A
    /// second signal cuts every wait. With TLS, SIGHUP reads certificate and key again.
    ///
    /// # Errors
    /// [`AppError::InsideAsync`] inside async code, and everything that keeps the application from starting.
    pub fn run(self, executor: RuntimeExecutor) -> Result<AppReport, AppError> {
        if Handle::try_current().is_ok() {
            return Err(AppError::InsideAsync);
        }
        let waiting = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(AppError::Wait)?;
        let deadline = self.config().drain_deadline;
        let bound = self.bind()?;
        // Before the first request can be answered: whoever sees the application serve may end it.
        listen_for_signals(&executor.spawner()).map_err(AppError::Signals)?;
        let running = bound.listen(&executor.spawner())?;
        if let Some(reloader) = running.tls_reloader() {
            reload_on_hangup(&executor.spawner(), reloader).map_err(AppError::Signals)?;
        }
        Ok(waiting.block_on(live(running, executor, deadline)))
    }
}

async fn live(running: RunningApp, executor: RuntimeExecutor, deadline: Duration) -> AppReport {
    running.wait().await;
    let (signal, ends) = (executor.shutdown_signal(), Instant::now() + deadline);
    let mut report = running.close().await;
    // One deadline for both: the tasks get what the requests have left of it.
    let left = ends.saturating_duration_since(Instant::now());
    report.executor = tokio::select! {
        stopped = executor.stop_and_wait(left) => Some(stopped),
        () = signal.requested_now() => None,
    };
    report
}
