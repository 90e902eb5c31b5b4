//! What came of a transport's own writing.

use std::io;

use super::policy::Load;

/// What a transport's task achieved by writing.
#[derive(Debug)]
pub(crate) struct Written {
    /// Messages that are out whole, and bytes.
    pub(crate) load: Load,
    pub(crate) end: WriteEnd,
}

/// Why a write came to its end.
#[derive(Debug)]
pub(crate) enum WriteEnd {
    /// Everything is out.
    Flushed,
    /// The stream takes no more for now.
    Blocked,
    /// The stream failed.
    Failed(io::Error),
}
