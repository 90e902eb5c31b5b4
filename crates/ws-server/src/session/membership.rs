//! The rooms a session is in.

use super::Session;
use crate::config::or_unlimited;
use crate::error::WsError;
use crate::room::Place;

/// The rooms a session is in.
#[derive(Default)]
pub(super) struct Joined {
    /// In the order of their names; a session in one room pays for one.
    places: Vec<Place>,
    /// The session has ended and may join nothing.
    is_over: bool,
}

impl Joined {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.places
            .binary_search_by(|place| (**place.room.name()).cmp(name))
    }
}

impl Session {
    /// Enters a room; it is made when it is not there. Entering twice is entering once.
    ///
    /// ```
    /// use ws_server::{WsConfig, WsServer};
    ///
    /// let server = WsServer::new(WsConfig::default()).on_open(|session| async move {
    ///     if let Err(error) = session.join("lobby") {
    ///         session.send_text(error.to_string());
    ///     }
    /// });
    /// # drop(server);
    /// ```
    ///
    /// # Errors
    /// The name is empty or too long, the session is in as many rooms as it may, or it has ended.
    pub fn join(&self, room: &str) -> Result<(), WsError> {
        let hub = &self.0.hub;
        hub.check_room_name(room)?;
        let limit = hub.config().max_rooms_per_session;
        let mut joined = self.0.rooms.lock();
        if joined.is_over {
            return Err(WsError::SessionClosed);
        }
        let Err(at) = joined.find(room) else {
            return Ok(());
        };
        if joined.places.len() >= or_unlimited(limit) {
            return Err(WsError::TooManyRooms { limit });
        }
        if joined.places.is_empty() {
            joined.places.reserve_exact(1);
        }
        joined.places.insert(at, hub.tables().join(room, self));
        Ok(())
    }

    /// Leaves a room; returns whether the session was in it.
    pub fn leave(&self, room: &str) -> bool {
        let mut joined = self.0.rooms.lock();
        let Ok(at) = joined.find(room) else {
            return false;
        };
        let place = joined.places.remove(at);
        self.0.hub.tables().leave(&place);
        true
    }

    /// Names of the rooms the session is in, in alphabetical order.
    pub fn rooms(&self) -> Vec<String> {
        self.0
            .rooms
            .lock()
            .places
            .iter()
            .map(|place| (**place.room.name()).to_owned())
            .collect()
    }

    /// Leaves every room and lets no more be joined.
    pub(crate) fn leave_all(&self) {
        let places = {
            let mut joined = self.0.rooms.lock();
            joined.is_over = true;
            std::mem::take(&mut joined.places)
        };
        for place in &places {
            self.0.hub.tables().leave(place);
        }
    }
}
