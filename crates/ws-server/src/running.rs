//! A server that serves, and its end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use core_executor::{RunningServer, TlsReloader};
use tokio::time::{Instant, timeout_at};

use crate::close::{CloseInfo, CloseRequest, ClosedBy, close_code};
use crate::codec::may_be_sent;
use crate::config::GoodbyeConfig;
use crate::hub::Hub;
use crate::registry::Ending;
use crate::resume::Resumption;
use crate::service::UpgradeService;
use crate::session::TransportKind;
use crate::tally::WsReport;

/// Sessions asked to close without a pause between them: other tasks of the thread get their turn after so many.
const UNPACED_STEP: u64 = 1024;

/// How a server ends.
///
/// ```
/// use std::time::Duration;
/// use ws_server::StopPlan;
///
/// // Clients are asked to come back within the next half minute.
/// let plan = StopPlan { code: 1012, retry_window: Duration::from_secs(30), ..StopPlan::within(Duration::from_secs(10)) };
/// # drop(plan);
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct StopPlan {
    /// When whatever is left is cut. A handler that runs may go on until `WsConfig::close_timeout` before that.
    pub deadline: Instant,
    /// The close code the sessions get: 1001 for a server that goes away, 1012 for one that comes back. A code that
    /// may not be sent becomes 1001.
    pub code: u16,
    /// Sessions asked to close per second; 0 = all at once.
    pub batch_per_second: u64,
    /// Clients are asked, by the close reason `retry=<ms>`, to come back spread evenly over this time; 0 = no reason.
    pub retry_window: Duration,
}

impl StopPlan {
    fn from_settings(hub: &Hub, deadline: Instant) -> Self {
        let GoodbyeConfig {
            code,
            batch_per_second,
            retry_window,
        } = hub.config().goodbye;
        Self {
            deadline,
            code,
            batch_per_second,
            retry_window,
        }
    }

    /// Ends within `limit` from now: code 1001, 10 000 sessions a second, clients asked back over 5 s.
    pub fn within(limit: Duration) -> Self {
        Self {
            deadline: Instant::now() + limit,
            code: close_code::GOING_AWAY,
            batch_per_second: 10_000,
            retry_window: Duration::from_secs(5),
        }
    }
}

/// A server that serves.
///
/// Dropping it asks for the stop and leaves the rest to the executor: sessions get their Close within 30 s. Only
/// [`stop`](Self::stop) waits for the end and tells what it came to.
#[derive(Debug)]
#[must_use = "dropping a running server stops it"]
pub struct RunningWsServer {
    hub: Hub,
    listener: Option<Arc<RunningServer>>,
    reloader: Option<TlsReloader>,
    is_over: bool,
}

impl RunningWsServer {
    pub(crate) fn new(hub: Hub, listener: Option<Arc<RunningServer>>, reloader: Option<TlsReloader>) -> Self {
        Self {
            hub,
            listener,
            reloader,
            is_over: false,
        }
    }

    /// The address of the own listener, with the real port; nothing without one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.local_addr())
    }

    /// The hub.
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// What reads certificate and key again; nothing without TLS of its own.
    pub fn tls_reloader(&self) -> Option<TlsReloader> {
        self.reloader.clone()
    }

    /// The handshake as a service for any router, beside the own listener.
    pub fn service(&self) -> UpgradeService {
        UpgradeService::new(self.hub())
    }

    /// The stop that the settings describe, with this deadline.
    pub fn plan(&self, deadline: Instant) -> StopPlan {
        StopPlan::from_settings(&self.hub, deadline)
    }

    /// Asks for the stop: handshakes are refused and the listener closes. Returns at once; see [`Hub::stop_async`].
    pub fn stop_async(&self) {
        self.hub.stop_async();
    }

    /// Ends the server: each session finishes the handler that runs, sends what is queued, sends its Close, and
    /// waits for the peer's; what is left at the deadline is cut and counted. Returns by the deadline (and the
    /// moment connections need to let go of their sockets), even when a worker is blocked. The hub lets go of the
    /// callbacks at the end. An immediate stop of the executor (a second signal) is a deadline that has come.
    ///
    /// Not cancel safe: dropping the future leaves the rest of the stop to the executor.
    pub async fn stop(mut self, plan: StopPlan) -> WsReport {
        let report = end(&self.hub, self.listener.as_deref(), plan).await;
        self.is_over = true;
        self.hub.ended();
        report
    }
}

impl Drop for RunningWsServer {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.hub.stop_async();
        let (hub, listener) = (self.hub.clone(), self.listener.take());
        if let Some(spawner) = hub.spawner() {
            let rest = async move {
                let plan = StopPlan::from_settings(&hub, Instant::now() + Duration::from_secs(30));
                end(&hub, listener.as_deref(), plan).await;
                hub.ended();
            };
            // Refused only while the executor ends, which ends the sessions too.
            let _ = spawner.spawn_service(rest);
        }
    }
}

