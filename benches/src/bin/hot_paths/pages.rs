//! A page over loopback, from our `App` or from `axum::serve`: the same router, the same clients, on one thread in turns.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use core_executor::Spawner;
use http_app::{App, AppConfig};

use crate::AnyError;

const CLIENTS: usize = 50;
const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: here\r\n\r\n";
const PAGE: &str = "Hello, World!";

/// Requests that have reached the handler.
static HANDLED: AtomicU64 = AtomicU64::new(0);

async fn page() -> &'static str {
    HANDLED.fetch_add(1, Ordering::Relaxed);
    PAGE
}

/// Who serves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host {
    /// Our `App`, with every limit at its default.
    Ours,
    /// `axum::serve`.
    Axum,
}

/// Each client asks `depth` times, `rounds` times over. Returns the number of requests.
pub(crate) async fn run(host: Host, spawner: &Spawner, depth: usize, rounds: u64) -> Result<u64, AnyError> {
    match host {
        Host::Ours => {
            let config = AppConfig {
                port: 0,
                ..AppConfig::default()
            };
            let app = App::new(config).route("/plaintext", get(page)).listen(spawner)?;
            ask(app.local_addr(), depth, rounds).await
        }
        Host::Axum => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let serving = axum::serve(listener, Router::new().route("/plaintext", get(page))).into_future();
            spawner.spawn_service(async move {
                let _ = serving.await;
            })?;
            ask(address, depth, rounds).await
        }
    }
}

async fn ask(address: SocketAddr, depth: usize, rounds: u64) -> Result<u64, AnyError> {
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let client = TcpStream::connect(address)?;
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        clients.push(client);
    }
    let requests = REQUEST.repeat(depth);
    let (mut asked, mut length, mut buffer) = (0, None, vec![0; 64 * 1024]);
    for _ in 0..rounds {
        for client in &mut clients {
            client.write_all(&requests)?;
        }
        asked += (CLIENTS * depth) as u64;
        while HANDLED.load(Ordering::Relaxed) < asked {
            tokio::task::yield_now().await;
        }
        // What the last handler answered is written once its connection's turn is over.
        tokio::task::yield_now().await;
        for client in &mut clients {
            let count = read(client, &mut buffer)?;
            let expected = *length.get_or_insert(count);
            if count != expected || !buffer[..count].ends_with(PAGE.as_bytes()) {
                return Err("a client did not get exactly what it asked for".into());
            }
        }
    }
    Ok(asked)
}

/// Bytes that were there; 0 when there were none.
fn read(client: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    match client.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
