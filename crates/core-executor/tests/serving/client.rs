//! A client that sends bytes as they are and reads answers one by one.

use crate::support::soon;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::from_stream(soon("a connection", TcpStream::connect(to)).await.unwrap())
    }

    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.stream.write_all(bytes).await.unwrap();
        self.sent += bytes.len() as u64;
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
    }

    /// Asks and reads the answer's body.
    pub(crate) async fn text(&mut self, path: &str) -> String {
        self.get(path).await;
        self.answer().await.body
    }

    /// The next answer; its body is as long as it says, and empty when it does not.
    pub(crate) async fn answer(&mut self) -> Answer {
        let answer = self.try_answer().await;
        answer.expect("the server closed the connection instead of answering")
    }

    /// The next answer, or `None` when the connection ends before it begins.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more().await {
                assert!(self.unread.is_empty(), "cut within a head");
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect())
            .unwrap()
            .to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read_more().await, "cut within a body");
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        Some(Answer { status, head, body })
    }

    /// Exactly this many raw bytes.
    pub(crate) async fn raw(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read_more().await, "the connection ended early");
        }
        self.unread.drain(..length).collect()
    }

    /// Waits for the end of the connection and gives what came before it.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Closes with a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }

    async fn read_more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        // A reset is an end as well.
        let count = soon("bytes or an end", self.stream.read(&mut chunk))
            .await
            .unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..count]);
        self.received += count as u64;
        count > 0
    }
}
