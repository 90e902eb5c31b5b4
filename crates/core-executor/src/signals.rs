//! SIGTERM and SIGINT become a wish to stop; the second one means now.

use crate::{ExecutorError, ShutdownHandle, Spawner, StopCause};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGTERM and SIGINT for as long as the executor runs.
///
/// The first one asks for an orderly stop, the second one for an immediate stop. From the first call on, these signals
/// no longer end the process by themselves, not even after the executor has ended.
///
/// # Errors
/// When the process cannot install the handlers or the executor is stopping already.
pub fn listen_for_signals(spawner: &Spawner) -> Result<(), ExecutorError> {
    let _inside = spawner.enter_control();
    let terminate = signal(SignalKind::terminate()).map_err(ExecutorError::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(ExecutorError::Signals)?;
    spawner.spawn_control(forward(terminate, interrupt, spawner.shutdown_handle()))
}

async fn forward(mut terminate: Signal, mut interrupt: Signal, handle: ShutdownHandle) {
    let mut heard = false;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if heard {
            tracing::warn!(signal = name, "second signal: stopping now");
            handle.request_stop_now();
            return;
        }
        heard = true;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        handle.request_stop_because(StopCause::Signal(name));
    }
}