async fn end(hub: &Hub, listener: Option<&RunningServer>, plan: StopPlan) -> WsReport {
    hub.stop_async();
    let orderly = async {
        say_goodbye(hub, &plan).await;
        hub.tables().emptied().await;
        if let Some(carriers) = hub.carriers() {
            carriers.tables().emptied().await;
        }
    };
    if !in_time(hub, plan.deadline, orderly).await {
        for hub in [hub].into_iter().chain(hub.carriers()) {
            for session in hub.tables().everybody().all() {
                hub.end_at_once(&session, Ending::cut());
            }
        }
    }
    if let Some(listener) = listener {
        let deadline = if is_now(hub) {
            Instant::now()
        } else {
            plan.deadline
        };
        listener.drained(deadline).await;
    }
    let report = hub.tally().report();
    tracing::info!(
        sessions = report.sessions,
        closed_cleanly = report.closed_cleanly,
        unanswered = report.unanswered,
        left = report.left,
        cut_off = report.cut_off,
        undelivered = report.undelivered_messages,
        cut_handlers = report.cut_handlers,
        "WebSocket server ended"
    );
    report
}

/// Whether the future ended before the deadline and before an immediate stop was asked for.
async fn in_time(hub: &Hub, deadline: Instant, orderly: impl Future<Output = ()>) -> bool {
    let now = hub.spawner().map(|spawner| spawner.shutdown_signal());
    let immediate = async {
        match now {
            Some(signal) => signal.requested_now().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = timeout_at(deadline, orderly) => ended.is_ok(),
        () = immediate => false,
    }
}

fn is_now(hub: &Hub) -> bool {
    hub.spawner()
        .is_some_and(|spawner| spawner.shutdown_signal().is_requested_now())
}

/// Asks every session to close, as fast as the plan allows.
async fn say_goodbye(hub: &Hub, plan: &StopPlan) {
    let sessions = hub.tables().everybody().all();
    let start = Instant::now();
    let handler_until = plan
        .deadline
        .checked_sub(hub.config().close_timeout)
        .unwrap_or(start)
        .into_std();
    let total = sessions.len() as u64;
    for (index, session) in (0..).zip(sessions) {
        keep_pace(index, start, plan.batch_per_second).await;
        session.request_close(CloseRequest {
            info: goodbye(plan, index, total),
            discard: false,
            handler_until: Some(handler_until),
        });
    }
}

/// Waits until the session with this number may be asked; a hundred steps a second are fine enough.
async fn keep_pace(index: u64, start: Instant, per_second: u64) {
    let step = if per_second == 0 {
        UNPACED_STEP
    } else {
        (per_second / 100).max(1)
    };
    if index == 0 || !index.is_multiple_of(step) {
        return;
    }
    if per_second == 0 {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep_until(start + Duration::from_secs_f64(index as f64 / per_second as f64)).await;
    }
}

impl Resumption {
    /// Asks the sessions that no WebSocket connection carries to close, as a stop does: each is told when to come back.
    /// A handler that runs may go on for the close timeout. Gives how many a transport carries at this moment. Never
    /// blocks.
    pub fn close_polled(&self) -> usize {
        let hub = self.hub();
        let plan = StopPlan::from_settings(hub, Instant::now() + hub.config().close_timeout);
        let polled: Vec<_> = self
            .all()
            .into_iter()
            .filter(|session| session.session().transport() != TransportKind::WebSocket)
            .collect();
        let total = polled.len() as u64;
        let mut carried = 0;
        for (index, session) in (0..).zip(polled) {
            carried += usize::from(session.is_carried());
            session.session().request_close(CloseRequest {
                info: goodbye(&plan, index, total),
                discard: false,
                handler_until: Some(plan.deadline.into_std()),
            });
        }
        carried
    }
}

fn goodbye(plan: &StopPlan, index: u64, total: u64) -> CloseInfo {
    let code = if may_be_sent(plan.code) {
        plan.code
    } else {
        close_code::GOING_AWAY
    };
    let reason = if plan.retry_window.is_zero() {
        String::new()
    } else {
        let share = plan.retry_window.as_millis() * u128::from(index) / u128::from(total.max(1));
        format!("retry={share}")
    };
    CloseInfo::new(code, reason, ClosedBy::Shutdown)
}

#[cfg(test)]
mod tests {
    use super::{StopPlan, goodbye};
    use std::time::Duration;

    #[tokio::test]
    async fn clients_are_asked_back_spread_evenly_over_the_window() {
        let mut plan = StopPlan::within(Duration::from_secs(1));
        plan.retry_window = Duration::from_secs(2);
        let reasons: Vec<String> = (0..4).map(|index| goodbye(&plan, index, 4).reason).collect();
        assert_eq!(reasons, ["retry=0", "retry=500", "retry=1000", "retry=1500"]);
        plan.retry_window = Duration::ZERO;
        assert_eq!(goodbye(&plan, 3, 4).reason, "");
    }

    #[tokio::test]
    async fn a_code_that_may_not_be_sent_becomes_1001() {
        let mut plan = StopPlan::within(Duration::from_secs(1));
        for (code, sent) in [(1001, 1001), (1012, 1012), (4000, 4000), (1006, 1001), (0, 1001)] {
            plan.code = code;
            assert_eq!(goodbye(&plan, 0, 1).code, sent);
        }
    }
}
