//! Handlers that run on tasks of their own, so that they outlive their client's connection.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::response::Response;
use core_executor::{ExecutorError, Spawner, TaskHandle, TaskOptions};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::disconnect::OnDisconnect;
use crate::metrics::{HttpMetrics, Limit};
use crate::service::{internal_error, note_panic};
use crate::ticket::Ticket;

/// How long handlers that are cut get to be dropped: a worker that is held up may not do it at all.
const LEAVING: Duration = Duration::from_millis(50);

/// Runs the detached handlers of one application and ends them with it. Clones share it.
#[derive(Clone)]
pub(crate) struct Detached {
    spawner: Spawner,
    places: Arc<Semaphore>,
    limit: u32,
    cut: CancellationToken,
    metrics: HttpMetrics,
    /// Handlers without a client that were still there at the deadline of the end.
    lost: Arc<OnceLock<u64>>,
}

impl Detached {
    pub(crate) fn new(spawner: Spawner, limit: u32, metrics: HttpMetrics) -> Self {
        Self {
            spawner,
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
            cut: CancellationToken::new(),
            metrics,
            lost: Arc::default(),
        }
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Cuts them when dropped.
    pub(crate) fn guard(&self) -> DropGuard {
        self.cut.clone().drop_guard()
    }

    /// Runs a handler until it returns or nothing speaks for it any more.
    pub(crate) fn run<F>(
        &self,
        handler: F,
        ticket: Arc<Ticket>,
    ) -> Result<TaskHandle<Option<Response>>, ExecutorError>
    where
        F: Future<Output = Result<Response, Infallible>> + Send + 'static,
    {
        let places = self.places.clone();
        let place = places.try_acquire_owned().map_err(|_| ExecutorError::Full {
            limit: self.limit as usize,
        })?;
        let (cut, metrics) = (self.cut.clone(), self.metrics.clone());
        self.spawner
            .spawn_with(TaskOptions::named("detached handler"), async move {
                let _place = place;
                tokio::select! {
                    biased;
                    () = cut.cancelled() => {
                        // One with a client is named with the request.
                        if ticket.client().is_gone() {
                            ticket.note_unfinished();
                        }
                        None
                    }
                    response = told(caught(handler, &metrics), &ticket) => Some(response),
                    () = unwanted(&ticket, &metrics) => None,
                }
            })
    }

    /// Waits until none runs. Cancel safe.
    pub(crate) async fn idle(&self) {
        // Never closed, so there is always an answer.
        let _ = self.places.acquire_many(self.limit).await;
    }

    /// Waits until none runs, drops at `deadline` what is left, and says how many of them had no client any more: the
    /// others were cut with their connections and are counted there. Call it when no request comes any more. Cancel
    /// safe; again says the same.
    pub(crate) async fn drained(&self, deadline: Instant) -> u64 {
        let none_left = || self.places.acquire_many(self.limit);
        if timeout_at(deadline, none_left()).await.is_err() {
            self.lost.get_or_init(|| self.metrics.handlers_without_client());
            self.cut.cancel();
            let _ = timeout(LEAVING, none_left()).await;
        }
        self.lost.get().copied().unwrap_or_default()
    }
}

/// The handler, whose turns are told.
async fn told<T>(handler: impl Future<Output = T>, ticket: &Ticket) -> T {
    let mut handler = pin!(handler);
    poll_fn(|cx| {
        ticket.say();
        handler.as_mut().poll(cx)
    })
    .await
}

async fn caught<F>(handler: F, metrics: &HttpMetrics) -> Response
where
    F: Future<Output = Result<Response, Infallible>>,
{
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(panic) => {
            note_panic(metrics, &*panic);
            internal_error()
        }
    }
}

/// Waits until the client has left and the route's patience or the request's time is over.
async fn unwanted(ticket: &Ticket, metrics: &HttpMetrics) {
    ticket.client().gone().await;
    let _alone = metrics.one_without_client();
    let patience = match ticket.policy() {
        OnDisconnect::Cancel => return,
        OnDisconnect::Grace(patience) => Instant::now().checked_add(patience),
        OnDisconnect::Notify | OnDisconnect::Ignore => None,
    };
    let limit = ticket.deadline();
    match [patience, limit].into_iter().flatten().min() {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
    if limit.is_some_and(|limit| Instant::now() >= limit) {
        metrics.limited(Limit::Timeout);
    }
}
