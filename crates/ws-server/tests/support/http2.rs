//! A client of WebSocket over HTTP/2: frames by hand on streams of one connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, frame};

pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const TEXT: u8 = 0x81;

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// One connection of HTTP/2.
pub(crate) struct Connection {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) task: JoinHandle<Result<(), h2::Error>>,
}

/// One session on a stream of it.
pub(crate) struct Session {
    pub(crate) sink: SendStream<Bytes>,
    source: RecvStream,
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        let (requests, connection) = soon(h2::client::handshake(stream)).await.unwrap();
        let task = tokio::spawn(connection);
        let mut requests = requests.ready().await.unwrap();
        let begin = Instant::now();
        // RFC 8441 §3: only after the server has said that it knows the method in this form.
        while !requests.is_extended_connect_protocol_enabled() {
            assert!(
                begin.elapsed() < PATIENCE,
                "SETTINGS_ENABLE_CONNECT_PROTOCOL never came"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
            requests = requests.ready().await.unwrap();
        }
        Self { requests, task }
    }

    /// An extended CONNECT for `path`; the status of the answer when it is refused.
    pub(crate) async fn try_session(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Request<()>),
    ) -> Result<Session, u16> {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://localhost{path}"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(())
            .unwrap();
        change(&mut request);
        self.requests = soon(self.requests.clone().ready()).await.unwrap();
        let (answer, sink) = self.requests.send_request(request, false).unwrap();
        let answer = soon(answer).await.unwrap();
        match answer.status().as_u16() {
            200 => Ok(Session {
                sink,
                source: answer.into_body(),
                unread: Vec::new(),
            }),
            status => Err(status),
        }
    }

    pub(crate) async fn session(&mut self, path: &str) -> Session {
        self.try_session(path, |_| {})
            .await
            .expect("the handshake succeeds")
    }
}

impl Session {
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.sink.send_data(frame(first, payload).into(), false).unwrap();
    }

    pub(crate) async fn more(&mut self) -> bool {
        match soon(self.source.data()).await {
            Some(Ok(data)) => {
                self.source.flow_control().release_capacity(data.len()).unwrap();
                self.unread.extend_from_slice(&data);
                true
            }
            _ => false,
        }
    }

    /// The next frame: first byte and payload, which is shorter than 126 bytes; nothing at the end.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, length, rest @ ..] = &self.unread[..]
                && rest.len() >= usize::from(*length)
            {
                let (first, end) = (*first, 2 + usize::from(*length));
                let payload = self.unread[2..end].to_vec();
                self.unread.drain(..end);
                return Some((first, payload));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn says(&mut self, text: &str) {
        assert_eq!(self.frame().await, Some((TEXT, text.as_bytes().to_vec())));
    }

    pub(crate) async fn code_of_close(&mut self) -> u16 {
        let (first, payload) = self.frame().await.expect("a Close before the end");
        assert_eq!(first, CLOSE, "{payload:?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}
