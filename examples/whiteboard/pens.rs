//! What a page may say, and under which policy the others hear of it.

use crate::board::{Board, Point, Stroke, is_on_board};
use attached_runtime::{Encoded, JsonMessage, OutboxPolicy, Session, WsServer};
use examples::told;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// All boards.
pub(crate) type Boards = examples::Rooms<Board>;

/// What a session does over and over: the newest of its kind takes the place of the one that a slow reader has not got
/// yet.
#[derive(Clone, Copy)]
enum Moving {
    Cursor,
    Pen,
}

impl Moving {
    /// One key for each session and kind.
    fn policy(self, session: &Session) -> OutboxPolicy {
        OutboxPolicy::KeepLatest(session.id().get() << 1 | self as u64)
    }
}

/// The board that a session looks at; kept with the session.
#[derive(Default)]
struct Place(Mutex<Option<&'static str>>);

impl Place {
    /// Puts another board here and gives the one before.
    fn replace(&self, board: Option<&'static str>) -> Option<&'static str> {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), board)
    }

    fn get(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct At {
    at: Point,
}

#[derive(Serialize)]
struct Cursor {
    id: u64,
    at: Point,
}

/// A stroke that still grows.
#[derive(Serialize)]
struct Pen {
    id: u64,
    stroke: Stroke,
}

#[derive(Serialize)]
struct Left {
    id: u64,
}

#[derive(Serialize)]
struct Problem<'a> {
    problem: &'a str,
}

pub(crate) fn callbacks(ws: WsServer, boards: &Arc<Boards>) -> WsServer {
    let boards = Arc::clone(boards);
    ws.on_open(|session| async move {
        session.insert_data(Place::default());
    })
    .on_typed_message(move |session, message| {
        let boards = Arc::clone(&boards);
        async move {
            let refused = match message.type_.as_str() {
                "board.open" => open(&boards, &session, &message).await,
                "board.cursor" => point(&session, &message).await,
                "board.pen" => pen(&session, &message).await,
                "board.stroke" => draw(&boards, &session, &message).await,
                "board.clear" => clear(&boards, &session).await,
                _ => Err("unknown type"),
            };
            if let Err(problem) = refused {
                session.send(told("board.problem", "", &Problem { problem }));
            }
        }
    })
    .on_close(|session, _| async move { leave(&session, None).await })
}

type Refused = Result<(), &'static str>;

async fn open(boards: &Boards, session: &Session, message: &JsonMessage) -> Refused {
    let name = boards.name(&message.room).ok_or("there is no such board")?;
    leave(session, Some(name)).await;
    session.join(name).map_err(|_| "not joined")?;
    // What is drawn from here on is told behind the picture, because the board is ours until that is on its way.
    if let Some(board) = boards.find(name) {
        session.send(told("board.picture", name, &board.picture()));
    }
    Ok(())
}

async fn point(session: &Session, message: &JsonMessage) -> Refused {
    let At { at } = message.payload().map_err(|_| "a place is wanted")?;
    if !is_on_board(at) {
        return Err("that is beside the board");
    }
    let id = session.id().get();
    move_on(session, Moving::Cursor, "board.cursor", &Cursor { id, at }).await
}

async fn pen(session: &Session, message: &JsonMessage) -> Refused {
    let stroke = stroke_of(message)?;
    let id = session.id().get();
    move_on(session, Moving::Pen, "board.pen", &Pen { id, stroke }).await
}

/// Tells what the next message of this kind makes obsolete.
async fn move_on(session: &Session, moving: Moving, kind: &str, payload: &impl Serialize) -> Refused {
    let board = board_of(session)?;
    let (message, policy) = (told(kind, board, payload), moving.policy(session));
    if let Err(error) = session.hub().publish_with(board, message, policy).await {
        tracing::warn!(%error, board, "a movement was not told");
    }
    Ok(())
}

async fn draw(boards: &Boards, session: &Session, message: &JsonMessage) -> Refused {
    let (name, stroke) = (board_of(session)?, stroke_of(message)?);
    let by = session.id().get();
    let drawn = boards.find(name).map(|mut board| board.draw(by, stroke));
    if let Some(drawn) = drawn {
        tell(session, name, told("board.stroke", name, &drawn)).await;
    }
    Ok(())
}

async fn clear(boards: &Boards, session: &Session) -> Refused {
    let name = board_of(session)?;
    let cleared = boards.find(name).map(|mut board| board.clear());
    if let Some(cleared) = cleared {
        tell(session, name, told("board.cleared", name, &cleared)).await;
    }
    Ok(())
}

/// Goes from the board that is open to the next one, if any.
async fn leave(session: &Session, next: Option<&'static str>) {
    let Some(left) = place_of(session).replace(next) else {
        return;
    };
    session.leave(left);
    let id = session.id().get();
    tell(session, left, told("board.left", left, &Left { id })).await;
}

/// Tells what nobody may miss: a reader who is too slow for it is closed (the server's policy) and comes back for the
/// picture.
async fn tell(session: &Session, board: &str, message: Encoded) {
    if let Err(error) = session.hub().publish(board, message).await {
        tracing::warn!(%error, board, "the board was not told");
    }
}

fn stroke_of(message: &JsonMessage) -> Result<Stroke, &'static str> {
    let stroke: Stroke = message.payload().map_err(|_| "a stroke is wanted")?;
    let is_sound = stroke.is_sound();
    is_sound
        .then_some(stroke)
        .ok_or("that is no stroke on this board")
}

fn board_of(session: &Session) -> Result<&'static str, &'static str> {
    place_of(session).get().ok_or("open a board first")
}

fn place_of(session: &Session) -> Arc<Place> {
    session.data().unwrap_or_default()
}
