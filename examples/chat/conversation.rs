//! What a page may say, and what the others hear of it.
//!
//! Whatever is told to a newcomer is sent while the room is locked, so what changes later comes behind it.

use crate::room::{Guest, Room};
use attached_runtime::{Encoded, JsonMessage, Session, WsServer};
use examples::told;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest name, in characters.
const LONGEST_NAME: usize = 24;
/// Longest line, in characters.
const LONGEST_LINE: usize = 2000;

/// All rooms of the chat.
pub(crate) type Rooms = examples::Rooms<Room>;

/// Where a session is and what it is called; kept with the session.
#[derive(Default)]
struct Place(Mutex<Option<(&'static str, String)>>);

impl Place {
    fn get(&self) -> Option<(&'static str, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, place: Option<(&'static str, String)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Serialize)]
struct Problem<'a> {
    problem: &'a str,
}

pub(crate) fn callbacks(ws: WsServer, rooms: &Arc<Rooms>) -> WsServer {
    let (said, left) = (Arc::clone(rooms), Arc::clone(rooms));
    ws.on_open(|session| async move {
        session.insert_data(Place::default());
    })
    .on_typed_message(move |session, message| {
        let rooms = Arc::clone(&said);
        async move {
            let refused = match message.type_.as_str() {
                "chat.join" => join(&rooms, &session, &message).await,
                "chat.say" => say(&rooms, &session, &message).await,
                "chat.typing" => typing(&session).await,
                _ => Err("unknown type"),
            };
            if let Err(problem) = refused {
                session.send(told("chat.problem", "", &Problem { problem }));
            }
        }
    })
    .on_close(move |session, _| {
        let rooms = Arc::clone(&left);
        async move { leave(&rooms, &session).await }
    })
}

async fn join(rooms: &Rooms, session: &Session, message: &JsonMessage) -> Result<(), &'static str> {
    let Join { name } = message.payload().map_err(|_| "a name is wanted")?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err("a name has 1 to 24 characters");
    }
    let room = rooms.name(&message.room).ok_or("there is no such room")?;
    leave(rooms, session).await;
    session.join(room).map_err(|_| "not joined")?;
    place_of(session).set(Some((room, name.clone())));
    if let Some(mut inside) = rooms.find(room) {
        inside.enter(session.id(), name.clone());
        session.send(told("chat.history", room, &inside.history()));
    }
    let guest = Guest {
        id: session.id().get(),
        name,
    };
    tell_others(session, room, told("chat.came", room, &guest)).await;
    Ok(())
}

async fn say(rooms: &Rooms, session: &Session, message: &JsonMessage) -> Result<(), &'static str> {
    let Say { text } = message.payload().map_err(|_| "a text is wanted")?;
    if text.trim().is_empty() || text.chars().count() > LONGEST_LINE {
        return Err("a line has 1 to 2000 characters");
    }
    let (room, name) = place_of(session).get().ok_or("join a room first")?;
    let Some(line) = rooms.find(room).map(|mut inside| inside.say(name, text, now())) else {
        return Ok(());
    };
    if let Err(error) = session.hub().publish(room, told("chat.line", room, &line)).await {
        tracing::warn!(%error, room, "a line was not told");
    }
    Ok(())
}

async fn typing(session: &Session) -> Result<(), &'static str> {
    let (room, name) = place_of(session).get().ok_or("join a room first")?;
    let guest = Guest {
        id: session.id().get(),
        name,
    };
    tell_others(session, room, told("chat.typing", room, &guest)).await;
    Ok(())
}

async fn leave(rooms: &Rooms, session: &Session) {
    let Some((room, _)) = place_of(session).get() else {
        return;
    };
    place_of(session).set(None);
    session.leave(room);
    let gone = rooms.find(room).and_then(|mut inside| inside.leave(session.id()));
    if let Some(guest) = gone {
        tell_others(session, room, told("chat.left", room, &guest)).await;
    }
}

async fn tell_others(session: &Session, room: &str, message: Encoded) {
    if let Err(error) = session.hub().publish_except(room, session, message).await {
        tracing::warn!(%error, room, "the others were not told");
    }
}

fn place_of(session: &Session) -> Arc<Place> {
    session.data().unwrap_or_default()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
