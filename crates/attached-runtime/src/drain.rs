//! The end: one ordered plan from the wish to stop to the report.

use crate::phase::PhaseBoard;
use crate::progress::Progress;
use crate::{Phase, ShutdownReport};
use core_executor::{Drained, RuntimeExecutor, ShutdownSignal, TlsReloader};
use http_app::RunningApp;
use longpoll_bridge::LongPollBridge;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use ws_server::{RunningWsServer, WsReport};

/// How long the metrics listener may take to finish a scrape when all else has ended.
const LAST_SCRAPE: Duration = Duration::from_millis(100);

/// What cutting takes, at most a tenth of all: servers are cut so much before the deadline, so that the end is over
/// then.
const CUTTING: Duration = Duration::from_millis(50);

/// Everything that runs, in the hands of the one task that ends it.
pub(crate) struct Conductor {
    pub(crate) app: RunningApp,
    pub(crate) ws: RunningWsServer,
    pub(crate) bridge: Option<LongPollBridge>,
    pub(crate) metrics: Option<RunningApp>,
    pub(crate) phases: PhaseBoard,
    pub(crate) report: watch::Sender<Option<Arc<ShutdownReport>>>,
}

impl Conductor {
    /// What reads the certificates of both servers again; nothing when neither has TLS.
    pub(crate) fn tls_reloader(&self) -> Option<TlsReloader> {
        let parts = [self.app.tls_reloader(), self.ws.tls_reloader()];
        let has_tls = parts.iter().any(Option::is_some);
        has_tls.then(|| TlsReloader::joined(parts.into_iter().flatten()))
    }

    /// Waits for the wish to stop and ends everything: hooks, listeners, polls and requests, then WebSocket, then
    /// HTTP, then the metrics listener, then the executor.
    pub(crate) async fn conduct(self, executor: RuntimeExecutor) {
        let Self {
            app,
            ws,
            bridge,
            metrics,
            phases,
            report,
        } = self;
        app.wait().await;
        app.end_keep_alive();
        let began = Instant::now();
        let handle = executor.shutdown_handle();
        handle.request_stop();
        let clock = Clock::new(&executor, began);

        let progress = Progress::new(ws.hub(), bridge.clone(), phases.supervisor());
        let open = progress.left(app.requests_in_flight());
        let cause = phases.begin(&handle, clock.remaining(), open);
        let parts = Parts {
            app: &app,
            ws,
            bridge,
        };
        let ending = parts.end(&clock, executor.config().ready_delay, &phases);
        let ended = tokio::select! {
            biased;
            ended = ending => ended,
            never = progress.tell(|| app.requests_in_flight()) => match never {},
        };
        if let Some(metrics) = metrics {
            metrics.drained(Instant::now() + LAST_SCRAPE).await;
        }
        let forced = handle.is_requested_now();
        let executor_report = executor.stop_and_wait(clock.remaining()).await;
        let Ended {
            polls_answered,
            websocket,
            drained,
        } = ended;
        let Drained { answered, cut, .. } = drained;
        let summary = ShutdownReport {
            cause,
            took: began.elapsed(),
            forced: forced || handle.is_requested_now(),
            hooks: app.hook_reports().unwrap_or_default(),
            requests_answered: answered,
            requests_cut: cut,
            polls_answered,
            websocket,
            executor: executor_report,
        };
        log(&summary);
        phases.enter(Phase::Stopped);
        report.send_replace(Some(Arc::new(summary)));
    }
}

/// What serves clients, in the order in which it ends.
struct Parts<'a> {
    app: &'a RunningApp,
    ws: RunningWsServer,
    bridge: Option<LongPollBridge>,
}

/// What became of it.
struct Ended {
    polls_answered: u64,
    websocket: WsReport,
    drained: Drained,
}

impl Parts<'_> {
    /// Hooks, listeners, polls and requests, then WebSocket, then what is left of HTTP.
    async fn end(self, clock: &Clock, ready_delay: Duration, phases: &PhaseBoard) -> Ended {
        let Self { app, ws, bridge } = self;
        clock.ready_delay(ready_delay).await;
        // What they came to is asked at the end: those that are cut here go on until then.
        clock.until_half(app.run_hooks()).await;
        // The hook that asks the WebSocket server may have been cut; asking again has no effect.
        ws.stop_async();
        app.begin_drain();
        let polls_answered = bridge.as_ref().map_or(0, |bridge| bridge.begin_drain() as u64);

        let mut draining = pin!(app.drained(clock.deadline));
        // Sessions on the app's own connections (HTTP/2) end after this, so it is not their end that is waited for.
        let answering = async {
            tokio::select! {
                biased;
                drained = draining.as_mut() => Some(drained),
                () = app.requests_answered() => None,
            }
        };
        let early = clock.until_half(answering).await.flatten();
        phases.enter(Phase::Closing);
        let plan = ws.plan(clock.deadline);
        let closing = ws.stop(plan);
        let (websocket, drained) = match early {
            Some(drained) => (closing.await, drained),
            None => {
                let finishing = async {
                    match clock.unless_forced(draining).await {
                        Some(drained) => drained,
                        None => app.drained(Instant::now()).await,
                    }
                };
                tokio::join!(closing, finishing)
            }
        };
        Ended {
            polls_answered,
            websocket,
            drained,
        }
    }
}

fn log(summary: &ShutdownReport) {
    match summary.is_clean() {
        true => tracing::info!(%summary, "ended"),
        false => tracing::warn!(%summary, "ended, not everything by itself"),
    }
}

/// The deadlines of the end, and the second signal that cuts them.
struct Clock {
    began: Instant,
    /// Of everything that serves clients.
    deadline: Instant,
    /// Of everything.
    last: Instant,
    signal: ShutdownSignal,
}

impl Clock {
    fn new(executor: &RuntimeExecutor, began: Instant) -> Self {
        let limit = executor.config().shutdown_deadline;
        Self {
            began,
            deadline: began + limit - CUTTING.min(limit / 10),
            last: began + limit,
            signal: executor.shutdown_signal(),
        }
    }

    /// Runs a future up to the deadline or the second signal.
    async fn unless_now<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = timeout_at(self.deadline, future) => done.ok(),
            () = self.signal.requested_now() => None,
        }
    }

    /// Runs a future that keeps the deadline itself up to the second signal.
    async fn unless_forced<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = self.signal.requested_now() => None,
        }
    }

    /// Runs a future up to the half of the time, so that the other half is left for what comes after it.
    async fn until_half<F: Future>(&self, future: F) -> Option<F::Output> {
        let half = self.began + (self.deadline - self.began) / 2;
        tokio::select! {
            biased;
            done = timeout_at(half, future) => done.ok(),
            () = self.signal.requested_now() => None,
        }
    }

    async fn ready_delay(&self, delay: Duration) {
        if !delay.is_zero() {
            self.unless_now(tokio::time::sleep(delay)).await;
        }
    }

    /// What is left for the tasks of the application: nothing after a second signal.
    fn remaining(&self) -> Duration {
        match self.signal.is_requested_now() {
            true => Duration::ZERO,
            false => self.last.saturating_duration_since(Instant::now()),
        }
    }
}
