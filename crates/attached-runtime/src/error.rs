//! Why an application could not start or be waited for.

use core_executor::{EnvError, ExecutorError, InheritError};
use http_app::AppError;
use longpoll_bridge::BridgeError;
use std::fmt;
use ws_server::WsError;

/// Why an application could not start or be waited for.
///
/// Its `Debug` form is the whole chain of causes in one line, so that `fn main() -> Result<_, RuntimeError>` prints
/// what a person needs and exits with 1.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A setting is wrong.
    #[error("cannot read the settings")]
    Settings(#[source] EnvError),
    /// The executor could not be made or takes no more tasks.
    #[error("cannot use the executor")]
    Executor(#[from] ExecutorError),
    /// The HTTP server could not start.
    #[error("cannot start the HTTP server")]
    Http(#[source] AppError),
    /// The WebSocket server could not start.
    #[error("cannot start the WebSocket server")]
    WebSocket(#[source] WsError),
    /// The long-polling bridge could not start.
    #[error("cannot start the long-polling bridge")]
    LongPolling(#[source] BridgeError),
    /// The metrics listener could not start.
    #[error("cannot start the metrics listener")]
    Metrics(#[source] AppError),
    /// The sockets of a supervisor cannot be served.
    #[error("cannot serve the inherited sockets")]
    Inherited(#[from] InheritError),
    /// Two metrics have the same name.
    #[error("cannot register the metrics")]
    Registration(#[source] prometheus::Error),
    /// The token of the operator's page has not the form of one. It is not shown.
    #[error("the operator's token is not 16 to 256 visible ASCII characters")]
    OpsToken,
    /// There is a token for the operator's page and no metrics listener, which serves it.
    #[error("the operator's page (OPS_TOKEN) is served by the metrics listener, and there is none")]
    OpsWithoutMetrics,
    /// A stop was asked for before the start.
    #[error("a stop was asked for before the start")]
    StopRequested,
    /// [`AttachedRuntime::run`](crate::AttachedRuntime::run) was called inside async code, which it would block.
    #[error("`run` blocks its thread and was called inside async code; use `serve().await` there")]
    InsideAsync,
    /// This thread could not wait for the end.
    #[error("cannot wait for the end on this thread")]
    Wait(#[source] std::io::Error),
    /// The runtime that carried the application was shut down by somebody else before the end.
    #[error("the runtime under the application was shut down before its end")]
    Lost,
}

impl fmt::Debug for RuntimeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(out, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
