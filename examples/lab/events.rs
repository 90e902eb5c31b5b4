//! Counters of what happens, and one line on standard error for each event.

use attached_runtime::{Cause, CloseInfo, ConnectionId, Notice, Session};
use axum::Json;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Default)]
struct Counts {
    opens: AtomicU64,
    closes: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    upgraded: AtomicU64,
    handler_panics: AtomicU64,
    quiet: bool,
}

/// Cloning shares the counters.
#[derive(Clone)]
pub(crate) struct Events {
    counts: Arc<Counts>,
}

impl Events {
    pub(crate) fn from_env() -> Self {
        let quiet = std::env::var_os("LAB_QUIET").is_some_and(|value| value == "1");
        Self {
            counts: Arc::new(Counts {
                quiet,
                ..Counts::default()
            }),
        }
    }

    pub(crate) fn opened(&self, session: &Session) {
        add(&self.counts.opens);
        self.say(&format!("ws_open conn={}", session.id()));
    }

    pub(crate) fn ended(&self, session: &Session, info: &CloseInfo) {
        add(&self.counts.closes);
        self.say(&format!(
            "ws_close conn={} code={} by={}",
            session.id(),
            info.code,
            info.by
        ));
    }

    pub(crate) fn will_panic(&self) {
        add(&self.counts.handler_panics);
    }

    pub(crate) fn heard(&self, notice: &Notice) {
        let (count, word) = match notice.cause {
            Cause::Accepted(_) => (&self.counts.accepted, "accepted"),
            Cause::Closed(_) => (&self.counts.closed, "closed"),
            Cause::UpgradedToWebSocket => (&self.counts.upgraded, "upgraded"),
            _ => return,
        };
        add(count);
        self.say(&format!("listener conn={} {word}", notice.id));
    }

    pub(crate) fn slow_request(&self, connection: ConnectionId) -> SlowRequest {
        SlowRequest {
            events: self.clone(),
            connection,
            completed: false,
        }
    }

    pub(crate) fn to_json(&self) -> Json<Value> {
        let Counts {
            opens,
            closes,
            accepted,
            closed,
            upgraded,
            handler_panics,
            quiet: _,
        } = &*self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Json(json!({
            "opens": read(opens),
            "closes": read(closes),
            "accepted": read(accepted),
            "closed": read(closed),
            "upgraded": read(upgraded),
            "handler_panics": read(handler_panics),
        }))
    }

    fn say(&self, event: &str) {
        if !self.counts.quiet {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let (seconds, micros) = (now.as_secs(), now.subsec_micros());
            // A disk that is full is no reason to fail whoever said it.
            let _ = writeln!(io::stderr(), "EV {seconds}.{micros:06} {event}");
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Tells whether a slow request was answered or its handler dropped.
pub(crate) struct SlowRequest {
    events: Events,
    connection: ConnectionId,
    completed: bool,
}

impl SlowRequest {
    pub(crate) fn completed(mut self) {
        self.completed = true;
    }
}

impl Drop for SlowRequest {
    fn drop(&mut self) {
        let word = if self.completed { "completed" } else { "cancelled" };
        self.events
            .say(&format!("slow_end conn={} {word}", self.connection));
    }
}
