//! What an operator looks at: the largest rooms, and the sessions that are furthest behind.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::now;
use crate::hub::Hub;
use crate::roster::Walk;
use crate::session::{Session, SessionId, TransportKind};

/// Sessions looked at in one step, between which other tasks of the worker get their turn.
const STEP: usize = 1024;

/// A room and how many are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomSize {
    /// Its name, which a client may have chosen.
    pub name: Arc<str>,
    /// Members at the moment of the look.
    pub members: usize,
}

/// A session for which messages wait.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// The session.
    pub session: SessionId,
    /// What carries it.
    pub transport: TransportKind,
    /// Messages that are not written yet or, where the client acknowledges them, not acknowledged.
    pub messages: usize,
    /// Bytes of their frames.
    pub bytes: usize,
    /// How long the oldest of them has waited for a transport that takes nothing; zero while the transport takes
    /// everything, and for messages that are to be acknowledged.
    pub oldest: Duration,
}

impl Hub {
    /// The rooms with the most members, the largest first, at most `limit`. It looks at every room there is, so it
    /// takes about 0.1 ms for each thousand: it belongs on a thread that may be held up.
    pub fn largest_rooms(&self, limit: usize) -> Vec<RoomSize> {
        let mut top = Top::new(limit);
        self.tables().each_room(|name, members| {
            top.offer(Ranked {
                rank: members,
                value: RoomSize {
                    name: Arc::clone(name),
                    members,
                },
            });
        });
        top.into_sorted()
    }

    /// The sessions with the most bytes waiting for them, the deepest first, at most `limit`; none for which nothing
    /// waits. It looks at every session there is, in steps between which other tasks get their turn. Cancel safe.
    pub async fn backlogs(&self, limit: usize) -> Vec<Backlog> {
        let mut top = Top::new(limit);
        let mut walk = Walk::default();
        let mut seen = Vec::new();
        loop {
            let is_unfinished = self.tables().everybody().step(&mut walk, STEP, |session| {
                seen.push(session.clone());
                1
            });
            // Looked at behind the lock of the table, which the end of a session needs.
            for backlog in seen.drain(..).filter_map(|session: Session| session.backlog()) {
                top.offer(Ranked {
                    rank: backlog.bytes,
                    value: backlog,
                });
            }
            if !is_unfinished {
                return top.into_sorted();
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Session {
    /// What waits for this session; nothing when nothing does.
    pub(crate) fn backlog(&self) -> Option<Backlog> {
        let held = self.held();
        (held.messages > 0).then(|| Backlog {
            session: self.id(),
            transport: self.transport(),
            messages: held.messages,
            bytes: held.bytes,
            oldest: self
                .outbox()
                .oldest()
                .map_or(Duration::ZERO, |since| now().saturating_duration_since(since)),
        })
    }
}

/// The highest of those that were offered.
struct Top<T> {
    limit: usize,
    kept: BinaryHeap<Reverse<Ranked<T>>>,
}

/// Compared by rank alone.
struct Ranked<T> {
    rank: usize,
    value: T,
}

impl<T> Top<T> {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: BinaryHeap::new(),
        }
    }

    fn offer(&mut self, one: Ranked<T>) {
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(one));
        } else if let Some(mut lowest) = self.kept.peek_mut()
            && lowest.0.rank < one.rank
        {
            *lowest = Reverse(one);
        }
    }

    /// The highest first.
    fn into_sorted(self) -> Vec<T> {
        let sorted = self.kept.into_sorted_vec().into_iter();
        sorted.map(|Reverse(ranked)| ranked.value).collect()
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<T> Eq for Ranked<T> {}

#[cfg(test)]
mod tests {
    use super::{Ranked, Top};

    #[test]
    fn the_highest_are_kept_and_come_first() {
        let mut top = Top::new(3);
        for rank in [5, 1, 9, 7, 0, 9, 2] {
            top.offer(Ranked { rank, value: rank });
        }
        assert_eq!(top.into_sorted(), [9, 9, 7]);
        let mut none = Top::new(0);
        none.offer(Ranked { rank: 1, value: 1 });
        assert!(none.into_sorted().is_empty());
    }
}
