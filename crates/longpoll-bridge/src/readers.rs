//! Who has read a mailbox how far: one shared position, and one for each reader with a cookie, bounded in number.

use std::collections::HashMap;
use std::time::Instant;

use crate::ring::Position;

/// A reader that can be told from others: the random part of its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReaderId(pub(crate) u128);

/// A position in one particular mailbox. The epoch is drawn anew for every mailbox, also for one of the same name,
/// so a mark of another one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: u64,
    pub(crate) position: Position,
}

/// Who polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody without a cookie; all of them share one position.
    Shared,
    /// Somebody with a cookie, and where the answer ended that brought it.
    Own(ReaderId, Option<Mark>),
}

/// The positions of all readers of one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    shared: Position,
    own: HashMap<ReaderId, Cursor>,
}

#[derive(Debug, Clone, Copy)]
struct Cursor {
    position: Position,
    used_at: Instant,
}

impl Readers {
    /// Where a reader goes on. One that is not known begins at its mark, when that is of this mailbox, else at
    /// `oldest`, and is remembered; past `limit` the one that has not come for longest is forgotten for it.
    pub(crate) fn begin(&mut self, reader: Reader, start: Start, now: Instant) -> Position {
        let Reader::Own(id, mark) = reader else {
            return self.shared;
        };
        if let Some(known) = self.own.get_mut(&id) {
            known.used_at = now;
            return known.position;
        }
        let position = mark
            .filter(|mark| mark.epoch == start.epoch)
            .map_or(start.oldest, |mark| mark.position);
        self.remember(
            id,
            Cursor {
                position,
                used_at: now,
            },
            start.limit,
        );
        position
    }

    /// A reader was given everything up to `position`. Never moves it back: an older answer of the same reader may
    /// be written after a newer one.
    pub(crate) fn advance(&mut self, reader: Reader, position: Position) {
        let known = match reader {
            Reader::Shared => Some(&mut self.shared),
            Reader::Own(id, _) => self.own.get_mut(&id).map(|cursor| &mut cursor.position),
        };
        if let Some(known) = known {
            *known = position.max(*known);
        }
    }

    fn remember(&mut self, id: ReaderId, cursor: Cursor, limit: usize) {
        if self.own.len() >= limit {
            let idlest = self
                .own
                .iter()
                .min_by_key(|(_, cursor)| cursor.used_at)
                .map(|(id, _)| *id);
            idlest.and_then(|id| self.own.remove(&id));
        }
        self.own.insert(id, cursor);
    }
}

/// What a mailbox is like at the moment somebody begins to read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) epoch: u64,
    pub(crate) oldest: Position,
    /// Readers that are remembered.
    pub(crate) limit: usize,
}

#[cfg(test)]
mod tests {
    use super::{Mark, Position, Reader, ReaderId, Readers, Start};
    use std::time::{Duration, Instant};

    const START: Start = Start {
        epoch: 7,
        oldest: Position(3),
        limit: 2,
    };

    fn own(id: u128) -> Reader {
        Reader::Own(ReaderId(id), None)
    }

    fn marked(id: u128, epoch: u64, position: u64) -> Reader {
        Reader::Own(
            ReaderId(id),
            Some(Mark {
                epoch,
                position: Position(position),
            }),
        )
    }

    #[test]
    fn those_without_a_cookie_share_one_position() {
        let mut readers = Readers::default();
        let now = Instant::now();
        assert_eq!(readers.begin(Reader::Shared, START, now), Position(0));
        readers.advance(Reader::Shared, Position(5));
        readers.advance(Reader::Shared, Position(4));
        assert_eq!(readers.begin(Reader::Shared, START, now), Position(5));
        assert_eq!(
            readers.begin(own(1), START, now),
            Position(3),
            "and take nothing from one with a cookie"
        );
    }

    #[test]
    fn a_new_cookie_goes_on_where_the_answer_ended_that_brought_it() {
        let mut readers = Readers::default();
        let now = Instant::now();
        assert_eq!(readers.begin(marked(1, 7, 5), START, now), Position(5));
        assert_eq!(
            readers.begin(marked(2, 8, 5), START, now),
            Position(3),
            "a mark of another mailbox"
        );
        readers.advance(marked(1, 7, 5), Position(9));
        assert_eq!(
            readers.begin(marked(1, 7, 5), START, now),
            Position(9),
            "a mark counts once"
        );
    }

    #[test]
    fn the_idlest_is_forgotten_for_a_new_one() {
        let mut readers = Readers::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (reader, second) in [(own(1), 0), (own(2), 1), (own(1), 2), (own(3), 3)] {
            readers.begin(reader, START, at(second));
            readers.advance(reader, Position(10));
        }
        assert_eq!(readers.own.len(), 2);
        assert_eq!(readers.begin(own(1), START, at(4)), Position(10));
        assert_eq!(
            readers.begin(own(2), START, at(5)),
            Position(3),
            "2 was forgotten"
        );
    }
}
