//! 100 000 messages each way over a network that spoils one request in five, in simulated time and without sockets: the
//! bridge's own router is asked, by a client that sends and polls at once. `LOSSLESS_SEEDS` says how many seeds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use core_executor::RuntimeExecutor;
use http::Request;
use longpoll_bridge::{LongPollBridge, LongPollConfig};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;
use ws_server::{SendOutcome, Session, WsConfig, WsServer};

use crate::support::config;

const MESSAGES: u64 = 100_000;
/// Messages of one send.
const BATCH: u64 = 100;
/// A request that has no answer by then is given up.
const GIVE_UP: Duration = Duration::from_secs(40);
/// In simulated time; only a defect needs it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The network between client and server, with a fate for each request.
#[derive(Clone)]
struct Network {
    router: Router,
    seed: u64,
    count: Arc<AtomicU64>,
    spoiled: Arc<AtomicU64>,
    session: Arc<str>,
}

#[derive(Clone)]
struct Question {
    method: &'static str,
    target: String,
    body: String,
}

impl Network {
    /// The next of this seed's numbers (splitmix64).
    fn random(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut z = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    async fn pass(&self, at_most: u64) {
        sleep(Duration::from_millis(self.random() % at_most)).await;
    }

    /// Status and body; nothing when the question or the answer is lost.
    async fn ask(&self, question: Question) -> Option<(u16, Value)> {
        let random = self.random();
        let fate = if random.is_multiple_of(5) {
            self.spoiled.fetch_add(1, Ordering::Relaxed);
            random / 5 % 5
        } else {
            5
        };
        self.pass(40).await;
        match fate {
            0 => return None,
            1 => self.pass(3_000).await,
            2 | 3 => {
                // It arrives a second time, early or late, and its answer nowhere.
                let (network, again) = (self.clone(), question.clone());
                tokio::spawn(async move {
                    network.pass(3_000).await;
                    let _ = timeout(GIVE_UP, network.serve(again)).await;
                });
            }
            _ => {}
        }
        let answer = timeout(GIVE_UP, self.serve(question)).await.ok()?;
        self.pass(40).await;
        (fate != 4 && fate != 3).then_some(answer)
    }

    async fn serve(&self, question: Question) -> (u16, Value) {
        let request = Request::builder()
            .method(question.method)
            .uri(question.target)
            .header("longpoll-session", &*self.session)
            .body(Body::from(question.body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

/// Says 1 to n, waiting whenever a hundred are on their way.
async fn speak(session: Session) {
    for number in 1..=MESSAGES {
        if number % 100 == 0 {
            assert!(session.drained().await);
        }
        assert_eq!(session.send_text(number.to_string()), SendOutcome::Queued);
    }
}

/// Polls until everything is there, each number once and in order.
async fn listen(network: Network) {
    let mut cursor = 0;
    while cursor < MESSAGES {
        let target = format!("/ws/session/poll?max=256&cursor={cursor}");
        let question = Question {
            method: "GET",
            target,
            body: String::new(),
        };
        let Some((status, answer)) = network.ask(question).await else {
            continue;
        };
        if status == 409 {
            // A late copy of an older question took the place of this one.
            continue;
        }
        assert_eq!(
            (status, answer.get("gap"), answer.get("close")),
            (200, None, None),
            "{answer}"
        );
        for message in answer["messages"].as_array().unwrap() {
            cursor += 1;
            assert_eq!(message["seq"], cursor);
            assert_eq!(message["text"], cursor.to_string());
        }
        assert_eq!(answer["cursor"], cursor);
    }
    // The last ones are known to the server only when they are acknowledged.
    let body = json!({ "cursor": cursor }).to_string();
    insist(&network, body).await;
}

async fn insist(network: &Network, body: String) -> u64 {
    loop {
        let question = Question {
            method: "POST",
            target: "/ws/session/send".to_owned(),
            body: body.clone(),
        };
        match network.ask(question).await {
            Some((200, answer)) => return answer["received"].as_u64().unwrap(),
            // An earlier copy of it is still at work.
            Some((409, _)) | None => {}
            Some((status, answer)) => panic!("{status} {answer}"),
        }
    }
}

/// Sends 1 to n, each batch until it is received.
async fn send(network: Network) {
    for first in (1..=MESSAGES).step_by(BATCH as usize) {
        let message = |number| json!({ "seq": number, "text": u64::to_string(&number) });
        let messages: Vec<_> = (first..first + BATCH).map(message).collect();
        let received = insist(&network, json!({ "messages": messages }).to_string()).await;
        assert_eq!(received, first + BATCH - 1);
    }
}

async fn simulate(seed: u64) {
    let executor = RuntimeExecutor::on_current().unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let (opened, opens) = (Arc::new(Mutex::new(Vec::new())), heard.clone());
    let sessions = Arc::clone(&opened);
    let bridge = LongPollBridge::new(LongPollConfig {
        session_ttl: Duration::from_secs(3600),
        ..config()
    });
    let server = WsServer::new(WsConfig::default())
        .on_open(move |session| {
            sessions.lock().unwrap().push(session);
            async {}
        })
        .on_message(move |_, text| {
            let before = opens.fetch_add(1, Ordering::SeqCst);
            assert_eq!(text.parse(), Ok(before + 1), "in order and once");
            async {}
        });
    let running = bridge
        .attach(server)
        .start_without_listener(&executor.spawner())
        .unwrap();
    bridge.start(&executor.spawner()).unwrap();
    let mut network = Network {
        router: bridge.router(),
        seed,
        count: Arc::default(),
        spoiled: Arc::default(),
        session: "none".into(),
    };
    let opening = Question {
        method: "POST",
        target: "/ws/session".to_owned(),
        body: String::new(),
    };
    let (status, hello) = network.serve(opening).await;
    assert_eq!(status, 201);
    network.session = hello["session"].as_str().unwrap().into();
    let session = opened.lock().unwrap()[0].clone();
    let began = Instant::now();
    let all = async {
        tokio::join!(
            speak(session.clone()),
            listen(network.clone()),
            send(network.clone())
        );
        assert!(session.drained().await);
    };
    timeout(LONGEST, all).await.expect("everything arrives");
    assert_eq!(heard.load(Ordering::SeqCst), MESSAGES);
    assert_eq!(opened.lock().unwrap().len(), 1, "one on_open");
    assert_eq!(running.hub().metrics().messages_sent(), MESSAGES);
    let (requests, spoiled) = (
        network.count.load(Ordering::Relaxed),
        network.spoiled.load(Ordering::Relaxed),
    );
    assert!(spoiled > 200, "{spoiled}");
    eprintln!(
        "seed {seed}: {spoiled} requests spoiled ({requests} draws), {:?} simulated",
        began.elapsed()
    );
}

#[test]
fn a_hundred_thousand_messages_each_way_in_simulated_time() {
    let seeds: u64 = std::env::var("LOSSLESS_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(simulate(seed));
    }
}
