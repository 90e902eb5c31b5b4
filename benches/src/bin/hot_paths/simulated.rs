//! Connections without a kernel: a stream that answers its own server.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use benches::Template;
use core_executor::{Arrival, BoundListener, Listener, ServeOptions, Spawner, serve};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use ws_server::WsServer;

use crate::AnyError;

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Payload bytes of a message.
const SIZE: usize = 20;
/// A header without a mask, of a short frame.
const HEADER: usize = 2;
/// Frames of one read when nothing is answered.
const FLOOD: usize = 64;

/// What all wires of a run share.
struct Run {
    /// What the first wire's client sends in a round.
    chunk: Vec<u8>,
    /// Bytes the server writes in answer to it, on all wires together.
    answer: u64,
    rounds: u64,
    /// Rounds whose chunk was released.
    released: AtomicU64,
    /// Whether the released chunk was not read yet.
    is_ready: AtomicBool,
    written: AtomicU64,
    reader: Mutex<Option<Waker>>,
    done: Notify,
}

impl Run {
    /// Releases the next chunk, if there is one.
    fn release(&self) {
        if self.released.load(Ordering::Relaxed) == self.rounds {
            self.done.notify_one();
            return;
        }
        self.released.fetch_add(1, Ordering::Relaxed);
        self.is_ready.store(true, Ordering::Relaxed);
        let reader = self.reader.lock().expect("one thread").take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn count(&self, bytes: usize) {
        let written = self.written.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if written == self.released.load(Ordering::Relaxed) * self.answer {
            self.release();
        }
    }
}

/// One connection.
struct Wire {
    run: Arc<Run>,
    is_first: bool,
    is_asked: bool,
    is_open: bool,
    open: Arc<AtomicU64>,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.is_asked {
            wire.is_asked = true;
            buffer.put_slice(HANDSHAKE);
            return Poll::Ready(Ok(()));
        }
        if !wire.is_first {
            return Poll::Pending;
        }
        let run = &wire.run;
        if !wire.is_open || !run.is_ready.swap(false, Ordering::Relaxed) {
            *run.reader.lock().expect("one thread") = Some(context.waker().clone());
            return Poll::Pending;
        }
        buffer.put_slice(&run.chunk);
        if run.answer == 0 {
            run.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.is_open {
            wire.run.count(bytes.len());
        } else if bytes.ends_with(b"\r\n\r\n") {
            wire.is_open = true;
            wire.open.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_open {
            let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            return self.poll_write(context, &whole);
        }
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.run.count(length);
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets the wires in, one after the other.
struct Wires(VecDeque<Wire>);

fn nowhere() -> SocketAddr {
    ([192, 0, 2, 1], 1).into()
}

impl Listener for Wires {
    fn local_addr(&self) -> SocketAddr {
        nowhere()
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        match self.0.pop_front() {
            Some(wire) => Poll::Ready(Ok((Arrival::Boxed(Box::new(wire)), nowhere()))),
            None => Poll::Pending,
        }
    }
}

/// `wires` connections, of which the first sends `in_flight` messages a round; 0 stands for a flood that nothing
/// answers. Returns how many messages that were (deliveries, with several wires).
pub(crate) async fn run(
    server: WsServer,
    spawner: &Spawner,
    wires: usize,
    in_flight: usize,
    rounds: u64,
) -> Result<u64, AnyError> {
    let template = Template::plain(SIZE, false);
    let messages = if in_flight == 0 { FLOOD } else { in_flight };
    let mut chunk = Vec::new();
    (0..messages).for_each(|number| template.write(0, number as u64, &mut chunk));
    let run = Arc::new(Run {
        chunk,
        answer: (in_flight * wires * (HEADER + SIZE)) as u64,
        rounds,
        released: AtomicU64::new(0),
        is_ready: AtomicBool::new(false),
        written: AtomicU64::new(0),
        reader: Mutex::new(None),
        done: Notify::new(),
    });
    let open = Arc::new(AtomicU64::new(0));
    let wire = |at| Wire {
        run: run.clone(),
        is_first: at == 0,
        is_asked: false,
        is_open: false,
        open: open.clone(),
    };
    let listener = BoundListener::from_listener(Wires((0..wires).map(wire).collect()));
    let service = server.service();
    let _running = server.start_without_listener(spawner)?;
    let _served = serve(listener, service, ServeOptions::new("websocket"), spawner)?;
    while open.load(Ordering::Relaxed) < wires as u64 {
        tokio::task::yield_now().await;
    }
    run.release();
    run.done.notified().await;
    Ok(rounds * (messages * wires) as u64)
}
