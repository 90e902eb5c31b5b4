//! The shape of `/_ops/state.json`. What it means stands in `docs/operating.md`.

use super::numbers::Times;
use crate::progress::Left;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(super) struct State {
    pub(super) phase: String,
    pub(super) uptime_seconds: f64,
    /// Absent before a stop was asked for.
    pub(super) drain: Option<Drain>,
    pub(super) http: Http,
    pub(super) sessions: Sessions,
    pub(super) messages: Messages,
    pub(super) ping: Times,
    /// By receiver: the first, the median and the last one of a publication.
    pub(super) fan_out: BTreeMap<String, Times>,
    pub(super) closes: BTreeMap<String, u64>,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) rooms: Rooms,
    pub(super) backlogs: Vec<Behind>,
}

#[derive(Serialize)]
pub(super) struct Drain {
    pub(super) seconds: f64,
    pub(super) limit_seconds: f64,
    /// What was open when it began.
    pub(super) began_with: Left,
    pub(super) left: Left,
}

#[derive(Serialize)]
pub(super) struct Http {
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) in_flight: u64,
    pub(super) connections: u64,
    pub(super) abandoned: u64,
    pub(super) panics: u64,
    pub(super) times: Times,
    pub(super) routes: Vec<Route>,
}

#[derive(Serialize)]
pub(super) struct Route {
    pub(super) route: String,
    pub(super) times: Times,
}

#[derive(Serialize)]
pub(super) struct Sessions {
    pub(super) open: u64,
    pub(super) opened: u64,
    /// Of those that are open, the ones that outlive their transport.
    pub(super) resumable: u64,
    pub(super) polls_waiting: u64,
    pub(super) streams: u64,
    pub(super) panics: u64,
}

#[derive(Serialize)]
pub(super) struct Messages {
    pub(super) received: u64,
    pub(super) written: u64,
    pub(super) dropped: u64,
    pub(super) undelivered: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_written: u64,
}

#[derive(Serialize)]
pub(super) struct Rooms {
    pub(super) open: u64,
    /// Absent while nobody has time to count them.
    pub(super) largest: Option<Vec<Room>>,
}

#[derive(Serialize)]
pub(super) struct Room {
    pub(super) name: String,
    pub(super) members: usize,
}

/// A session for which messages wait.
#[derive(Serialize)]
pub(super) struct Behind {
    pub(super) session: u64,
    pub(super) transport: String,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) oldest_seconds: f64,
}
