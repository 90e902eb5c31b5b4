//! Connections over loopback, server and client on one thread, in turns.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use benches::Template;
use core_executor::Spawner;
use ws_server::WsServer;

use crate::AnyError;

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Payload bytes of a message.
const SIZE: usize = 20;
/// A header without a mask, of a short frame.
const HEADER: usize = 2;

/// What the clients do in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Talk {
    /// Each of so many clients sends so many messages and hears them.
    Echo { clients: usize, in_flight: usize },
    /// The first of so many clients sends one message and all hear it.
    Room { clients: usize },
}

impl Talk {
    fn clients(self) -> usize {
        match self {
            Self::Echo { clients, .. } | Self::Room { clients } => clients,
        }
    }

    /// Messages a client hears in a round.
    fn heard(self) -> usize {
        match self {
            Self::Echo { in_flight, .. } => in_flight,
            Self::Room { .. } => 1,
        }
    }

    fn speaks(self, client: usize) -> bool {
        matches!(self, Self::Echo { .. }) || client == 0
    }
}

/// Talks for `rounds` rounds. Returns how many messages the clients heard.
pub(crate) async fn run(
    server: WsServer,
    spawner: &Spawner,
    talk: Talk,
    rounds: u64,
) -> Result<u64, AnyError> {
    let running = server.start(spawner)?;
    let address = running.local_addr().ok_or("it has a listener of its own")?;
    let mut clients = connect(address, talk.clients()).await?;
    let hub = running.hub();
    let template = Template::plain(SIZE, false);
    let mut frames = Vec::new();
    (0..talk.heard()).for_each(|number| template.write(0, number as u64, &mut frames));
    let mut buffer = vec![0; 2 * frames.len()];
    let (heard, mut sent) = (talk.heard() * (HEADER + SIZE), 0);
    for _ in 0..rounds {
        for (at, client) in clients.iter_mut().enumerate() {
            if talk.speaks(at) {
                client.write_all(&frames)?;
            }
        }
        sent += (talk.clients() * talk.heard()) as u64;
        while hub.metrics().messages_sent() < sent {
            tokio::task::yield_now().await;
        }
        for client in &mut clients {
            if read(client, &mut buffer)? != heard {
                return Err("a client did not hear exactly what it should".into());
            }
        }
    }
    Ok(sent)
}

async fn connect(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, AnyError> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = TcpStream::connect(address)?;
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        client.write_all(HANDSHAKE)?;
        let mut answer = [0; 1024];
        while read(&mut client, &mut answer)? == 0 {
            tokio::task::yield_now().await;
        }
        clients.push(client);
    }
    Ok(clients)
}

/// Bytes that were there; 0 when there were none.
fn read(client: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    match client.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
