//! What a room of a hundred thousand members costs others: sessions beside a broadcast, and who comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use core_executor::{RuntimeExecutor, Spawner};
use rustix::time::{ClockId, clock_gettime};
use ws_server::{
    Attachment, CloseInfo, ClosedBy, Encoded, Hub, Peer, Ready, TransportKind, WsConfig, WsServer, close_code,
};

use crate::measuring::{Neighbours, p99};
use crate::{alone, best_of_three};

/// More than this kind of machine has descriptors for, so their transports are simulated.
const MEMBERS: u64 = 100_000;
const CROWDED: &str = "everybody";
const BROADCASTS: u64 = 3;
/// Rooms that a session enters while it is measured what that costs.
const ROOMS: usize = 10;

/// The p99 of other sessions stays below twice its baseline.
///
/// An echo that comes beside a broadcast waits for the worker's next look at its sockets, for one turn at most: who was read
/// then is served before the broadcast goes on. Turns are measured in processor time of the worker, which nothing else on
/// this machine makes longer, and the baseline is the lowest of several. Everything is on one worker: what a broadcast delays
/// cannot go elsewhere.
#[test]
fn a_broadcast_to_a_hundred_thousand_members_is_not_felt() {
    let _alone = alone();
    let executor = RuntimeExecutor::with_threads(1).expect("a thread");
    let config = WsConfig {
        port: 0,
        ..WsConfig::default()
    };
    let server = WsServer::new(config).on_message(|session, text| async move {
        session.send_text(text);
    });
    let running = server.start(&executor.spawner()).expect("any free port");
    let ws = running.local_addr().expect("a listener of its own");
    let (hub, spawner) = (running.hub(), executor.spawner());
    let alone = call(&spawner, cost_of_a_visit(hub.clone()));
    let room = Room::fill(&hub, &spawner);
    best_of_three(|| {
        let mut neighbours = Neighbours::sessions(ws, "/", false, "");
        let baseline = (0..5).map(|_| neighbours.p99()).min().expect("five");
        let turn = p99(room.turns_while_broadcasting());
        let measured = format!("p99 of an echo {baseline:?}, of a turn beside broadcasts {turn:?}");
        eprintln!("{measured}");
        if turn < baseline { Ok(()) } else { Err(measured) }
    });
    best_of_three(|| {
        let crowded = call(&spawner, cost_of_a_visit(hub.clone()));
        let measured = format!("a visit costs {alone:?} in empty rooms, {crowded:?} in full ones");
        eprintln!("{measured}");
        if crowded < alone * 3 {
            Ok(())
        } else {
            Err(measured)
        }
    });
}

/// The crowded room, on the one worker of its server.
struct Room {
    hub: Hub,
    spawner: Spawner,
    /// Messages that members took.
    taken: Arc<AtomicU64>,
}

impl Room {
    fn fill(hub: &Hub, spawner: &Spawner) -> Self {
        let room = Self {
            hub: hub.clone(),
            spawner: spawner.clone(),
            taken: Arc::default(),
        };
        let (hub, within, taken) = (hub.clone(), spawner.clone(), room.taken.clone());
        call(spawner, async move {
            for _ in 0..MEMBERS {
                let member = open(&hub).await;
                member.session().join(CROWDED).expect("one room");
                within
                    .spawn_service(carry(member, taken.clone()))
                    .expect("it runs");
            }
        });
        room
    }

    /// How long the worker's turns are until everybody has everything: from one look at its sockets to the next.
    fn turns_while_broadcasting(&self) -> Vec<Duration> {
        let all = self.taken.load(Ordering::Relaxed) + BROADCASTS * MEMBERS;
        let hub = self.hub.clone();
        let publishing = async move {
            for _ in 0..BROADCASTS {
                let published = hub.publish(CROWDED, Encoded::text("hello")).await;
                assert_eq!(published.expect("a lawful name").delivered, MEMBERS);
            }
        };
        self.spawner.post(publishing).expect("it runs");
        let taken = self.taken.clone();
        call(&self.spawner, async move {
            let mut turns = Vec::new();
            while taken.load(Ordering::Relaxed) < all {
                let began = processor_time();
                tokio::task::yield_now().await;
                turns.push(processor_time() - began);
            }
            turns
        })
    }
}

async fn open(hub: &Hub) -> Attachment {
    let peer = Peer::new(None, "/", &http::HeaderMap::new());
    let opened = hub.open_session(peer, TransportKind::Sse).await;
    opened.expect("sessions are not limited")
}

/// A transport that takes what there is.
async fn carry(mut member: Attachment, taken: Arc<AtomicU64>) {
    while member.ready().await == Ready::Messages {
        let batch = member.take_batch(64, 1 << 20);
        member.written(&batch);
        taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
}

/// What it costs to open a session, to enter rooms and leave some of them, and to close. The median of many.
async fn cost_of_a_visit(hub: Hub) -> Duration {
    let mut costs = Vec::new();
    for _ in 0..201 {
        let began = processor_time();
        let visitor = open(&hub).await;
        for room in 1..ROOMS {
            visitor.session().join(&room.to_string()).expect("few rooms");
        }
        visitor.session().join(CROWDED).expect("one more");
        for room in 1..ROOMS / 2 {
            assert!(visitor.session().leave(&room.to_string()));
        }
        let info = CloseInfo::new(close_code::NORMAL, "", ClosedBy::Server);
        visitor.finish(info).await;
        costs.push(processor_time() - began);
    }
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Processor time of this thread.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Runs something on the worker and waits for it.
fn call<T: Send + 'static>(spawner: &Spawner, future: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = channel();
    let calling = async move {
        let _ = tell.send(future.await);
    };
    spawner.post(calling).expect("the executor runs");
    told.recv_timeout(Duration::from_secs(60))
        .expect("done within a minute")
}
