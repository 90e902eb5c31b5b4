//! What can go wrong when the bridge is started. What an HTTP client is told is a `Refusal`.

use core_executor::ExecutorError;

/// Why the bridge could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// A setting is out of its range.
    #[error("long-polling bridge: `{field}` must be {expected}")]
    Setting {
        /// The field of [`LongPollConfig`](crate::LongPollConfig).
        field: &'static str,
        /// Its range.
        expected: &'static str,
    },
    /// The executor refused the sweeper.
    #[error("long-polling bridge: the executor refused its task")]
    Executor(#[source] ExecutorError),
}
