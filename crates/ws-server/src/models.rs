//! Sessions, rooms and their tables in many thousand orders of their steps, chosen at random by shuttle
//! (`.ci/models shuttle`): always the same ones, and others with `MODELS_SEED`, more with `MODELS_SCHEDULES`.

mod registry;
mod rooms;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use core_executor::{RuntimeExecutor, Spawner};
use http::HeaderMap;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

use crate::attachment::{Attachment, Ready};
use crate::config::WsConfig;
use crate::handlers::{Handlers, callback};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::session::{SessionId, TransportKind};

/// Orders that each test tries.
const SCHEDULES: usize = 20_000;

/// Turns that `on_open` waits, and by which a stop comes late, at most.
const LONGEST_WAIT: u32 = 60;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Runs `body` in many orders of its steps.
fn in_many_orders(body: impl Fn() + Send + Sync + 'static) {
    let schedules = setting("MODELS_SCHEDULES").map_or(SCHEDULES, |number| number as usize);
    let scheduler = RandomScheduler::new_from_seed(setting("MODELS_SEED").unwrap_or(1), schedules);
    // Timers need a runtime to be made; as nobody drives it, none rings.
    let time = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _timers = time.enter();
    let runs = Runner::new(scheduler, Config::default()).run(body);
    assert_eq!(runs, schedules);
}

/// What starts tasks. Nothing is started here, but a hub that runs has one.
fn spawner() -> Spawner {
    static EXECUTOR: OnceLock<RuntimeExecutor> = OnceLock::new();
    let executor = EXECUTOR.get_or_init(|| RuntimeExecutor::with_threads(1).unwrap());
    executor.spawner()
}

/// How often `on_open` and `on_close` ran, by session.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<HashMap<SessionId, (u32, u32)>>>);

impl Calls {
    fn opened(&self, id: SessionId) {
        self.0.lock().unwrap().entry(id).or_default().0 += 1;
    }

    fn closed(&self, id: SessionId) {
        let mut calls = self.0.lock().unwrap();
        let (opens, closes) = calls.entry(id).or_default();
        assert_eq!(*opens, 1, "on_close while on_open runs");
        *closes += 1;
    }

    fn sessions(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Exactly one of each for every session that there was.
    fn must_be_paired(&self) {
        let calls = self.0.lock().unwrap();
        let odd: Vec<_> = calls.iter().filter(|(_, calls)| **calls != (1, 1)).collect();
        assert!(odd.is_empty(), "(on_open, on_close) by session: {odd:?}");
    }
}

/// A hub that runs, and what its callbacks were called for.
fn hub() -> (Hub, Calls) {
    let calls = Calls::default();
    let (opened, closed) = (calls.clone(), calls.clone());
    let handlers = Handlers {
        open: Some(callback(move |session, ()| {
            let opened = opened.clone();
            async move {
                // As long as a stop takes at times, or it would never come meanwhile.
                for _ in 0..thread_rng().gen_range(0..LONGEST_WAIT) {
                    shuttle::future::yield_now().await;
                }
                opened.opened(session.id());
            }
        })),
        close: Some(callback(move |session, _| {
            closed.closed(session.id());
            async {}
        })),
        ..Handlers::default()
    };
    let hub = Hub::new(WsConfig::default());
    hub.run(handlers, spawner());
    (hub, calls)
}

/// A session, unless the hub refuses it.
async fn open(hub: &Hub) -> Option<Attachment> {
    let peer = Peer::new(None, "/", &HeaderMap::new());
    hub.open_session(peer, TransportKind::WebSocket).await.ok()
}

/// Carries a session to its end as a transport does; gives how many messages reached its peer.
async fn carry(mut attachment: Attachment) -> usize {
    let mut messages = 0;
    loop {
        match attachment.ready().await {
            Ready::Messages => {
                let batch = attachment.take_batch(8, 1024);
                messages += batch.len();
                attachment.written(&batch);
            }
            Ready::Close(info) => {
                attachment.finish(info).await;
                return messages;
            }
            Ready::Ended => return messages,
        }
    }
}
