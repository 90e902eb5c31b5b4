//! Handlers that wait, one for each policy, and what they and a test tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use http_app::{App, AppConfig, Disconnected, OnDisconnect};
use tokio::sync::Semaphore;

use super::{Server, config, metric};

const FAR: Duration = Duration::from_secs(60);
pub(crate) const SOON: Duration = Duration::from_millis(40);

/// What handlers and the test tell each other.
#[derive(Clone)]
pub(crate) struct Stage {
    /// One permit lets one handler return.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) told: Arc<AtomicUsize>,
    pub(crate) returned: Arc<AtomicUsize>,
    pub(crate) dropped: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            told: Arc::default(),
            returned: Arc::default(),
            dropped: Arc::default(),
        }
    }

    /// Begun, told, returned, dropped.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [&self.begun, &self.told, &self.returned, &self.dropped].map(|count| count.load(Ordering::SeqCst))
    }
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
}

/// Counts a handler that does not come to its end.
struct Unfinished(Arc<AtomicUsize>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        add(&self.0);
    }
}

/// Waits for a permit and hears meanwhile that its client left.
pub(crate) async fn slow(State(stage): State<Stage>, client: Disconnected) -> &'static str {
    add(&stage.begun);
    let mut unfinished = Unfinished(stage.dropped.clone());
    tokio::select! {
        () = client.gone() => {
            add(&stage.told);
            assert!(client.is_gone());
            stage.permits.acquire().await.unwrap().forget();
        }
        permit = stage.permits.acquire() => permit.unwrap().forget(),
    }
    add(&stage.returned);
    unfinished.0 = Arc::default();
    "slow"
}

async fn panics(State(stage): State<Stage>, _: Disconnected) -> &'static str {
    add(&stage.begun);
    stage.permits.acquire().await.unwrap().forget();
    panic!("on purpose")
}

/// Reads its body to the end, and goes on for ever when there is none.
async fn upload(State(stage): State<Stage>, body: axum::body::Body) -> &'static str {
    add(&stage.begun);
    let _unfinished = Unfinished(stage.dropped.clone());
    if axum::body::to_bytes(body, usize::MAX).await.is_err() {
        std::future::pending::<()>().await;
    }
    "all of it"
}

pub(crate) fn app(config: AppConfig, stage: &Stage) -> App<Stage> {
    let slow_with = |policy| get(slow).layer(policy);
    App::with_state(config, stage.clone())
        .route("/default", get(slow))
        .route("/cancel", slow_with(OnDisconnect::Cancel))
        .route("/notify", slow_with(OnDisconnect::Notify))
        .route("/ignore", slow_with(OnDisconnect::Ignore))
        .route("/grace", slow_with(OnDisconnect::Grace(FAR)))
        .route("/short-grace", slow_with(OnDisconnect::Grace(SOON)))
        .route("/upload", post(upload).layer(OnDisconnect::Notify))
        .route("/panics", get(panics).layer(OnDisconnect::Notify))
        .route(
            "/echo/{text}",
            get(|Path(text): Path<String>| async { text }).layer(OnDisconnect::Ignore),
        )
}

pub(crate) fn patient() -> AppConfig {
    AppConfig {
        request_timeout: FAR,
        ..config()
    }
}

pub(crate) fn start() -> (Server, Stage) {
    let stage = Stage::new();
    (Server::start(app(patient(), &stage)), stage)
}

pub(crate) fn gone(server: &Server, policy: &str) -> f64 {
    metric(
        &server.app.metrics(),
        &format!(r#"http_clients_gone_total{{policy="{policy}"}}"#),
    )
}
