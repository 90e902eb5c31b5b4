//! What the examples share: their log.

mod logging;
pub use logging::{LogGuard, init_logging};
