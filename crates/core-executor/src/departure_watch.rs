//! Notices that a client left while nobody reads its connection: bytes wait behind the request that is handled.
//!
//! Hyper reads beside a handler only as long as it holds no byte it cannot use yet. From then on the socket is watched
//! through a second descriptor: its readiness is its own, so the first one's is left as hyper needs it.

use crate::outcome::Outcome;
use crate::stream_cell::StreamCell;
use crate::traffic::Traffic;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Turns of the worker's other tasks that a handler may take before it costs a descriptor: one whose body was not
/// asked for yet reads it in the next.
const PATIENCE: usize = 2;

/// Serves a connection and watches for its client's departure while nobody reads.
pub(crate) struct Attended<'a, F> {
    pub(crate) serving: Pin<&'a mut F>,
    traffic: &'a Traffic,
    stream: StreamCell,
    /// There only while a request is under way and nobody reads.
    watch: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a, F> Attended<'a, F> {
    pub(crate) fn new(serving: Pin<&'a mut F>, traffic: &'a Traffic, stream: StreamCell) -> Self {
        Self {
            serving,
            traffic,
            stream,
            watch: None,
        }
    }

    fn poll_departure(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.traffic.is_read() || self.traffic.owes_nothing() {
            self.watch = None;
            return Poll::Pending;
        }
        let watch = self
            .watch
            .get_or_insert_with(|| Box::pin(departure_of(self.stream.clone())));
        watch.as_mut().poll(cx)
    }
}

impl<F: Future<Output = hyper::Result<()>>> Future for Attended<'_, F> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.traffic.begin_turn();
        if let Poll::Ready(over) = self.serving.as_mut().poll(cx) {
            return Poll::Ready(Outcome::Over(over));
        }
        if let Some(early) = self.traffic.http2() {
            return Poll::Ready(Outcome::Http2(early.clone()));
        }
        self.poll_departure(cx).map(|()| {
            self.traffic.ended();
            Outcome::PeerLeft
        })
    }
}

/// Waits until the peer of a socket has closed or reset it, whatever waits unread in it.
async fn departure_of(stream: StreamCell) {
    for _ in 0..PATIENCE {
        tokio::task::yield_now().await;
    }
    let socket = match second_descriptor(&stream) {
        Some(Ok(socket)) => socket,
        Some(Err(error)) => {
            say_unwatched(&error);
            return pending().await;
        }
        None => return pending().await,
    };
    drop(stream);
    while let Ok(ready) = socket.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // Clears the readiness until something new happens; that it is closed is never cleared.
        let _ = socket.try_io(Interest::READABLE, || {
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
    }
}

/// `None` where there is no socket.
fn second_descriptor(stream: &StreamCell) -> Option<io::Result<TcpStream>> {
    let registered = |descriptor| TcpStream::from_std(std::net::TcpStream::from(descriptor));
    Some(stream.second_descriptor()?.and_then(registered))
}

fn say_unwatched(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(%error, "no descriptor to watch a client with: its departure is noticed late");
    });
}
