//! One seed from its begin to its end: the machines, the weather between them, and everything that was seen.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use turmoil::Builder;

use crate::client::{Manner, Saw, ask, live};
use crate::network::{now, until};
use crate::plan::{Plan, TICK};
use crate::server::{self, End, Ledger, Seen};

/// The machines of clients, and how many there are on each: `(news and echoes, echoes alone)`.
const MACHINES: [(&str, usize, usize); 5] = [
    ("steady", 3, 1),
    ("held", 1, 1),
    ("lost", 1, 1),
    ("late", 1, 1),
    ("deaf", 1, 0),
];

/// Segments that may be on their way in one direction of a connection.
const WINDOW: usize = 32;

/// Everything that was seen.
pub(crate) struct Story {
    pub(crate) plan: Plan,
    pub(crate) end: End,
    /// What the application saw of its clients, by name.
    pub(crate) seen: Vec<(String, Seen)>,
    /// What those clients saw whose network came back.
    pub(crate) saw: Vec<Saw>,
    /// The answers to requests: when they were sent, and their status.
    pub(crate) answers: Vec<(Duration, Option<u16>)>,
}

type Shared<T> = Rc<RefCell<Vec<T>>>;

impl Story {
    pub(crate) fn of(plan: Plan) -> turmoil::Result<Self> {
        let (ledger, ends) = (Ledger::default(), Shared::default());
        let (saw, answers) = (Shared::default(), Shared::default());
        let mut network = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .min_message_latency(plan.latency.0)
            .max_message_latency(plan.latency.1)
            .tcp_capacity(WINDOW)
            .simulation_duration(plan.over() + TICK)
            .build();
        let (told, end, written) = (plan.clone(), Rc::clone(&ends), ledger.clone());
        network.client("server", async move {
            let ended = server::live(told, written).await?;
            end.borrow_mut().push(ended);
            Ok(())
        });
        for (machine, news, quiet) in MACHINES {
            let manners = manners(&plan, machine, news, quiet);
            network.client(machine, crowd(plan.clone(), manners, Rc::clone(&saw)));
        }
        network.client("browser", ask_on(plan.clone(), Rc::clone(&answers)));
        network.client("weather", weather(plan.clone()));
        network.run()?;
        drop(network);

        let end = ends.borrow_mut().pop().expect("the application has ended");
        let seen = std::mem::take(&mut *ledger.read()).into_iter().collect();
        Ok(Self {
            plan,
            end,
            seen,
            saw: saw.take(),
            answers: answers.take(),
        })
    }
}

impl Plan {
    /// When nobody waits for anything any more.
    fn over(&self) -> Duration {
        self.stop_at + self.deadline + Duration::from_millis(200)
    }
}

/// What the clients of one machine do.
fn manners(plan: &Plan, machine: &str, news: usize, quiet: usize) -> Vec<(String, Manner)> {
    let manner = |number: usize| Manner {
        connects_at: Duration::from_millis(20) * u32::try_from(number).expect("they are few"),
        says_every: plan.words_every,
        sticks_at: None,
        deaf_at: (machine == "deaf").then_some(plan.deaf_at),
    };
    let mut clients: Vec<_> = (0..news)
        .map(|number| (format!("{machine}-{number}"), manner(number)))
        .chain((0..quiet).map(|number| (format!("{machine}-quiet-{number}"), manner(news + number))))
        .collect();
    if machine == "steady" && plan.has_stuck_session {
        let sticks = Manner {
            sticks_at: Some(plan.deaf_at),
            ..manner(clients.len())
        };
        clients.push((format!("{machine}-sticking"), sticks));
    }
    clients
}

/// The clients of one machine. One that waits for a network that is gone is let go in the end.
async fn crowd(plan: Plan, clients: Vec<(String, Manner)>, saw: Shared<Saw>) -> turmoil::Result {
    let mut running = JoinSet::new();
    for (name, manner) in clients {
        running.spawn_local(async move { live(name, manner).await.map_err(|error| error.to_string()) });
    }
    let all = async {
        while let Some(ended) = running.join_next().await {
            saw.borrow_mut().push(ended??);
        }
        turmoil::Result::Ok(())
    };
    let left = plan.over() - TICK - now();
    tokio::time::timeout(left, all).await.unwrap_or(Ok(()))
}

/// Requests one after the other, up to the end, and one that is never answered.
async fn ask_on(plan: Plan, answers: Shared<(Duration, Option<u16>)>) -> turmoil::Result {
    let mut stuck = JoinSet::new();
    if plan.has_stuck_request {
        let at = plan.lost_at;
        stuck.spawn_local(async move {
            until(at).await;
            ask("/stuck").await
        });
    }
    let mut status = Some(0);
    while status.is_some() {
        let sent = now();
        status = ask("/").await;
        answers.borrow_mut().push((sent, status));
        tokio::time::sleep(plan.words_every).await;
    }
    while let Some(answered) = stuck.join_next().await {
        assert_ne!(answered?, Some(200), "its handler never ends");
    }
    Ok(())
}

/// What becomes of the network.
async fn weather(plan: Plan) -> turmoil::Result {
    let (from, lasts) = plan.hold;
    let held = async {
        until(from).await;
        turmoil::hold("server", "held");
        tokio::time::sleep(lasts).await;
        turmoil::release("server", "held");
    };
    let gone = async |at, machine: &str| {
        until(at).await;
        turmoil::partition("server", machine);
    };
    tokio::join!(held, gone(plan.lost_at, "lost"), gone(plan.late_at, "late"));
    Ok(())
}
