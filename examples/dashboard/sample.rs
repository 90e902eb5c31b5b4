//! What the charts show of one moment.

use crate::metrics::Metrics;
use serde::Serialize;
use ws_server::RoomSize;

const PHASES: [&str; 4] = ["serving", "draining", "closing", "stopped"];

#[derive(Clone, Serialize)]
pub(crate) struct Sample {
    /// Counts from 1. A page knows by it what it has already.
    number: u64,
    phase: &'static str,
    /// A second, as are the two of messages.
    requests: f64,
    received: f64,
    written: f64,
    /// Milliseconds.
    median: Option<f64>,
    p99: Option<f64>,
    open: Open,
    rooms: Vec<(String, usize)>,
}

/// What an end has to wait for.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Open {
    requests: f64,
    polls: f64,
    sessions: f64,
}

impl Sample {
    /// Rates are since `before`, times since `earlier`, which should be some seconds ago.
    pub(crate) fn new(
        number: u64,
        now: &Metrics,
        before: &Metrics,
        earlier: &Metrics,
        rooms: Vec<RoomSize>,
    ) -> Self {
        let phase = now.total("runtime_phase") as usize;
        let quantile = |share| now.quantile(earlier, "http_request_duration_seconds", share);
        let rooms = rooms
            .into_iter()
            .map(|room| (room.name.to_string(), room.members));
        Self {
            number,
            phase: PHASES.get(phase).copied().unwrap_or("stopped"),
            requests: now.rate(before, "http_requests_total"),
            received: now.rate(before, "ws_messages_in_total"),
            written: now.rate(before, "ws_messages_out_total"),
            median: quantile(0.5),
            p99: quantile(0.99),
            open: Open::of(now),
            rooms: rooms.collect(),
        }
    }
}

impl Open {
    fn of(now: &Metrics) -> Self {
        let polls = now.total("ws_lp_polls_waiting");
        Self {
            requests: now.total("http_requests_in_flight") - polls,
            polls: polls + now.total("ws_lp_streams_active"),
            sessions: now.total("ws_connections_active"),
        }
    }
}
