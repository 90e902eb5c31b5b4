//! The whole life of one application on one call, for a plain `main`.

use core_executor::{RuntimeExecutor, listen_for_signals};
use tokio::runtime::{Builder, Handle};

use crate::app::App;
use crate::error::AppError;
use crate::report::AppReport;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Listens, blocks this thread until SIGTERM, SIGINT or a handle asks for the end, and ends the application and
    /// then the executor. A second signal cuts the wait for requests in flight.
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
        let running = self.listen(&executor.spawner())?;
        listen_for_signals(&executor.spawner()).map_err(AppError::Signals)?;
        Ok(waiting.block_on(async move {
            running.wait().await;
            let report = running.close().await;
            executor.stop_and_wait(deadline).await;
            report
        }))
    }
}
