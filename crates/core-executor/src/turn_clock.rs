//! The clock as it was last read within a connection's turn, for who needs no newer reading.

use std::cell::Cell;
use tokio::time::Instant;

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Reads the clock when an answer is ready. A connection whose answer leaves in the same turn counts its wait for the
/// next request from this reading and makes none of its own.
pub fn read_clock() -> Instant {
    let now = Instant::now();
    LAST.set(Some(now));
    now
}

/// What was read before says nothing of the turn that begins.
pub(crate) fn begin_turn() {
    LAST.set(None);
}

/// The clock as it was read in this turn, or as it is.
pub(crate) fn of_turn() -> Instant {
    LAST.get().unwrap_or_else(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_reading_holds_for_the_turn() {
        begin_turn();
        let begun = of_turn();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            of_turn(),
            begun + Duration::from_secs(1),
            "nobody has read it yet"
        );
        let read = read_clock();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(of_turn(), read);
        begin_turn();
        assert_eq!(of_turn(), read + Duration::from_secs(1));
    }
}
