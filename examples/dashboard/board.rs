//! Who watches, and what they are told.

use crate::metrics::Metrics;
use crate::sample::Sample;
use attached_runtime::{Encoded, Hub, JsonMessage, OutboxPolicy, Session, ShutdownHandle, WsServer};
use prometheus::Registry;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const ROOM: &str = "dashboard";
/// A minute of half seconds.
const KEPT: usize = 120;
/// Times are those of the last five seconds.
const WINDOW: usize = 10;
const SHOWN_ROOMS: usize = 6;

pub(crate) struct Board {
    registry: Registry,
    prefix: String,
    hub: Hub,
    past: Mutex<Past>,
}

#[derive(Default)]
struct Past {
    samples: VecDeque<Sample>,
    metrics: VecDeque<Metrics>,
    count: u64,
}

#[derive(Serialize)]
struct History<'a> {
    samples: &'a VecDeque<Sample>,
}

impl Board {
    pub(crate) fn new(registry: Registry, prefix: String, hub: Hub) -> Self {
        Self {
            registry,
            prefix,
            hub,
            past: Mutex::default(),
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, and remembers what it saw. The first look has nothing to compare with.
    fn look(&self) -> Option<Encoded> {
        let now = Metrics::of(&self.registry, &self.prefix);
        let mut rooms = self.hub.largest_rooms(SHOWN_ROOMS + 1);
        rooms.retain(|room| &*room.name != ROOM);
        rooms.truncate(SHOWN_ROOMS);
        let mut past = self.past();
        let number = past.count + 1;
        let sample = match (past.metrics.back(), past.metrics.front()) {
            (Some(before), Some(earlier)) => Some(Sample::new(number, &now, before, earlier, rooms)),
            _ => None,
        };
        past.metrics.push_back(now);
        if past.metrics.len() > WINDOW {
            past.metrics.pop_front();
        }
        let sample = sample?;
        let message = told("dashboard.now", &sample);
        past.count = number;
        past.samples.push_back(sample);
        if past.samples.len() > KEPT {
            past.samples.pop_front();
        }
        Some(message)
    }

    /// From here on a session sees what changes; what was before it is sent while nothing can change.
    fn watch(&self, session: &Session) {
        let past = self.past();
        if session.join(ROOM).is_ok() {
            let samples = &past.samples;
            session.send(told("dashboard.history", &History { samples }));
        }
    }
}

pub(crate) fn callbacks(ws: WsServer, board: &Arc<Board>, stop: ShutdownHandle) -> WsServer {
    let board = Arc::clone(board);
    ws.on_typed_message(move |session, message| {
        let (board, stop) = (Arc::clone(&board), stop.clone());
        async move {
            match message.type_.as_str() {
                "dashboard.watch" => board.watch(&session),
                "dashboard.drain" => stop.request_stop(),
                "chat.say" => crate::load::say(&session, &message).await,
                _ => {}
            }
        }
    })
}

/// Tells everybody who watches, for as long as the server runs. Who is slow gets the newest sample, not all of them.
pub(crate) async fn push(board: Arc<Board>, pause: Duration) {
    let mut ticks = tokio::time::interval(pause);
    loop {
        ticks.tick().await;
        let Some(message) = board.look() else { continue };
        if let Err(error) = board
            .hub
            .publish_with(ROOM, message, OutboxPolicy::KeepLatest(0))
            .await
        {
            tracing::warn!(%error, "nobody was told");
        }
    }
}

fn told(kind: &str, payload: &impl Serialize) -> Encoded {
    let message = JsonMessage::new(kind, payload).unwrap_or_else(|error| {
        tracing::error!(%error, kind, "the payload is no JSON object");
        JsonMessage::empty(kind)
    });
    Encoded::json(&message)
}
