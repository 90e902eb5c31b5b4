//! Wraps a server's service so that every request knows its connection and is counted until its answer is complete.

use crate::forwarded;
use crate::request_lease::RequestLease;
use crate::serve_options::Carrying;
use crate::traffic::Traffic;
use crate::{ClientGone, ConnectionFacts, ConnectionInfo, RequestBody, TrustedProxies};
use bytes::Bytes;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tower_service::Service;

/// One connection's view of the server's service.
#[derive(Clone)]
pub(crate) struct TrackedService<S> {
    /// Called by the connection's own task alone.
    inner: RefCell<S>,
    /// What every request carries.
    carried: Extensions,
    /// Present when the peer is a trusted proxy.
    proxies: Option<TrustedProxies>,
    traffic: Arc<Traffic>,
}

impl<S> TrackedService<S> {
    pub(crate) fn new(
        inner: S,
        carried: Extensions,
        proxies: Option<TrustedProxies>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            inner: RefCell::new(inner),
            carried,
            proxies,
            traffic,
        }
    }

    /// Gives a request what every request carries.
    fn equip(&self, request: &mut Request<RequestBody>) {
        let own = mem::replace(request.extensions_mut(), self.carried.clone());
        if !own.is_empty() {
            request.extensions_mut().extend(own);
            // On HTTP/2 a client may leave a request alone, and not the connection: then somebody else tells.
            if let Some(client_gone) = request.extensions_mut().remove::<ClientGone>() {
                change_info(request, |info| info.client_gone = client_gone);
            }
        }
        set_target(request);
        if let Some(proxies) = &self.proxies
            && let Some(info) = request.extensions().get::<ConnectionInfo>()
        {
            let client = forwarded::client(request.headers(), info.remote_addr, proxies);
            change_info(request, |info| info.client_addr = client);
        }
    }
}

/// As HTTP/2 calls it, and HTTP/1 by way of what [keeps an answer](crate::kept_answer).
impl<S, B> hyper::service::Service<Request<RequestBody>> for TrackedService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedFuture<Answer<S, Request<RequestBody>>>;

    fn call(&self, mut request: Request<RequestBody>) -> Self::Future {
        let lease = RequestLease::new(self.traffic.clone());
        let switch = Switch::asked_by(&mut request);
        // HTTP/2 has no such header (RFC 9113 §8.2.2).
        let may_say_close = request.version() < Version::HTTP_2;
        self.equip(&mut request);
        take_host_of_target(&mut request);
        let inner = match lease.refusal() {
            // Answered in the service's place.
            Some(_) => Answer::later(self.inner.borrow().clone(), request),
            None => Answer::of(&mut *self.inner.borrow_mut(), request),
        };
        TrackedFuture {
            inner,
            switch,
            may_say_close,
            lease: Some(lease),
        }
    }
}

/// The target stays known to who is handed the request below a prefix.
fn set_target<B>(request: &mut Request<B>) {
    let uri = mem::take(request.uri_mut());
    if let Some(info) = request.extensions_mut().get_mut::<ConnectionInfo>() {
        info.set_target(&uri);
    }
    *request.uri_mut() = uri;
}

fn change_info<B>(request: &mut Request<B>, change: impl FnOnce(&mut ConnectionFacts)) {
    if let Some(info) = request.extensions_mut().get_mut::<ConnectionInfo>() {
        change(info.facts_mut());
    }
}

/// What every request of a connection carries, with room for what it gets on its way to a handler: a clone keeps the
/// room, so a request's table is allocated once, and nothing is looked up for what is in it already.
pub(crate) fn carried_by_all(info: ConnectionInfo, carrying: Option<&Carrying>) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    if let Some(carrying) = carrying {
        carrying(&info, &mut extensions);
    }
    extensions.insert(info);
    extensions
}

/// The peer is told that no further request is read. An answer that hands the connection over has a word of its own
/// there.
fn say_last<B>(response: &mut Response<B>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

/// The host of an absolute target counts, whatever the header says (RFC 9112 §3.2.2).
fn take_host_of_target(request: &mut Request<RequestBody>) {
    if let Some(authority) = request.uri().authority()
        && request.method() != Method::CONNECT
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
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
    /// The service's answer, for which it may have to become ready first.
    #[project = AnswerProjection]
    pub(crate) enum Answer<S, R> where S: Service<R> {
        Later { service: S, request: Option<R> },
        Begun { #[pin] answer: S::Future },
    }
}

impl<S: Service<R, Error = Infallible> + Clone, R> Answer<S, R> {
    #[inline]
    fn of(service: &mut S, request: R) -> Self {
        // Nearly every service is ready at once, and then it is not cloned and the request is not moved to and fro.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Self::Begun {
                answer: service.call(request),
            },
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => Self::later(service.clone(), request),
        }
    }

    fn later(service: S, request: R) -> Self {
        Self::Later {
            service,
            request: Some(request),
        }
    }
}

impl<S: Service<R>, R> Future for Answer<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let answer = match self.as_mut().project() {
                AnswerProjection::Begun { answer } => return answer.poll(cx),
                AnswerProjection::Later { service, request } => {
                    std::task::ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("a service is called once"))
                }
            };
            self.set(Self::Begun { answer });
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
        may_say_close: bool,
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
            let lease = this.lease.take().inspect(RequestLease::made);
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
        let lease = this.lease.take().inspect(RequestLease::made);
        if let Some(traffic) = lease.as_ref().and_then(RequestLease::traffic) {
            this.switch.settle(traffic, &mut response);
            if *this.may_say_close && traffic.ends_keep_alive() {
                say_last(&mut response);
            }
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
