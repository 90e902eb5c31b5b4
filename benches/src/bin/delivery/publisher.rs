//! Says one message after the other, and keeps account of which are heard.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use benches::{Histogram, LoadError};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::server::PUBLISHER;
use crate::wire;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What each session has to hear, and how long it took.
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

struct Books {
    sessions: Vec<Session>,
    latencies: Histogram,
}

#[derive(Default)]
struct Session {
    room: String,
    /// When each of its messages was said, and how many of them are heard.
    said: Vec<Instant>,
    heard: usize,
}

impl Ledger {
    pub(crate) fn new(sessions: usize) -> Self {
        let sessions = std::iter::repeat_with(Session::default).take(sessions).collect();
        Self {
            books: Mutex::new(Books {
                sessions,
                latencies: Histogram::default(),
            }),
        }
    }

    /// The session hears what is said in this room.
    pub(crate) fn hears(&self, session: usize, room: &str) {
        self.with(|books| books.sessions[session].room = room.to_owned());
    }

    /// The text that says the session's next message.
    fn say(&self, session: usize) -> String {
        self.with(|books| {
            let session = &mut books.sessions[session];
            session.said.push(Instant::now());
            format!("{} <{}>", session.room, session.said.len())
        })
    }

    /// A session has read a message.
    ///
    /// # Errors
    /// It is not the one that was due.
    pub(crate) fn heard(&self, session: usize, number: &str, at: Instant) -> Result<(), LoadError> {
        self.with(|books| {
            let due = &mut books.sessions[session];
            due.heard += 1;
            if number != due.heard.to_string() || due.heard > due.said.len() {
                return Err(LoadError::Wrong(session));
            }
            let took = at - due.said[due.heard - 1];
            books.latencies.add(took);
            Ok(())
        })
    }

    fn forget_latencies(&self) {
        self.with(|books| books.latencies = Histogram::default());
    }

    fn missing(&self) -> usize {
        self.with(|books| {
            let missing = books
                .sessions
                .iter()
                .map(|session| session.said.len() - session.heard);
            missing.sum()
        })
    }

    /// The latencies, when everything has been heard.
    ///
    /// # Errors
    /// Something is missing.
    pub(crate) fn close(&self) -> Result<Histogram, LoadError> {
        match self.missing() {
            0 => Ok(self.with(|books| std::mem::take(&mut books.latencies))),
            missing => Err(LoadError::Missing(format!("{missing} messages"))),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.books.lock().expect("nothing panics with the books open"))
    }
}

/// Says a message to every session once a second, evenly spread, and waits for the last to be heard.
///
/// # Errors
/// The connection fails.
pub(crate) async fn publish(
    ws: SocketAddr,
    ledger: &Ledger,
    warm_up: Duration,
    window: Duration,
) -> Result<(), LoadError> {
    let mut socket = wire::websocket(ws, PUBLISHER).await?;
    let sessions = ledger.with(|books| books.sessions.len());
    let mut ticks = interval(Duration::from_secs(1) / sessions as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut is_measured = false;
    for session in (0..sessions).cycle() {
        ticks.tick().await;
        let passed = begun.elapsed();
        if !is_measured && passed >= warm_up {
            ledger.forget_latencies();
            is_measured = true;
        }
        if passed >= warm_up + window {
            break;
        }
        let frame = wire::text_frame(&ledger.say(session));
        wire::send(&mut socket, frame).await?;
    }
    let limit = Instant::now() + PATIENCE;
    while ledger.missing() > 0 && Instant::now() < limit {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
