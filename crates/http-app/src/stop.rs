//! The wish that one application stops.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks one application to stop. Clone it freely.
///
/// May be called from any thread, handler or hook: never blocks, and asking again has no further effect. It asks
/// this application alone; the executor's own handle asks everything that runs on it.
#[derive(Clone, Debug)]
pub struct StopHandle {
    asked: Arc<watch::Sender<bool>>,
}

impl StopHandle {
    pub(crate) fn new() -> Self {
        Self {
            asked: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Asks. Whoever waits in [`RunningApp::wait`](crate::RunningApp::wait) goes on to the end.
    pub fn stop_async(&self) {
        self.asked
            .send_if_modified(|asked| !std::mem::replace(asked, true));
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.asked.borrow()
    }

    pub(crate) async fn requested(&self) {
        let mut asked = self.asked.subscribe();
        // The sender is ours, so this ends with a wish only.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}
