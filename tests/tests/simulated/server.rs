//! The whole application on a simulated machine, what it writes down, and its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use attached_runtime::{
    App, AppConfig, AttachedRuntime, CloseInfo, ExecutorConfig, Hub, RuntimeExecutor, Session,
    ShutdownReport, WsConfig, WsServer,
};
use axum::routing::get;

use crate::network::{HTTP, Port, WEBSOCKET, now, until};
use crate::plan::Plan;

/// Everybody who wants broadcasts.
const NEWS: &str = "news";

/// When the first message goes to all.
const FIRST_NEWS: Duration = Duration::from_millis(500);

/// What the application saw of one client.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) opens: usize,
    /// `on_open` after `on_close`.
    pub(crate) opened_late: bool,
    pub(crate) closes: Vec<(Duration, CloseInfo)>,
    /// The stop had been asked for when it closed.
    pub(crate) ended_by_stop: bool,
    /// The numbers of its messages.
    pub(crate) words: Vec<u64>,
}

/// What the application saw, by the names of its clients.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<String, Seen>>>);

impl Ledger {
    pub(crate) fn read(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.0.lock().expect("nobody panics with it")
    }

    fn of(&self, session: &Session, write: impl FnOnce(&mut Seen)) {
        write(self.read().entry(name(session)).or_default());
    }
}

fn name(session: &Session) -> String {
    session.query().expect("each client has a name").to_owned()
}

/// How the application ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) report: ShutdownReport,
    pub(crate) took: Duration,
    pub(crate) open_before: u64,
    pub(crate) sessions_left: usize,
    /// How many broadcasts there were.
    pub(crate) news: u64,
}

/// The application from its start to its end.
pub(crate) async fn live(plan: Plan, ledger: Ledger) -> turmoil::Result<End> {
    let executor = RuntimeExecutor::on_current_with(ExecutorConfig {
        shutdown_deadline: plan.deadline,
        ready_delay: plan.ready_delay,
        ..ExecutorConfig::default()
    })?;
    let ws = ws(&plan, &ledger).accept_from(Port::bind(WEBSOCKET).await?);
    let hub = ws.hub();
    let app = app().accept_from(Port::bind(HTTP).await?);
    let runtime = AttachedRuntime::start(app, ws, executor)?;

    let news = broadcast(&plan, &hub).await;
    let open_before = hub.sessions() as u64;
    let began = now();
    let report = runtime.finalize_shutdown().await?;
    Ok(End {
        report,
        took: now() - began,
        open_before,
        sessions_left: hub.sessions(),
        news,
    })
}

/// Broadcasts up to the stop; gives how many messages there were.
async fn broadcast(plan: &Plan, hub: &Hub) -> u64 {
    let mut number = 0;
    let publish = async |number: u64| {
        hub.broadcast_text_to_room(NEWS, number.to_string())
            .await
            .expect("the name of a room");
    };
    until(FIRST_NEWS).await;
    while now() < plan.stop_at {
        publish(number).await;
        number += 1;
        tokio::time::sleep(plan.news_every).await;
    }
    for _ in 0..plan.last_news {
        publish(number).await;
        number += 1;
    }
    number
}

fn app() -> App {
    let config = AppConfig {
        request_timeout: Duration::ZERO,
        ..AppConfig::default()
    };
    App::new(config)
        .route("/", get(|| async { "up" }))
        .route("/stuck", get(std::future::pending::<&'static str>))
}

fn ws(plan: &Plan, ledger: &Ledger) -> WsServer {
    let config = WsConfig {
        ping_interval: plan.ping_interval,
        pong_timeout: plan.pong_timeout,
        write_stall_timeout: plan.write_stall,
        close_timeout: plan.close_timeout,
        ..WsConfig::default()
    };
    let (opened, heard, closed) = (ledger.clone(), ledger.clone(), ledger.clone());
    WsServer::new(config)
        .on_open(move |session| {
            opened.of(&session, |seen| {
                seen.opened_late |= !seen.closes.is_empty();
                seen.opens += 1;
            });
            if !name(&session).contains("quiet") {
                session.join(NEWS).expect("a session may be in one room");
            }
            async {}
        })
        .on_message(move |session, text| {
            let number = text.parse().ok();
            if let Some(number) = number {
                heard.of(&session, |seen| seen.words.push(number));
                session.send_text(format!("echo {number}"));
            }
            async move {
                if number.is_none() {
                    std::future::pending().await
                }
            }
        })
        .on_close(move |session, info| {
            closed.of(&session, |seen| {
                seen.closes.push((now(), info));
                seen.ended_by_stop = session.hub().is_stopping();
            });
            async {}
        })
}
