//! One read buffer for each thread, borrowed while there is data: a silent session owns none.

use std::cell::Cell;

/// Bytes read by one call.
const SIZE: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer to `work`. Whoever comes while it is lent gets a buffer of its own.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into());
    let result = work(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}
