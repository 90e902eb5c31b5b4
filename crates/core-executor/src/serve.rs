//! Serves a tower service over hyper on a bound listener: accepts, and deals the connections out.

use crate::accept::accept_loop;
use crate::connection::SharedListener;
use crate::gate::Rules;
use crate::refusal::Refusals;
use crate::running_server::Shared;
use crate::serving::Server;
use crate::{Arrival, BoundListener, ExecutorError, RequestBody, RunningServer, ServeOptions, Spawner};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tower_service::Service;

/// Serves `service` on `listener` until the returned server is drained or dropped.
///
/// HTTP/1.0 and HTTP/1.1 with keep-alive, pipelining and upgrades; HTTP/2 by ALPN and by prior knowledge. Every request
/// carries a [`ConnectionInfo`](crate::ConnectionInfo) in its extensions.
///
/// # Errors
/// [`ExecutorError::Stopping`] when the executor takes no new task.
pub fn serve<S, B>(
    listener: BoundListener,
    service: S,
    options: ServeOptions,
    spawner: &Spawner,
) -> Result<RunningServer, ExecutorError>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let shared = Arc::new(Shared::new(&listener));
    let ServeOptions {
        name,
        limits,
        state_listener,
        metrics,
        in_budget,
        tls,
        carrying,
    } = options;
    let listener_of_states = state_listener.map(|listener| SharedListener {
        listener,
        metrics: metrics.clone(),
        server: name,
    });
    let refusals = Refusals::new(shared.clone(), listener_of_states.clone(), tls.is_some());
    let budget = spawner.connection_budget();
    let server = Server {
        shared: shared.clone(),
        proxies: budget.trusted_proxies().clone(),
        listener: listener_of_states,
        rules: Arc::new(Rules::new(limits, metrics.clone())),
        metrics,
        tls,
        carrying,
        spawner: spawner.clone(),
    };
    let (stop, metrics, dealer) = (
        shared.stop_accepting.clone(),
        server.metrics.clone(),
        spawner.clone(),
    );
    let stays = spawner.only_worker().is_some();
    let deal = move |arrival: Arrival, from: SocketAddr| {
        let Ok(arrival) = arrival.dealt(stays) else {
            return;
        };
        let permit = match in_budget.then(|| budget.take(Some(from.ip()))).transpose() {
            Ok(permit) => permit,
            Err(limit) => {
                server.metrics.count_refused(limit);
                if let Some(refusal) = refusals.refuse(arrival, from) {
                    let _ = dealer.deal(server.shared.connections.track_future(refusal));
                }
                return;
            }
        };
        let connection = server.clone().connection(arrival, from, permit, service.clone());
        let tracked = server.shared.connections.track_future(connection);
        // Refused only while the executor ends; the connection is closed by being dropped.
        let _ = dealer.deal(tracked);
    };
    let accepting = accept_loop(name, listener, stop, metrics, deal);
    spawner.spawn_near(shared.accepting.track_future(accepting))?;
    Ok(RunningServer { shared })
}
