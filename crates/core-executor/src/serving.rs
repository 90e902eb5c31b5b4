//! One connection over hyper: from its arrival, through its requests and a drain, to its last word.

use crate::connection::SharedListener;
use crate::departure_watch::Attended;
use crate::gate::{Gate, Rules};
use crate::http2::Http2;
use crate::outcome::{CutWhenDropped, Outcome};
use crate::resting::Resting;
use crate::running_server::Shared;
use crate::serve_options::Carrying;
use crate::tls::Secured;
use crate::tracked_service::{TrackedService, carried_by_all};
use crate::traffic::Traffic;
use crate::{Arrival, CloseReason, ConnectionFacts, ConnectionGuard, ConnectionId, ConnectionInfo};
use crate::{
    ConnectionMetrics, ConnectionPermit, IoStream, RequestBody, Spawner, TlsFacts, TlsIdentity,
    TrustedProxies,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tower_service::Service;

/// What every connection of a server is served with.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Option<SharedListener>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) metrics: ConnectionMetrics,
    /// Whose word about the client's address is taken.
    pub(crate) proxies: TrustedProxies,
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) carrying: Option<Carrying>,
    pub(crate) spawner: Spawner,
}

impl Server {
    /// One connection from its arrival to its last word.
    pub(crate) async fn connection<S, B>(
        self,
        arrival: Arrival,
        remote_addr: SocketAddr,
        permit: Option<ConnectionPermit>,
        service: S,
    ) where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _open = self.metrics.open_one();
        let requesting = self.shared.requesting.token();
        let traffic = Arc::new(Traffic::new(self.shared.totals.clone()));
        let (id, local_addr) = (ConnectionId::next(), arrival.local_addr(self.shared.local_addr));
        let mut guard =
            ConnectionGuard::arrived(self.listener.as_ref(), id, &remote_addr, &local_addr, || {
                traffic.clone()
            });
        let (stream, tls) = match self.open(arrival, permit).await {
            Ok(opened) => opened,
            Err(reason) => return guard.closed(reason),
        };
        guard.accepted(tls.as_ref());
        let is_http2 = tls.as_ref().is_some_and(|facts| facts.is_http2());
        let info = ConnectionInfo::new(ConnectionFacts {
            id,
            remote_addr,
            client_addr: remote_addr,
            local_addr,
            tls,
            client_gone: traffic.client(),
        });
        let carried = carried_by_all(info, self.carrying.as_ref());
        let proxies = self
            .proxies
            .contain(remote_addr.ip())
            .then(|| self.proxies.clone());
        let service = TrackedService::new(service, carried, proxies, traffic.clone());
        let first = match is_http2 {
            true => Outcome::Http2(stream, Bytes::new()),
            false => self.serve_http1(stream, service.clone(), &traffic).await,
        };
        let outcome = match first {
            Outcome::Http2(stream, early) => {
                let http2 = Http2 {
                    shared: &self.shared,
                    traffic: &traffic,
                    limits: self.rules.limits(),
                    metrics: &self.metrics,
                    spawner: self.spawner,
                    requesting,
                };
                // Boxed, because the many connections that are not HTTP/2 should not keep room for it.
                Box::pin(http2.serve(stream, early, service)).await
            }
            outcome => outcome,
        };
        match guard.is_heard() {
            true => outcome.tell(guard, &traffic, self.shared.drain.has_begun()),
            false => drop((guard, outcome)),
        }
    }

    /// Serves a connection that begins as HTTP/1; one that turns out to be HTTP/2 comes back untouched.
    async fn serve_http1<S, B>(
        &self,
        stream: IoStream,
        service: TrackedService<S>,
        traffic: &Arc<Traffic>,
    ) -> Outcome
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let gate = Gate::new(stream, traffic.clone(), self.rules.clone());
        let serving = pin!(Resting::new(gate, service, traffic.clone(), self.rules.clone()));
        // Made after what it speaks of, so it is dropped before.
        let mut abandoned = CutWhenDropped(Some(traffic));
        let outcome = self.drive(Attended::new(serving, traffic), traffic).await;
        abandoned.0 = None;
        match self.listener {
            Some(_) => outcome.settled(traffic, self.shared.drain.has_begun()),
            None => outcome.untold(),
        }
    }

    /// Registers the socket with this worker and shakes hands where that is asked for.
    async fn open(
        &self,
        arrival: Arrival,
        permit: Option<ConnectionPermit>,
    ) -> Result<(IoStream, Option<Arc<TlsFacts>>), CloseReason> {
        let stream = arrival.open().map_err(|_| CloseReason::Error)?;
        let stream = match permit {
            Some(permit) => stream.holding(permit),
            None => stream,
        };
        let Some(identity) = &self.tls else {
            return Ok((stream, None));
        };
        // Boxed, because a connection should not keep room for what comes once, at its beginning.
        let Secured { stream, facts } = Box::pin(identity.secure(stream, &self.shared)).await?;
        Ok((stream, Some(facts)))
    }

    /// Serves until the connection is over, the drain leaves nothing to do, or the deadline cuts it.
    async fn drive<S, B>(&self, mut attended: Attended<'_, Resting<S, B>>, traffic: &Traffic) -> Outcome
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        tokio::select! {
            biased;
            // A cut is a drain as well, so a turn asks for one of them alone.
            () = self.shared.drain.begun() => {}
            outcome = &mut attended => return outcome,
        }
        if self.shared.cut.is_cancelled() {
            return Outcome::stopped(traffic);
        }
        if traffic.owes_nothing() {
            // One turn of the reactor, so that a request that has arrived is read and answered.
            tokio::select! {
                biased;
                outcome = &mut attended => return outcome,
                () = tokio::task::yield_now() => {}
            }
        }
        // From here on the answer under way tells the peer that it is the last one.
        attended.serving.graceful_shutdown();
        // A connection that owes nothing may still hold half a head: it is not waited for.
        let draining = poll_fn(|cx| match Pin::new(&mut attended).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending if traffic.owes_nothing() => Poll::Ready(Outcome::NothingOwed),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = self.shared.cut.cancelled() => Outcome::stopped(traffic),
            outcome = draining => outcome,
        }
    }
}
