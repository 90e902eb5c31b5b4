//! What the examples share: their log, and what a page needs.

mod logging;
mod page;
mod rooms;
mod told;
pub use logging::{LogGuard, init_logging};
pub use page::page;
pub use rooms::Rooms;
pub use told::told;
