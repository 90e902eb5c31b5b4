//! Notices that a client left while nobody reads its connection: bytes wait behind the request that is handled.
//!
//! The gate reads beside a handler only as long as it holds no whole request. From then on the socket is watched through
//! a second descriptor: its readiness is its own, so the first one's is left as the gate needs it.

use crate::outcome::Outcome;
use crate::traffic::Traffic;
use crate::turn_clock;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Turns of the worker's other tasks that a handler may take before it costs a descriptor: one whose body was not
/// asked for yet reads it in the next.
const PATIENCE: usize = 2;
/// When a descriptor that was not to be had at once is asked for again.
const LATER: Duration = Duration::from_millis(1);

/// Serves a connection and watches for its client's departure while nobody reads.
pub(crate) struct Attended<'a, F> {
    pub(crate) serving: Pin<&'a mut F>,
    traffic: &'a Arc<Traffic>,
    /// There only while a request is under way and nobody reads.
    watch: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a, F> Attended<'a, F> {
    pub(crate) fn new(serving: Pin<&'a mut F>, traffic: &'a Arc<Traffic>) -> Self {
        Self {
            serving,
            traffic,
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
            .get_or_insert_with(|| Box::pin(departure_of(self.traffic.clone())));
        watch.as_mut().poll(cx)
    }
}

impl<F: Future<Output = hyper::Result<()>>> Future for Attended<'_, F> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.traffic.begin_turn();
        turn_clock::begin_turn();
        if let Poll::Ready(over) = self.serving.as_mut().poll(cx) {
            return Poll::Ready(Outcome::Over(over));
        }
        if let Some((stream, early)) = self.traffic.take_http2() {
            return Poll::Ready(Outcome::Http2(stream, early));
        }
        self.poll_departure(cx).map(|()| {
            self.traffic.ended();
            Outcome::PeerLeft
        })
    }
}

/// Waits until the peer of a socket has closed or reset it, whatever waits unread in it.
async fn departure_of(traffic: Arc<Traffic>) {
    for _ in 0..PATIENCE {
        tokio::task::yield_now().await;
    }
    let socket = match second_descriptor(&traffic).await {
        Some(Ok(socket)) => socket,
        Some(Err(error)) => {
            say_unwatched(&error);
            return pending().await;
        }
        None => return pending().await,
    };
    drop(traffic);
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

/// `None` where there is no socket. Who has the socket is asked for it, and answers in the connection's next turn.
async fn second_descriptor(traffic: &Traffic) -> Option<io::Result<TcpStream>> {
    let registered = |descriptor| TcpStream::from_std(std::net::TcpStream::from(descriptor));
    traffic.want_descriptor();
    tokio::task::yield_now().await;
    loop {
        if let Some(descriptor) = traffic.take_descriptor() {
            return Some(descriptor?.and_then(registered));
        }
        // Hyper did not get to the stream in its turn.
        tokio::time::sleep(LATER).await;
    }
}

fn say_unwatched(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(%error, "no descriptor to watch a client with: its departure is noticed late");
    });
}
