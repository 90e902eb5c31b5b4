//! What is still open while an application ends, told once a second.

use core_executor::Supervisor;
use longpoll_bridge::LongPollBridge;
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, interval_at};
use ws_server::Hub;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at what is still open, and tells the log and the supervisor.
pub(crate) struct Progress {
    hub: Hub,
    bridge: Option<LongPollBridge>,
    supervisor: Supervisor,
}

/// What is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    /// Requests without their whole answer, but for the next two.
    requests: u64,
    /// Polls that wait and SSE streams.
    polls: u64,
    sessions: u64,
}

impl Progress {
    pub(crate) fn new(hub: Hub, bridge: Option<LongPollBridge>, supervisor: Supervisor) -> Self {
        Self {
            hub,
            bridge,
            supervisor,
        }
    }

    /// Tells each second, for as long as it is asked; nothing of an end that is quicker.
    pub(crate) async fn tell(&self, requests_in_flight: impl Fn() -> u64) -> Infallible {
        let mut seconds = interval_at(Instant::now() + PAUSE, PAUSE);
        loop {
            seconds.tick().await;
            let left = self.left(requests_in_flight());
            let Left {
                requests,
                polls,
                sessions,
            } = left;
            tracing::info!(requests, polls, sessions, "still open");
            self.supervisor.status(&left.to_string());
        }
    }

    pub(crate) fn left(&self, requests_in_flight: u64) -> Left {
        let polls = self.bridge.as_ref().map_or(0, polls_of);
        Left::new(
            requests_in_flight.saturating_sub(polls),
            &self.hub,
            self.bridge.as_ref(),
        )
    }
}

impl Left {
    pub(crate) fn new(requests: u64, hub: &Hub, bridge: Option<&LongPollBridge>) -> Self {
        Self {
            requests,
            polls: bridge.map_or(0, polls_of),
            sessions: hub.sessions() as u64,
        }
    }
}

fn polls_of(bridge: &LongPollBridge) -> u64 {
    (bridge.waiting() + bridge.streams()) as u64
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            polls,
            sessions,
        } = self;
        write!(
            out,
            "ending: {requests} requests, {polls} polls and streams, {sessions} sessions are open"
        )
    }
}
