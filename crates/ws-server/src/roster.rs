//! Sessions seated side by side: a walk over all of them is a walk over one block of memory, in steps between which
//! no lock is held.

use crate::session::Session;
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A list of sessions. Coming and going cost the same however many are there, because a seat keeps its number and an
/// emptied one is given to who comes next.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    seats: RwLock<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    seats: Vec<Seat>,
    vacant: Vec<u32>,
    taken: usize,
    /// How many have ever come; orders those who come against walks that have begun.
    came: u64,
    is_retired: bool,
}

#[derive(Debug)]
struct Seat {
    session: Option<Session>,
    since: u64,
}

/// How far a walk has come. Who sits down after its first step is not visited, so nobody is visited twice.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    next: usize,
    /// Set by the first step.
    until: Option<u64>,
}

impl Roster {
    /// Seats a session; nothing when the roster is retired. `note` hears of the seat before anybody finds the session
    /// on it.
    pub(crate) fn sit(&self, session: &Session, note: impl FnOnce(u32)) -> Option<u32> {
        let mut seats = self.write();
        if seats.is_retired {
            return None;
        }
        seats.came += 1;
        seats.taken += 1;
        let seat = Seat {
            session: Some(session.clone()),
            since: seats.came,
        };
        let number = seats.put(seat);
        note(number);
        Some(number)
    }

    /// Empties a seat. Returns whether it was the last one that was taken; with `retire`, nobody sits down any more
    /// then.
    pub(crate) fn leave(&self, number: u32, retire: bool) -> bool {
        let mut seats = self.write();
        let gone = seats
            .seats
            .get_mut(number as usize)
            .and_then(|seat| seat.session.take());
        if gone.is_some() {
            seats.taken -= 1;
            seats.vacant.push(number);
            seats.trim();
        }
        let is_empty = seats.taken == 0;
        seats.is_retired |= retire && is_empty;
        // What a session keeps for its user may come back here when it is dropped.
        drop(seats);
        drop(gone);
        is_empty
    }

    pub(crate) fn len(&self) -> usize {
        self.read().taken
    }

    /// Everybody who is seated now.
    pub(crate) fn all(&self) -> Vec<Session> {
        self.read()
            .seats
            .iter()
            .filter_map(|seat| seat.session.clone())
            .collect()
    }

    /// Goes on with a walk for as long as `visit`, which tells the cost of each visit, stays within `budget`. Returns
    /// whether somebody is left. Who comes or goes waits meanwhile, so `visit` must not come back here.
    pub(crate) fn step(
        &self,
        walk: &mut Walk,
        budget: usize,
        mut visit: impl FnMut(&Session) -> usize,
    ) -> bool {
        let seats = self.read();
        let until = *walk.until.get_or_insert(seats.came);
        let mut spent = 0;
        for seat in seats.seats.iter().skip(walk.next) {
            if spent >= budget {
                return true;
            }
            walk.next += 1;
            spent += match &seat.session {
                Some(session) if seat.since <= until => visit(session),
                _ => 0,
            };
        }
        false
    }

    fn read(&self) -> RwLockReadGuard<'_, Seats> {
        self.seats.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Seats> {
        self.seats.write()
    }
}

impl Seats {
    fn put(&mut self, seat: Seat) -> u32 {
        while let Some(number) = self.vacant.pop() {
            // Seats at the end are given back when they are left, and may be listed still; one of those that was made
            // again is listed twice.
            match self.seats.get_mut(number as usize) {
                Some(place) if place.session.is_none() => {
                    *place = seat;
                    return number;
                }
                _ => {}
            }
        }
        let number = u32::try_from(self.seats.len()).expect("sessions are fewer than that");
        self.seats.push(seat);
        number
    }

    /// Gives back the empty seats at the end, so that a crowd that went leaves nothing to walk over.
    fn trim(&mut self) {
        while self.seats.last().is_some_and(|seat| seat.session.is_none()) {
            self.seats.pop();
        }
        if self.seats.is_empty() {
            self.vacant = Vec::new();
        }
        if self.seats.capacity() > 64 && self.seats.len() < self.seats.capacity() / 4 {
            self.seats.shrink_to(self.seats.len() * 2);
            self.vacant.retain(|number| (*number as usize) < self.seats.len());
        }
    }
}
