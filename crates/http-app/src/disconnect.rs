//! What becomes of a handler whose client leaves: a layer for single routes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use core_executor::TaskHandle;
use http::Request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::metrics::Limit;
use crate::service::{internal_error, too_many_detached};
use crate::ticket::Ticket;

/// What becomes of a handler whose client leaves before it has returned: a layer for routes and routers.
///
/// | policy | the handler | [`Disconnected`](crate::Disconnected) |
/// |---|---|---|
/// | `Cancel` (default) | is dropped at once | has no time to tell |
/// | `Notify` | goes on | tells it |
/// | `Ignore` | goes on as if nothing had happened | tells nothing |
/// | `Grace(d)` | goes on, and is dropped unless it returns within `d` | tells it |
///
/// A client leaves a request when its connection is gone or, on HTTP/2, when it resets the request's stream: then the
/// other requests of the connection go on. It does not come back: another connection, and another stream, is another
/// request. What a grace waits for is the handler's own return.
///
/// All but `Cancel` run the handler, and the layers further in, on a task of its own. At most
/// [`AppConfig::max_detached_handlers`](crate::AppConfig::max_detached_handlers) of them run at once, a request more
/// gets 503. The innermost layer wins. A panic is caught, counted and answered with 500 as everywhere.
///
/// Beside the policy these end a handler: the request timeout, which goes on to count from the request's arrival when
/// the client has left ([`RequestTimeout::off`](crate::RequestTimeout::off) for work without a limit); a layer outside
/// that gives the request up while the client is there; and the end of the application, which waits for handlers up to
/// its deadline, drops those that are left, and counts them as cut.
///
/// What the handler has returned is not its business any more: the body of an answer, a stream for example, is dropped
/// when the client leaves. Outside an [`App`](crate::App) the layer has no effect.
///
/// ```
/// use std::time::Duration;
/// use axum::routing::post;
/// use http_app::{App, AppConfig, Disconnected, OnDisconnect, RequestTimeout};
///
/// async fn pay() -> &'static str { "paid" }
/// async fn report(client: Disconnected) -> &'static str {
///     tokio::select! {
///         () = client.gone() => "nobody reads this",
///         () = std::future::ready(()) => "ready",
///     }
/// }
/// let app = App::new(AppConfig::default())
///     .route("/pay", post(pay).layer(OnDisconnect::Ignore))
///     .route("/report", post(report).layer((
///         RequestTimeout::after(Duration::from_secs(30)),
///         OnDisconnect::Grace(Duration::from_secs(5)),
///     )));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it has no effect until a route has it as a layer"]
pub enum OnDisconnect {
    /// The handler is dropped at once, wherever it waits.
    #[default]
    Cancel,
    /// The handler goes on and can hear of it.
    Notify,
    /// The handler runs to its end and hears nothing.
    Ignore,
    /// The handler goes on, can hear of it, and is dropped when this much time has passed since.
    Grace(Duration),
}

impl<S> Layer<S> for OnDisconnect {
    type Service = OnDisconnectService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OnDisconnectService { inner, policy: *self }
    }
}

/// What [`OnDisconnect`] makes of a service.
#[derive(Clone, Debug)]
pub struct OnDisconnectService<S> {
    inner: S,
    policy: OnDisconnect,
}

impl<S, B> Service<Request<B>> for OnDisconnectService<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = OnDisconnectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(ticket) = Ticket::of(request.extensions()) else {
            return OnDisconnectFuture::here(self.inner.call(request));
        };
        ticket.set_policy(self.policy);
        if self.policy == OnDisconnect::Cancel || !ticket.detach() {
            return OnDisconnectFuture::here(self.inner.call(request));
        }
        let handler = self.inner.call(request);
        match ticket.rules().detached.run(handler, ticket.clone()) {
            Ok(task) => OnDisconnectFuture {
                place: Place::Elsewhere {
                    waiter: Waiter { task, ticket },
                },
            },
            Err(_) => {
                ticket.rules().metrics.limited(Limit::Detached);
                OnDisconnectFuture {
                    place: Place::Refused,
                }
            }
        }
    }
}

pin_project! {
    /// The future of [`OnDisconnectService`].
    pub struct OnDisconnectFuture<F> {
        #[pin]
        place: Place<F>,
    }
}

pin_project! {
    #[project = PlaceProjection]
    enum Place<F> {
        Here { #[pin] handler: F },
        Elsewhere { waiter: Waiter },
        /// Too many handlers run detached.
        Refused,
    }
}

impl<F> OnDisconnectFuture<F> {
    fn here(handler: F) -> Self {
        Self {
            place: Place::Here { handler },
        }
    }
}

impl<F> std::fmt::Debug for OnDisconnectFuture<F> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("OnDisconnectFuture").finish_non_exhaustive()
    }
}

impl<F> Future for OnDisconnectFuture<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().place.project() {
            PlaceProjection::Here { handler } => handler.poll(cx),
            PlaceProjection::Elsewhere { waiter } => waiter.poll(cx).map(Ok),
            PlaceProjection::Refused => Poll::Ready(Ok(too_many_detached())),
        }
    }
}

/// Waits for a detached handler. Given up while the client is there, the handler has no reason to go on either.
struct Waiter {
    task: TaskHandle<Option<Response>>,
    ticket: Arc<Ticket>,
}

impl Waiter {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        // Without an answer it was cut, and its connection is about to be.
        let answer = ready!(Pin::new(&mut self.task).poll(cx));
        Poll::Ready(answer.ok().flatten().unwrap_or_else(internal_error))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.ticket.client().is_gone() {
            self.task.abort();
        }
    }
}
