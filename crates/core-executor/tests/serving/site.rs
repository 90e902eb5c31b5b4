//! A tiny site on an executor of its own, and a state listener that keeps what it hears.

use crate::client::Client;
use crate::support::{DropGuard, Drops, Gate, until};
use bytes::Bytes;
use core_executor::{
    BoundListener, Cause, ClientGone, Closed, ConnectionInfo, ConnectionMetrics, IoStream, LongWait, Notice,
};
use core_executor::{ExecutorConfig, RunningServer, RuntimeExecutor, ServeOptions, Spawner, serve};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tower::service_fn;

/// More than the buffers of two sockets and of hyper hold together.
pub(crate) const BIG: usize = 32 * 1024 * 1024;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the handlers of the site share with the test.
#[derive(Clone)]
pub(crate) struct Backstage {
    /// One permit lets one `/slow` or `/upgrade-slow` answer.
    pub(crate) permits: Arc<Semaphore>,
    /// Opened, it lets `/block` go on, which blocks its worker.
    pub(crate) gate: Gate,
    /// Handlers that are gone, answered or not.
    pub(crate) handlers_gone: Drops,
    /// Clients that were noticed to be gone.
    pub(crate) noticed: Drops,
    /// Handlers that said in the middle that they take long.
    pub(crate) rested: Drops,
    /// Handlers that have begun.
    pub(crate) begun: Drops,
    spawner: Spawner,
}

