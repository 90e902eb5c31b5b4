//! Where the operator's page has its numbers from, and what its button does.

use super::numbers::Numbers;
use super::state::{Behind, Drain, Http, Messages, Room, Rooms, Route, Sessions, State};
use crate::phase::Life;
use crate::progress::Left;
use core_executor::{Spawner, TaskOptions};
use longpoll_bridge::LongPollBridge;
use prometheus::Registry;
use std::time::{Duration, Instant};
use ws_server::{Backlog, Hub, RoomSize};

/// Rooms, and sessions that are behind, that are shown.
const SHOWN: usize = 10;
/// How long the rooms may take to be counted.
const PATIENCE: Duration = Duration::from_millis(500);

/// Everything the page is made from.
pub(crate) struct Source {
    pub(crate) started: Instant,
    pub(crate) life: Life,
    /// Of every part, and of nobody else.
    pub(crate) registry: Registry,
    pub(crate) hub: Hub,
    pub(crate) bridge: Option<LongPollBridge>,
    pub(crate) spawner: Spawner,
}

impl Source {
    /// What is at this moment.
    pub(super) async fn state(&self) -> State {
        let (backlogs, largest) = (self.hub.backlogs(SHOWN).await, self.largest_rooms().await);
        let numbers = Numbers::of(&self.registry);
        State {
            phase: self.life.phase().to_string(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            drain: self.drain(&numbers),
            sessions: self.sessions(&numbers),
            messages: messages(&numbers),
            ping: numbers.times("ws_ping_rtt_seconds"),
            fan_out: numbers.times_by_label("ws_fan_out_seconds").into_iter().collect(),
            closes: numbers.by_label("ws_closes_total"),
            failures: numbers.by_label("ws_failures_total"),
            rooms: Rooms {
                open: numbers.total("ws_rooms_active"),
                largest,
            },
            backlogs: backlogs.into_iter().map(behind).collect(),
            http: http(&numbers),
        }
    }

    /// Asks for the end, behind the answer to whoever pushed the button: an end with nothing to wait for is quick, and
    /// the metrics listener waits for its answers no longer than for a scrape.
    pub(super) fn ask_for_the_end(&self) {
        let handle = self.spawner.shutdown_handle();
        let asking = handle.clone();
        if self
            .spawner
            .spawn_service(async move { asking.request_stop() })
            .is_err()
        {
            handle.request_stop();
        }
    }

    /// On the blocking lane, because there may be very many rooms.
    async fn largest_rooms(&self) -> Option<Vec<Room>> {
        let hub = self.hub.clone();
        let options = TaskOptions::named("largest rooms").timeout(PATIENCE);
        let counted = self
            .spawner
            .spawn_blocking(options, move || hub.largest_rooms(SHOWN));
        let rooms = counted.ok()?.await.ok()?;
        Some(rooms.into_iter().map(room).collect())
    }

    fn drain(&self, numbers: &Numbers) -> Option<Drain> {
        let beginning = self.life.beginning()?;
        let waiting = self.bridge.as_ref().map_or(0, |bridge| bridge.waiting() as u64);
        let requests = numbers.total("http_requests_in_flight").saturating_sub(waiting);
        Some(Drain {
            seconds: beginning.at.elapsed().as_secs_f64(),
            limit_seconds: beginning.limit.as_secs_f64(),
            began_with: beginning.open,
            left: Left::new(requests, &self.hub, self.bridge.as_ref()),
        })
    }

    fn sessions(&self, numbers: &Numbers) -> Sessions {
        Sessions {
            open: self.hub.sessions() as u64,
            opened: numbers.total("ws_connections_total"),
            resumable: numbers.total("ws_resumable_sessions_active"),
            polls_waiting: numbers.total("ws_lp_polls_waiting"),
            streams: numbers.total("ws_lp_streams_active"),
            panics: numbers.total("ws_panics_total"),
        }
    }
}

fn http(numbers: &Numbers) -> Http {
    let routes = numbers.times_by_label("http_route_duration_seconds").into_iter();
    let mut routes: Vec<Route> = routes
        .filter(|(_, times)| times.count() > 0)
        .map(|(route, times)| Route { route, times })
        .collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.times.count()));
    Http {
        requests: numbers.by_label("http_requests_total"),
        in_flight: numbers.total("http_requests_in_flight"),
        connections: numbers.total("http_connections_open"),
        abandoned: numbers.total("http_requests_abandoned_total"),
        panics: numbers.total("http_handler_panics_total"),
        times: numbers.times("http_request_duration_seconds"),
        routes,
    }
}

fn messages(numbers: &Numbers) -> Messages {
    Messages {
        received: numbers.total("ws_messages_in_total"),
        written: numbers.total("ws_messages_out_total"),
        dropped: numbers.total("ws_messages_dropped_total"),
        undelivered: numbers.total("ws_messages_undelivered_total"),
        bytes_received: numbers.total("ws_bytes_in_total"),
        bytes_written: numbers.total("ws_bytes_out_total"),
    }
}

fn room(room: RoomSize) -> Room {
    let RoomSize { name, members, .. } = room;
    Room {
        name: name.to_string(),
        members,
    }
}

fn behind(backlog: Backlog) -> Behind {
    let Backlog {
        session,
        transport,
        messages,
        bytes,
        oldest,
        ..
    } = backlog;
    Behind {
        session: session.get(),
        transport: transport.to_string(),
        messages,
        bytes,
        oldest_seconds: oldest.as_secs_f64(),
    }
}
