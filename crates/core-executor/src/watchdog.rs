//! Notices a worker that is held up by one turn of one task, and names what holds it up.
//!
//! It looks from the control thread, so idle workers are not woken; a turn costs its worker two stores.

use crate::spawner::SpawnerShared;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often it looks.
const TICK: Duration = Duration::from_millis(250);
/// A turn that is the same at so many looks in a row has lasted half a second at least, and is named before it has
/// lasted a whole one.
const LOOKS: u32 = 3;

/// What was seen of a worker.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    turn: u64,
    looks: u32,
}

impl Seen {
    /// Whether the turn that is being taken has just become too long.
    fn look(&mut self, turn: Option<u64>) -> bool {
        let Some(turn) = turn else {
            *self = Self::default();
            return false;
        };
        if turn != self.turn {
            *self = Self { turn, looks: 0 };
        }
        self.looks = self.looks.saturating_add(1);
        self.looks == LOOKS
    }
}

/// Watches the workers until the executor is gone.
pub(crate) async fn watch(executor: Weak<SpawnerShared>) {
    let mut seen = Vec::new();
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shared) = executor.upgrade() else { return };
        look(&shared, &mut seen);
    }
}

fn look(shared: &Arc<SpawnerShared>, seen: &mut Vec<Seen>) {
    seen.resize(shared.workers.len(), Seen::default());
    for (index, (worker, seen)) in shared.workers.iter().zip(seen).enumerate() {
        if !seen.look(worker.turn()) {
            continue;
        }
        let (label, detail) = worker.read();
        if worker.turn() != Some(seen.turn) {
            continue;
        }
        let running = shared.labels.name(label, &detail);
        shared.metrics.count_stall();
        tracing::warn!(worker = index, %running, "a worker is held up for half a second: it blocks its thread without saying so");
    }
}

/// What holds up the workers that do not come back.
pub(crate) fn name_stuck(shared: &SpawnerShared, is_stuck: impl Fn(usize) -> bool) {
    for (index, worker) in shared.workers.iter().enumerate() {
        if is_stuck(index) && worker.turn().is_some() {
            let (label, detail) = worker.read();
            shared.unfinished.count(shared.labels.name(label, &detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_named_within_a_second() {
        assert!(TICK * (LOOKS - 1) >= Duration::from_millis(500));
        // It may begin just behind a look.
        assert!(TICK * LOOKS < Duration::from_secs(1));
    }

    #[test]
    fn a_turn_is_named_once_when_it_lasts() {
        let mut seen = Seen::default();
        let looks = [
            Some(1),
            Some(3),
            None,
            Some(5),
            Some(5),
            Some(5),
            Some(5),
            Some(7),
        ];
        let named = looks.map(|turn| seen.look(turn));
        assert_eq!(named, [false, false, false, false, false, true, false, false]);
    }
}
