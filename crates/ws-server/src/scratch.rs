//! One read buffer for each thread, borrowed while there is data: a silent session owns none.

use std::cell::RefCell;

/// Bytes read by one call.
const SIZE: usize = 64 * 1024;

thread_local! {
    /// Empty until somebody reads on this thread.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's buffer to `work`. Whoever comes while it is lent gets a buffer of its own.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.is_empty() {
                buffer.resize(SIZE, 0);
            }
            work(&mut buffer)
        }
        Err(_) => work(&mut vec![0; SIZE]),
    })
}

#[cfg(test)]
mod tests {
    use super::{SIZE, with_scratch};

    #[test]
    fn who_comes_while_it_is_lent_gets_a_buffer_of_its_own() {
        with_scratch(|outer| {
            outer[0] = 1;
            let inner = with_scratch(|inner| {
                inner[0] = 2;
                inner.len()
            });
            assert_eq!((outer.len(), inner, outer[0]), (SIZE, SIZE, 1));
        });
    }

    #[test]
    fn a_panic_gives_it_back() {
        let here = || with_scratch(|buffer| buffer.as_ptr());
        let place = here();
        let panicked = std::panic::catch_unwind(|| with_scratch(|_| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(here(), place);
    }
}
