//! Wraps a server's service so that every request knows its connection and is counted until its answer is complete.

use crate::forwarded;
use crate::traffic::{RequestLease, Traffic};
use crate::{ConnectionId, TlsFacts, TrustedProxies};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// Which connection a request came in on. In the extensions of every request served by [`serve`](crate::serve()).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection.
    pub id: ConnectionId,
    /// Where it comes from: the client, or the proxy in front of us.
    pub remote_addr: SocketAddr,
    /// Who sent the request: `remote_addr`, or, when that is a trusted proxy (`SERVER_TRUSTED_PROXIES`), the client it
    /// forwards for; then the port is 0 where the proxy does not tell it.
    pub client_addr: SocketAddr,
    /// The address it came in on.
    pub local_addr: SocketAddr,
    /// What the TLS handshake found out; nothing on a plain connection.
    pub tls: Option<Arc<TlsFacts>>,
}

/// One connection's view of the server's service.
pub(crate) struct TrackedService<S> {
    inner: S,
    info: ConnectionInfo,
    /// Present when the peer is a trusted proxy.
    proxies: Option<TrustedProxies>,
    traffic: Arc<Traffic>,
}

impl<S> TrackedService<S> {
    pub(crate) fn new(
        inner: S,
        info: ConnectionInfo,
        proxies: Option<TrustedProxies>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            inner,
            info,
            proxies,
            traffic,
        }
    }

    fn info_of(&self, headers: &HeaderMap) -> ConnectionInfo {
        let client_addr = match &self.proxies {
            Some(proxies) => forwarded::client(headers, self.info.remote_addr, proxies),
            None => self.info.remote_addr,
        };
        ConnectionInfo {
            client_addr,
            ..self.info.clone()
        }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedFuture<Ready<S, Request<Incoming>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let lease = RequestLease::new(self.traffic.clone());
        request.extensions_mut().insert(self.traffic.client());
        let info = self.info_of(request.headers());
        request.extensions_mut().insert(info);
        TrackedFuture {
            wants_upgrade: request.extensions().get::<OnUpgrade>().is_some(),
            inner: Ready::new(self.inner.clone(), request),
            lease: Some(lease),
        }
    }
}

pin_project! {
    /// Waits until the service is ready, then for its answer.
    pub(crate) struct Ready<S, R> where S: Service<R> {
        service: S,
        request: Option<R>,
        #[pin]
        answer: Option<S::Future>,
    }
}

impl<S: Service<R>, R> Ready<S, R> {
    fn new(service: S, request: R) -> Self {
        Self {
            service,
            request: Some(request),
            answer: None,
        }
    }
}

impl<S: Service<R>, R> Future for Ready<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.request.is_some() {
            std::task::ready!(this.service.poll_ready(cx))?;
        }
        if let Some(request) = this.request.take() {
            this.answer.set(Some(this.service.call(request)));
        }
        match this.answer.as_pin_mut() {
            Some(answer) => answer.poll(cx),
            None => Poll::Pending,
        }
    }
}

pin_project! {
    /// The answer in the making; dropping it (the peer left) gives the place back.
    pub(crate) struct TrackedFuture<F> {
        #[pin]
        inner: F,
        // The request asked for another protocol; only then an answer of status 101 means anything.
        wants_upgrade: bool,
        lease: Option<RequestLease>,
    }
}

impl<F, B> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<TrackedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match std::task::ready!(this.inner.poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let lease = this.lease.take();
        if let Some(lease) = &lease
            && *this.wants_upgrade
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            lease.mark_upgraded();
        }
        Poll::Ready(Ok(response.map(|inner| TrackedBody { inner, lease })))
    }
}

pin_project! {
    /// The answer's body. Hyper drops it when it has all it needs of it: to the end, up to the length the head tells,
    /// or nothing at all where the answer has no body. So being dropped is being handed over, unless it failed.
    pub(crate) struct TrackedBody<B> {
        #[pin]
        inner: B,
        lease: Option<RequestLease>,
    }

    impl<B> PinnedDrop for TrackedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(lease) = this.project().lease.take() {
                lease.hand_over();
            }
        }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = std::task::ready!(this.inner.poll_frame(cx));
        if let Some(Err(_)) = &frame {
            drop(this.lease.take());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
