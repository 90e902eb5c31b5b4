//! The tables of sessions and rooms: the only module that touches dashmap. No guard of it leaves this file.

use std::sync::Arc;

#[cfg(not(all(test, shuttle)))]
use dashmap::DashMap;
use prometheus::IntGauge;
#[cfg(all(test, shuttle))]
use shuttle_dashmap::DashMap;

use crate::room::{Place, Room};
use crate::roster::Roster;
use crate::session::Session;
use crate::sync::{AtomicUsize, Notify, Ordering};

/// Every registered session and every room with a member.
#[derive(Debug)]
pub(crate) struct Tables {
    everybody: Roster,
    /// `everybody.len()` without its lock.
    count: AtomicUsize,
    /// Rung when the last session has left.
    emptied: Notify,
    rooms: DashMap<Arc<str>, Arc<Room>>,
    rooms_active: IntGauge,
}

impl Tables {
    pub(crate) fn new(rooms_active: IntGauge) -> Self {
        Self {
            everybody: Roster::default(),
            count: AtomicUsize::new(0),
            emptied: Notify::new(),
            rooms: DashMap::new(),
            rooms_active,
        }
    }

    /// Lists a session; `note` hears of its seat before anybody finds it there.
    pub(crate) fn insert(&self, session: &Session, note: impl FnOnce(u32)) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.everybody
            .sit(session, note)
            .expect("this roster is never retired");
    }

    /// Forgets the session on this seat.
    pub(crate) fn remove(&self, seat: u32) {
        self.everybody.leave(seat, false);
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Returns once no session is registered.
    pub(crate) async fn emptied(&self) {
        loop {
            let rung = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            rung.await;
        }
    }

    /// Every session registered now.
    pub(crate) fn everybody(&self) -> &Roster {
        &self.everybody
    }

    /// Puts a session into a room, which is made when it is not there.
    pub(crate) fn join(&self, name: &str, session: &Session) -> Place {
        loop {
            let room = self.room_or_new(name);
            if let Some(seat) = room.members().sit(session, |_| ()) {
                return Place { room, seat };
            }
            // Its last member has just left it and is about to take it out of the table; who comes first does it.
            self.forget(&room);
        }
    }

    pub(crate) fn leave(&self, place: &Place) {
        if place.room.members().leave(place.seat, true) {
            self.forget(&place.room);
        }
    }

    pub(crate) fn room(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Names every room that is there all the while, and how many are in it. Who makes or empties a room may wait for
    /// it.
    pub(crate) fn each_room(&self, mut visit: impl FnMut(&Arc<str>, usize)) {
        for entry in self.rooms.iter() {
            visit(entry.value().name(), entry.value().members().len());
        }
    }

    fn room_or_new(&self, name: &str) -> Arc<Room> {
        if let Some(room) = self.room(name) {
            return room;
        }
        let name: Arc<str> = name.into();
        let entry = self.rooms.entry(Arc::clone(&name)).or_insert_with(|| {
            self.rooms_active.inc();
            Arc::new(Room::new(name))
        });
        Arc::clone(entry.value())
    }

    fn forget(&self, room: &Arc<Room>) {
        if self
            .rooms
            .remove_if(room.name(), |_, known| Arc::ptr_eq(known, room))
            .is_some()
        {
            self.rooms_active.dec();
        }
    }
}
