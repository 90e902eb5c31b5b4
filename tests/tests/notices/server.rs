//! Both servers of a batch, and a listener that keeps what it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attached_runtime::{
    App, AppConfig, BudgetConfig, Cause, ExecutorConfig, Notice, RunningApp, RunningWsServer,
    RuntimeExecutor, WsConfig, WsServer,
};
use axum::routing::{get, post};
use workspace_tests::PATIENCE;
use ws_server::StopPlan;

use crate::script::Stop;
use crate::wire;

/// What the handler that panics says.
pub(crate) const PURPOSE: &str = "on purpose";
/// What a short end grants.
const DEADLINE: Duration = Duration::from_millis(30);

/// What the listener of a batch has heard, in order.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    fn listener(&self) -> impl Fn(&Notice) + Send + Sync + 'static + use<> {
        let heard = self.0.clone();
        move |notice| heard.lock().expect("no panic").push(notice.clone())
    }

    fn counts(&self) -> (usize, usize) {
        let heard = self.0.lock().expect("no panic");
        let is_accepted = |notice: &&Notice| matches!(notice.cause, Cause::Accepted(_));
        let accepted = heard.iter().filter(is_accepted).count();
        (accepted, heard.len() - accepted)
    }

    async fn until(&self, what: &str, holds: impl Fn((usize, usize)) -> bool) {
        let begin = Instant::now();
        while !holds(self.counts()) {
            assert!(
                begin.elapsed() < PATIENCE,
                "still not {what}: {:?}",
                self.counts()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn until_accepted(&self, connections: usize) {
        self.until("all accepted", |(accepted, _)| accepted >= connections)
            .await;
    }

    /// Everything, once each connection had its last word.
    pub(crate) async fn complete(&self) -> Vec<Notice> {
        self.until("the last words", |(accepted, over)| accepted == over)
            .await;
        self.0.lock().expect("no panic").clone()
    }
}

/// The servers of a batch.
pub(crate) struct Server {
    pub(crate) heard: Heard,
    executor: Option<RuntimeExecutor>,
    app: Option<RunningApp>,
    ws: Option<RunningWsServer>,
    addresses: [SocketAddr; 2],
}

impl Server {
    pub(crate) fn start(limit: Option<usize>, is_tls: bool) -> Self {
        let connections = BudgetConfig {
            max_connections: Some(limit.unwrap_or(0)),
            ..BudgetConfig::default()
        };
        let executor = RuntimeExecutor::new(ExecutorConfig {
            threads: 2,
            connections,
            ..ExecutorConfig::default()
        });
        let executor = executor.expect("an executor");
        let heard = Heard::default();
        let config = WsConfig {
            port: 0,
            close_timeout: Duration::from_millis(10),
            tls: is_tls.then(wire::identity),
            ..WsConfig::default()
        };
        let ws = WsServer::new(config)
            .on_message(|session, text| async move {
                session.send_text(text);
            })
            .connection_state_listener(heard.listener());
        let app = app(&ws, &heard, is_tls)
            .listen(&executor.spawner())
            .expect("a free port");
        let ws = ws.start(&executor.spawner()).expect("a free port");
        let addresses = [app.local_addr(), ws.local_addr().expect("it has a listener")];
        Self {
            heard,
            executor: Some(executor),
            app: Some(app),
            ws: Some(ws),
            addresses,
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn ws(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// Ends both servers, and the executor last.
    pub(crate) async fn end(&mut self, stop: Stop) {
        let (app, ws) = (
            self.app.take().expect("ends once"),
            self.ws.take().expect("ends once"),
        );
        match stop {
            Stop::Last | Stop::Drain { .. } => {
                let deadline = tokio::time::Instant::now() + DEADLINE;
                tokio::join!(app.drained(deadline), ws.stop(StopPlan::within(DEADLINE)));
            }
            Stop::Drop { .. } => {}
            Stop::Executor { .. } => drop(self.executor.take()),
        }
    }
}

fn app(ws: &WsServer, heard: &Heard, is_tls: bool) -> App {
    let config = AppConfig {
        port: 0,
        request_timeout: Duration::ZERO,
        tls: is_tls.then(wire::identity),
        ..AppConfig::default()
    };
    let ws = axum::Router::new().route_service("/ws", ws.service());
    App::new(config)
        .connection_state_listener(heard.listener())
        .route("/", get(|| async { "hello" }))
        .route("/post", post(|body: String| async { body }))
        .route("/slow", get(slow))
        .route("/never", get(std::future::pending::<()>))
        .route("/panic", get(panics))
        .merge(ws)
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(3)).await;
    "slow"
}

async fn panics() {
    panic!("{PURPOSE}")
}
