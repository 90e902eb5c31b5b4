//! A timing wheel: entries that ring at the same tick, or a whole turn later, hang in one list.

use std::task::Waker;

/// Ticks of one turn; what is further away hangs in its list for more than one turn.
const TICKS: usize = 2048;
/// No entry.
const NONE: u32 = u32::MAX;

/// All entries are in one block, linked by their numbers: setting, moving and removing one costs the same however many
/// there are, and there is never more than one of a session.
#[derive(Debug)]
pub(super) struct Wheel {
    entries: Vec<Entry>,
    /// Entries nobody owns, linked by `next`.
    free: u32,
    /// The first entry of each tick.
    lists: Box<[u32]>,
    /// The last tick that was gone through.
    turned: u64,
    set: usize,
}

#[derive(Debug)]
struct Entry {
    /// Present while it is set.
    waker: Option<Waker>,
    due: u64,
    before: u32,
    next: u32,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            lists: vec![NONE; TICKS].into(),
            turned: 0,
            set: 0,
        }
    }

    /// Whether no entry is set.
    pub(super) fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// An entry that is not set.
    pub(super) fn enter(&mut self) -> u32 {
        let entry = Entry {
            waker: None,
            due: 0,
            before: NONE,
            next: NONE,
        };
        if self.free == NONE {
            self.entries.push(entry);
            return u32::try_from(self.entries.len() - 1).expect("sessions are fewer than that");
        }
        let number = self.free;
        self.free = self.entry(number).next;
        *self.entry(number) = entry;
        number
    }

    /// Gives an entry back.
    pub(super) fn leave(&mut self, number: u32) -> Option<Waker> {
        let waker = self.unset(number);
        self.entry(number).next = self.free;
        self.free = number;
        waker
    }

    /// Sets an entry to ring when `due` is gone through, or at the next turn when that was already.
    pub(super) fn set(&mut self, number: u32, due: u64, waker: &Waker) {
        let waker = match self.unset(number) {
            Some(known) if known.will_wake(waker) => known,
            _ => waker.clone(),
        };
        let due = due.max(self.turned + 1);
        let first = std::mem::replace(&mut self.lists[list_of(due)], number);
        if first != NONE {
            self.entry(first).before = number;
        }
        *self.entry(number) = Entry {
            waker: Some(waker),
            due,
            before: NONE,
            next: first,
        };
        self.set += 1;
    }

    fn unset(&mut self, number: u32) -> Option<Waker> {
        let entry = self.entry(number);
        let waker = entry.waker.take()?;
        let (due, before, next) = (entry.due, entry.before, entry.next);
        if before == NONE {
            self.lists[list_of(due)] = next;
        } else {
            self.entry(before).next = next;
        }
        if next != NONE {
            self.entry(next).before = before;
        }
        self.set -= 1;
        Some(waker)
    }

    /// Goes through all ticks up to `tick` and takes out what is due.
    pub(super) fn turn(&mut self, tick: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        let ticks = tick.saturating_sub(self.turned).min(TICKS as u64);
        for passed in (tick + 1 - ticks)..=tick {
            let mut number = self.lists[list_of(passed)];
            while number != NONE {
                let entry = self.entry(number);
                let next = entry.next;
                if entry.due <= tick {
                    due.extend(self.unset(number));
                }
                number = next;
            }
        }
        self.turned = self.turned.max(tick);
        due
    }

    fn entry(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[number as usize]
    }
}

fn list_of(tick: u64) -> usize {
    (tick % TICKS as u64) as usize
}
