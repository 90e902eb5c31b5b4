//! Wraps a server's service so that every request knows its connection and is counted until its answer is complete.

use crate::forwarded;
use crate::traffic::{RequestLease, Traffic};
use crate::{ConnectionId, RequestBody, TlsFacts, TrustedProxies};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
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
#[derive(Clone)]
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

/// As HTTP/1 calls it.
impl<S, B> hyper::service::Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedFuture<Ready<S, Request<RequestBody>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        hyper::service::Service::call(self, request.map(RequestBody::new))
    }
}

/// As HTTP/2 calls it, whose bodies keep a limit of their own.
impl<S, B> hyper::service::Service<Request<RequestBody>> for TrackedService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedFuture<Ready<S, Request<RequestBody>>>;

    fn call(&self, mut request: Request<RequestBody>) -> Self::Future {
        let lease = RequestLease::new(self.traffic.clone());
        if request.extensions().is_empty() {
            *request.extensions_mut() = ROOMY.clone();
        }
        // On HTTP/2 a client may leave a request alone, and not the connection: then it is known already who tells.
        request
            .extensions_mut()
            .get_or_insert_with(|| self.traffic.client());
        let info = self.info_of(request.headers());
        request.extensions_mut().insert(info);
        TrackedFuture {
            switch: Switch::asked_by(&mut request),
            inner: Ready::new(self.inner.clone(), with_host_of_target(request)),
            lease: Some(lease),
        }
    }
}

/// Extensions with nothing in them and room for what a request gets on its way to a handler, ours and a router's: a
/// clone keeps the room, so the table is allocated once and not made anew, larger, on the way.
static ROOMY: LazyLock<Extensions> = LazyLock::new(|| {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    extensions
});

/// The host of an absolute target counts, whatever the header says (RFC 9112 §3.2.2).
fn with_host_of_target(mut request: Request<RequestBody>) -> Request<RequestBody> {
    if let Some(authority) = request.uri().authority()
        && request.method() != Method::CONNECT
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// Which protocol a request asks for instead of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    None,
    WebSocket,
    Other,
    Tunnel,
}

impl Switch {
    fn asked_by(request: &mut Request<RequestBody>) -> Self {
        if request.extensions().get::<OnUpgrade>().is_none() {
            return Self::None;
        }
        if !request.body().is_end_stream() {
            // Where the other protocol would begin depends on who reads the body; so the wish is not heard, as it
            // need not be (RFC 9110 §7.8).
            request.extensions_mut().remove::<OnUpgrade>();
            return Self::None;
        }
        if request.method() == Method::CONNECT {
            return Self::Tunnel;
        }
        let asked = request.headers().get_all(header::UPGRADE);
        let is_websocket = |value: &HeaderValue| {
            let mut names = value.as_bytes().split(|byte| *byte == b',');
            names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
        };
        match asked.into_iter().any(is_websocket) {
            true => Self::WebSocket,
            false => Self::Other,
        }
    }

    /// Tells the connection what became of the wish.
    fn settle<B>(self, traffic: &Traffic, response: &mut Response<B>) {
        let status = response.status();
        let granted = match self {
            Self::None => return,
            Self::Tunnel => status.is_success(),
            Self::WebSocket | Self::Other => status == StatusCode::SWITCHING_PROTOCOLS,
        };
        if granted {
            traffic.mark_switched();
            if self != Self::Tunnel {
                traffic.mark_upgraded();
            }
        } else if self == Self::WebSocket || traffic.has_bytes_behind_upgrade() {
            // What the peer sends in good faith behind its wish is no request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
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
        // Only when the request asked for another protocol, an answer of status 101 means anything.
        switch: Switch,
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
        if let Some(refusal) = this.lease.as_ref().and_then(RequestLease::refusal) {
            let lease = this.lease.take();
            let refused = |bytes| TrackedBody {
                inner: Content::Refused { bytes: Some(bytes) },
                lease,
            };
            return Poll::Ready(Ok(refusal.response().map(refused)));
        }
        let mut response = match std::task::ready!(this.inner.poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let lease = this.lease.take();
        if let Some(traffic) = lease.as_ref().and_then(RequestLease::traffic) {
            this.switch.settle(traffic, &mut response);
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody {
            inner: Content::Served { body },
            lease,
        })))
    }
}

pin_project! {
    /// The answer's body. Hyper drops it when it has all it needs of it: to the end, up to the length the head tells,
    /// or nothing at all where the answer has no body. So being dropped is being handed over, unless it failed.
    pub(crate) struct TrackedBody<B> {
        #[pin]
        inner: Content<B>,
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

pin_project! {
    /// The service's body, or that of an answer in its place.
    #[project = ContentProjection]
    enum Content<B> {
        Served { #[pin] body: B },
        Refused { bytes: Option<Bytes> },
    }
}

impl<B: Body<Data = Bytes>> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = match this.inner.project() {
            ContentProjection::Served { body } => std::task::ready!(body.poll_frame(cx)),
            ContentProjection::Refused { bytes } => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
        };
        if let Some(Err(_)) = &frame {
            drop(this.lease.take());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Content::Served { body } => body.is_end_stream(),
            Content::Refused { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Content::Served { body } => body.size_hint(),
            Content::Refused { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
