//! Connections over loopback, server and client on one thread, in turns.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use benches::Template;
use core_executor::Spawner;
use ws_server::WsServer;

use crate::AnyError;

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Payload bytes of a message.
const SIZE: usize = 64;
/// A header without a mask, of a short frame.
const HEADER: usize = 2;

/// A room of `members`; the first one speaks once a round. Returns the deliveries.
pub(crate) async fn run(
    server: WsServer,
    spawner: &Spawner,
    members: usize,
    rounds: u64,
) -> Result<u64, AnyError> {
    let running = server.start(spawner)?;
    let address = running.local_addr().ok_or("it has a listener of its own")?;
    let mut clients = Vec::with_capacity(members);
    for _ in 0..members {
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
    let hub = running.hub();
    let template = Template::plain(SIZE, false);
    let (mut frame, mut buffer) = (Vec::new(), [0; 4 * SIZE]);
    for round in 0..rounds {
        frame.clear();
        template.write(0, round, &mut frame);
        clients[0].write_all(&frame)?;
        while hub.metrics().messages_sent() < (round + 1) * members as u64 {
            tokio::task::yield_now().await;
        }
        for client in &mut clients {
            if read(client, &mut buffer)? != HEADER + SIZE {
                return Err("a member did not hear exactly one message".into());
            }
        }
    }
    Ok(rounds * members as u64)
}

/// Bytes that were there; 0 when there were none.
fn read(client: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    match client.read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
