//! Other sources of connections than TCP, and upgraded streams of other servers.

use crate::support::soon;
use bytes::Bytes;
use core_executor::{Arrival, BoundListener, IoStream, Listener, RunningServer};
use core_executor::{ConnectionMetrics, RuntimeExecutor, ServeOptions, serve};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

fn somewhere() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

/// Connections that come out of a channel.
struct Piped(mpsc::Receiver<io::Result<DuplexStream>>);

impl Listener for Piped {
    fn local_addr(&self) -> SocketAddr {
        somewhere()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(next)) => {
                Poll::Ready(next.map(|stream| (Arrival::Boxed(Box::new(stream)), somewhere())))
            }
            _ => Poll::Pending,
        }
    }
}

/// Fails at every accept, without ever waiting.
struct Failing(ErrorKind);

impl Listener for Failing {
    fn local_addr(&self) -> SocketAddr {
        somewhere()
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        Poll::Ready(Err(self.0.into()))
    }
}

fn serving(
    listener: impl Listener,
    executor: &RuntimeExecutor,
    metrics: &ConnectionMetrics,
) -> RunningServer {
    let service = tower::service_fn(|_| async { Ok(Response::new(Full::new(Bytes::from("served")))) });
    let options = ServeOptions::new("other").metrics(metrics.clone());
    serve(
        BoundListener::from_listener(listener),
        service,
        options,
        &executor.spawner(),
    )
    .unwrap()
}

#[tokio::test]
async fn any_stream_is_served_after_any_error() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let metrics = ConnectionMetrics::new("other");
    let (sender, receiver) = mpsc::channel(8);
    let server = serving(Piped(receiver), &executor, &metrics);
    assert_eq!(server.local_addr(), somewhere());
    for kind in [
        ErrorKind::ConnectionAborted,
        ErrorKind::OutOfMemory,
        ErrorKind::Other,
    ] {
        sender.send(Err(kind.into())).await.unwrap();
    }
    let (mut client, served) = tokio::io::duplex(1024);
    sender.send(Ok(served)).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon("an answer", client.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.ends_with("served"), "{answer}");
    assert_eq!((metrics.accepted(), metrics.accept_errors()), (1, 2));
}

#[tokio::test]
async fn errors_without_end_hold_nothing_else_up() {
    for kind in [ErrorKind::ConnectionAborted, ErrorKind::OutOfMemory] {
        let executor = RuntimeExecutor::with_threads(1).unwrap();
        let server = serving(Failing(kind), &executor, &ConnectionMetrics::new("other"));
        executor.shutdown_handle().request_stop();
        soon(
            "the control thread's turn",
            executor.shutdown_signal().requested(),
        )
        .await;
        let begin = Instant::now();
        soon(
            "drained",
            server.drained(Instant::now() + Duration::from_secs(10)),
        )
        .await;
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn an_upgraded_stream_of_another_server_comes_back_with_every_byte() {
    let (mut client, served) = tokio::io::duplex(1024);
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let sender = sender.lock().unwrap().take().unwrap();
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move { sender.send(upgrade.await.unwrap()).unwrap() });
        let response = Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "x");
        async { Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap()) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(served), service)
        .with_upgrades();
    tokio::spawn(connection);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
        .await
        .unwrap();
    let upgraded = soon("the upgrade", receiver).await.unwrap();
    let (mut stream, early) = IoStream::from_upgraded(upgraded);
    assert!(matches!(stream, IoStream::Boxed(_)));
    let mut rest = vec![0; 5 - early.len()];
    soon("the early bytes", stream.read_exact(&mut rest))
        .await
        .unwrap();
    assert_eq!([&early[..], &rest[..]].concat(), b"early");
}

/// Counts how often something is written to it.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One connection, there at once.
struct Once(Option<Counted>);

impl Listener for Once {
    fn local_addr(&self) -> SocketAddr {
        somewhere()
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        match self.0.take() {
            Some(stream) => Poll::Ready(Ok((Arrival::Boxed(Box::new(stream)), somewhere()))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn answers_to_requests_that_come_together_leave_together() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let (mut client, stream) = tokio::io::duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted {
        stream,
        writes: writes.clone(),
    };
    let _server = serving(Once(Some(counted)), &executor, &ConnectionMetrics::new("other"));
    for round in 1..=3 {
        let batch = "GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(16);
        client.write_all(batch.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        while answers.windows(6).filter(|part| part == b"served").count() < 16 {
            soon("answers", client.read_buf(&mut answers)).await.unwrap();
        }
        assert_eq!(writes.load(Ordering::Relaxed), round);
    }
}