#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    /// A listener that keeps what it hears here.
    pub(crate) fn listener(&self) -> impl core_executor::ConnectionStateListener + use<> {
        let sink = self.clone();
        move |notice: &Notice| sink.0.lock().unwrap().push(notice.clone())
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }

    /// What was heard of the connection from `peer`, in order.
    pub(crate) fn of(&self, peer: SocketAddr) -> Vec<Notice> {
        let all = self.all().into_iter();
        all.filter(|notice| notice.remote_addr == peer).collect()
    }

    /// Waits for the last word about `peer`; nothing but `Accepted` may come before it.
    pub(crate) fn last_word(&self, peer: SocketAddr) -> Cause {
        until("the last word", || self.of(peer).len() > 1);
        let notices = self.of(peer);
        assert!(matches!(notices[0].cause, Cause::Accepted(_)), "{notices:?}");
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert_eq!(notices[0].id, notices[1].id);
        notices[1].cause.clone()
    }

    pub(crate) fn closed(&self, peer: SocketAddr) -> Closed {
        match self.last_word(peer) {
            Cause::Closed(closed) => closed,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) struct Site {
    pub(crate) executor: RuntimeExecutor,
    pub(crate) server: RunningServer,
    pub(crate) heard: Heard,
    pub(crate) stage: Backstage,
    pub(crate) metrics: ConnectionMetrics,
}

impl Site {
    pub(crate) fn open() -> Self {
        Self::with(|options| options)
    }

    pub(crate) fn with(change: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        Self::on("127.0.0.1", 2, change)
    }

    pub(crate) fn on(host: &str, threads: usize, change: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        let config = ExecutorConfig {
            threads,
            ..ExecutorConfig::default()
        };
        let executor = RuntimeExecutor::new(config).unwrap();
        let heard = Heard::default();
        let metrics = ConnectionMetrics::new("site");
        let options = ServeOptions::new("site")
            .state_listener(Some(Arc::new(heard.listener())))
            .metrics(metrics.clone());
        let stage = Backstage {
            permits: Arc::new(Semaphore::new(0)),
            gate: Gate::default(),
            handlers_gone: Drops::default(),
            noticed: Drops::default(),
            rested: Drops::default(),
            begun: Drops::default(),
            spawner: executor.spawner(),
        };
        let behind = stage.clone();
        let service = service_fn(move |request| answer(behind.clone(), request));
        let listener = BoundListener::bind(host, 0).unwrap();
        let server = serve(listener, service, change(options), &executor.spawner()).unwrap();
        Self {
            executor,
            server,
            heard,
            stage,
            metrics,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr()).await
    }

    /// A client whose request for `path` is being answered.
    pub(crate) async fn busy_client(&self, path: &str) -> Client {
        let mut client = self.client().await;
        let before = self.stage.begun.count();
        client.get(path).await;
        until("the handler runs", || self.stage.begun.count() > before);
        client
    }

    /// A client that has had one answer and waits.
    pub(crate) async fn idle_client(&self) -> Client {
        let mut client = self.client().await;
        assert_eq!(client.text("/hello").await, "hello");
        client
    }
}

async fn answer(
    stage: Backstage,
    request: Request<core_executor::RequestBody>,
) -> Result<Response<Body>, Infallible> {
    drop(stage.begun.guard());
    let _gone = stage.handlers_gone.guard();
    let permit = async || stage.permits.acquire().await.unwrap().forget();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let path = match path.strip_prefix("/resting") {
        // The connection is told that it may rest.
        Some(rest) => {
            LongWait::of(&head).begin();
            rest
        }
        None => &path,
    };
    let mut request = Request::from_parts(head.clone(), body);
    let path = match path.strip_prefix("/after") {
        // The answer waits for the end of the request's body.
        Some(rest) => {
            while let Some(Ok(_)) = request.body_mut().frame().await {}
            rest
        }
        None => path,
    };
    Ok(match path {
        "/hello" => text("hello"),
        "/slow" => {
            permit().await;
            text("slow")
        }
        "/slow/resting/slow" => {
            permit().await;
            LongWait::of(&head).begin();
            drop(stage.rested.guard());
            permit().await;
            text("slow")
        }
        "/never" => pending().await,
        "/knowing" => {
            let _knowing = Knowing {
                client: request
                    .extensions()
                    .get::<ConnectionInfo>()
                    .unwrap()
                    .client_gone
                    .clone(),
                noticed: Some(stage.noticed.guard()),
            };
            pending().await
        }
        "/gone" => {
            let client = request
                .extensions()
                .get::<ConnectionInfo>()
                .unwrap()
                .client_gone
                .clone();
            let noticed = stage.noticed.guard();
            let waiting = async move {
                client.gone().await;
                drop(noticed);
            };
            stage.spawner.post(waiting).unwrap();
            pending().await
        }
        "/block" => {
            stage.gate.block();
            text("blocked")
        }
        "/panic" => panic!("on purpose"),
        "/panic-slow" => {
            permit().await;
            panic!("on purpose")
        }
        "/big" => Response::new(full("x".repeat(BIG))),
        "/stream" => Response::builder()
            .header("content-length", 6)
            .body(parts(&["abc", "def"]))
            .unwrap(),
        "/chunked" => Response::new(parts(&["abc", "def"])),
        "/endless" => Response::new(StreamBody::new(stream::pending()).boxed_unsync()),
        "/broken" => Response::new(broken()),
        "/nothing" => status(StatusCode::NO_CONTENT),
        "/info" => text(&format!(
            "{:?}",
            request.extensions().get::<ConnectionInfo>().unwrap()
        )),
        "/echo" => match request.into_body().collect().await {
            Ok(body) => Response::new(full(body.to_bytes())),
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        "/upgrade" => upgrade(&stage, request),
        "/upgrade-slow" => {
            permit().await;
            upgrade(&stage, request)
        }
        "/upgrade-lost" => status(StatusCode::SWITCHING_PROTOCOLS),
        _ => status(StatusCode::NOT_FOUND),
    })
}

/// Counts a handler that is dropped when its client is known to have left; any other is never counted.
struct Knowing {
    client: ClientGone,
    noticed: Option<DropGuard>,
}

impl Drop for Knowing {
    fn drop(&mut self) {
        if let Some(noticed) = self.noticed.take()
            && !self.client.is_gone()
        {
            noticed.disarm();
        }
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn text(text: &str) -> Response<Body> {
    Response::new(full(text.to_owned()))
}

fn status(status: StatusCode) -> Response<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

fn parts(parts: &'static [&'static str]) -> Body {
    let frames = parts
        .iter()
        .map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn broken() -> Body {
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"half"))),
        Err(std::io::Error::other("on purpose")),
    ];
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// Answers 101 and then says back what it hears, until the peer closes.
fn upgrade(stage: &Backstage, request: Request<core_executor::RequestBody>) -> Response<Body> {
    let session = async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let (mut stream, early) = IoStream::from_upgraded(upgraded);
        assert!(
            matches!(stream, IoStream::Tcp(_)),
            "the stream comes back as it was"
        );
        stream.write_all(&early).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..count]).await.unwrap();
        }
    };
    stage.spawner.spawn_service(session).unwrap();
    let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
    for (name, value) in [("connection", "upgrade"), ("upgrade", "echo")] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
