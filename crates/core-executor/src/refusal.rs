//! What a connection past a limit gets: 503 and the end, without a byte of it being read for its meaning.

use crate::connection::SharedListener;
use crate::running_server::Shared;
use crate::slots::{Slot, Slots};
use crate::traffic::Traffic;
use crate::{Arrival, CloseReason, ConnectionGuard, ConnectionId, IoStream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Refusals of one server that are under way at once; past that a connection is reset without a word.
const AT_ONCE: usize = 256;
/// Up to so many of them wait for the peer to have read its answer.
const PATIENT: usize = 128;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes the peer may still send meanwhile.
const MAX_DISCARDED: usize = 64 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 34\r\n\
    Retry-After: 1\r\n\
    Connection: close\r\n\
    \r\n\
    {\"message\":\"too many connections\"}";

/// Refuses connections for one server.
#[derive(Clone)]
pub(crate) struct Refusals {
    under_way: Arc<Slots>,
    shared: Arc<Shared>,
    listener: Option<SharedListener>,
    /// The server speaks TLS, and so has no answer that a peer could read before a handshake.
    is_tls: bool,
}

impl Refusals {
    pub(crate) fn new(shared: Arc<Shared>, listener: Option<SharedListener>, is_tls: bool) -> Self {
        Self {
            under_way: Arc::new(Slots::new(AT_ONCE)),
            shared,
            listener,
            is_tls,
        }
    }

    /// The task that refuses; nothing when too many are at it, and then the connection has been reset.
    pub(crate) fn refuse(
        &self,
        arrival: Arrival,
        remote_addr: SocketAddr,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        match self.under_way.take() {
            Ok(slot) => Some(self.clone().answer(arrival, remote_addr, slot)),
            Err(_) => {
                arrival.reset();
                None
            }
        }
    }

    async fn answer(self, arrival: Arrival, remote_addr: SocketAddr, _slot: Slot) {
        let traffic = Arc::new(Traffic::new(self.shared.totals.clone()));
        let local_addr = arrival.local_addr(self.shared.local_addr);
        let mut guard = ConnectionGuard::arrived(
            self.listener.as_ref(),
            ConnectionId::next(),
            &remote_addr,
            &local_addr,
            || traffic.clone(),
        );
        guard.accepted(None);
        if self.is_tls {
            // An answer would want a handshake first.
            arrival.reset();
        } else if let Ok(stream) = arrival.open() {
            let is_patient = self.under_way.taken() <= PATIENT;
            tokio::select! {
                biased;
                () = self.shared.drain.begun() => {}
                () = self.shared.cut.cancelled() => {}
                _ = tokio::time::timeout(PATIENCE, say(stream, &traffic, is_patient)) => {}
            }
        }
        guard.closed(CloseReason::LimitRefused);
    }
}

/// Writes the answer, for which a new socket has room. Closing a socket with unread bytes resets it, and a reset may
/// overtake the answer, so what the peer sends is taken in for a while.
async fn say(mut stream: IoStream, traffic: &Traffic, is_patient: bool) -> std::io::Result<()> {
    stream.write_all(ANSWER).await?;
    traffic.wrote(ANSWER.len());
    stream.shutdown().await?;
    let (mut scrap, mut discarded) = ([0; 1024], 0);
    while is_patient && discarded < MAX_DISCARDED {
        match stream.read(&mut scrap).await? {
            0 => break,
            bytes => {
                discarded += bytes;
                traffic.read(bytes);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ANSWER;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert_eq!(body, r#"{"message":"too many connections"}"#);
    }
}
