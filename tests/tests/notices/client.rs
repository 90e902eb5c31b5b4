//! A client that lives its script and remembers what it sent and saw.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use workspace_tests::PATIENCE;
use workspace_tests::raw::{TEXT, frame};

use crate::script::{End, Script, Step};

/// What a client looks for where nothing is owed to it.
const GLANCE: Duration = Duration::from_millis(1);
const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What became of a client.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) script: Script,
    /// `None` where the port was closed before.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) sent: u64,
    /// Ends of heads among the bytes sent.
    pub(crate) heads: u64,
    pub(crate) asked_upgrade: bool,
    pub(crate) received: u64,
    /// Answers other than 101, and those of them that were 200.
    pub(crate) answers: u64,
    pub(crate) successes: u64,
    /// A 101 was read.
    pub(crate) is_upgraded: bool,
}

pub(crate) async fn live(script: Script, from: [u8; 4], to: SocketAddr) -> Life {
    let life = Life {
        script,
        addr: None,
        sent: 0,
        heads: 0,
        asked_upgrade: false,
        received: 0,
        answers: 0,
        successes: 0,
        is_upgraded: false,
    };
    let socket = TcpSocket::new_v4().expect("a descriptor");
    socket.bind((from, 0).into()).expect("an address of this machine");
    let Ok(stream) = socket.connect(to).await else {
        return life;
    };
    let mut client = Client {
        life,
        stream,
        tail: Vec::new(),
        owed: Some(0),
    };
    client.life.addr = client.stream.local_addr().ok();
    for step in client.life.script.steps.clone() {
        client.step(step).await;
    }
    client.end().await
}

struct Client {
    life: Life,
    stream: TcpStream,
    /// The last bytes received, where an answer may begin.
    tail: Vec<u8>,
    /// Answers it is owed; `None` when the script has made that unknowable.
    owed: Option<u64>,
}

impl Client {
    async fn step(&mut self, step: Step) {
        let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n{more}\r\n");
        match step {
            Step::Get => self.ask(&get("/", ""), 1).await,
            Step::Pipelined(count) => self.ask(&get("/", "").repeat(count.into()), count.into()).await,
            Step::Post => {
                self.ask(
                    "POST /post HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
                    1,
                )
                .await
            }
            Step::Slow => self.ask(&get("/slow", ""), 1).await,
            Step::Never(behind) => {
                let next = "GET /behind HTTP/1.1\r\nX: "
                    .chars()
                    .chain(std::iter::repeat('x'));
                let next: String = next.take(behind.into()).collect();
                self.say(&(get("/never", "") + &next)).await;
            }
            Step::Panic => self.ask(&get("/panic", ""), 1).await,
            Step::HalfHead => self.say("GET / HTTP/1.1\r\nHost: t").await,
            Step::HalfBody => {
                self.say("POST /post HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nhello")
                    .await
            }
            Step::Garbage => self.say("\0\x01\x02 no http at all\r\n\r\n").await,
            Step::BadUpgrade => {
                let more = format!("{UPGRADE}Sec-WebSocket-Version: 7\r\n");
                self.ask(&get("/ws", &more), 1).await;
            }
            Step::Upgrade => {
                self.upgrade(&get("/ws", &format!("{UPGRADE}Sec-WebSocket-Version: 13\r\n")))
                    .await
            }
            Step::Frame => self.frame().await,
            Step::Read => self.read_owed().await,
        }
    }

    async fn ask(&mut self, request: &str, answers: u64) {
        self.send(request.as_bytes()).await;
        self.owed = self.owed.map(|owed| owed + answers);
    }

    /// Sends what leaves nobody to know what the next answer is.
    async fn say(&mut self, text: &str) {
        self.send(text.as_bytes()).await;
        self.owed = None;
    }

    async fn upgrade(&mut self, request: &str) {
        self.life.asked_upgrade = true;
        self.ask(request, 1).await;
        self.read_owed().await;
        self.owed = None;
    }

    async fn frame(&mut self) {
        self.send(&frame(TEXT, b"hello")).await;
        if !self.life.is_upgraded {
            self.owed = None;
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let heads = bytes.windows(4).filter(|window| window == b"\r\n\r\n").count();
        self.life.heads += heads as u64;
        // A server that reads no more must not hold the client up.
        for piece in bytes.chunks(4096) {
            match timeout(GLANCE, self.stream.write(piece)).await {
                Ok(Ok(count)) => self.life.sent += count as u64,
                _ => return,
            }
        }
    }

    /// Reads every answer it is owed, or has a glance at what there is.
    async fn read_owed(&mut self) {
        let Some(owed) = self.owed else {
            let _ = timeout(GLANCE, self.read()).await;
            return;
        };
        let until = self.life.answers + u64::from(self.life.is_upgraded) + owed;
        while self.life.answers + u64::from(self.life.is_upgraded) < until {
            if !timeout(PATIENCE, self.read())
                .await
                .expect("an owed answer or an end")
            {
                break;
            }
        }
        self.owed = Some(0);
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.life.received += count as u64;
        for byte in &buffer[..count] {
            self.tail.push(*byte);
            let Some((_, line)) = self.tail.split_last_chunk::<{ "HTTP/1.1 200".len() }>() else {
                continue;
            };
            match line.strip_prefix(b"HTTP/1.1 ") {
                Some(b"101") => self.life.is_upgraded = true,
                Some(status) => {
                    self.life.answers += 1;
                    self.life.successes += u64::from(status == b"200");
                }
                None => {}
            }
        }
        self.tail.drain(..self.tail.len().saturating_sub(16));
        count > 0
    }

    async fn end(mut self) -> Life {
        match self.life.script.end {
            End::Close => {}
            End::Reset => {
                let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
            }
            End::HalfClose => {
                let _ = self.stream.shutdown().await;
                match self.owed {
                    Some(_) => self.read_to_end().await,
                    // More bytes than the window takes may be before the FIN: the server need not hear of it.
                    None => drop(timeout(GLANCE, self.read()).await),
                }
            }
            End::Stay => self.read_to_end().await,
        }
        self.life
    }

    async fn read_to_end(&mut self) {
        timeout(PATIENCE, async { while self.read().await {} })
            .await
            .unwrap_or_else(|_| panic!("the server leaves a client alone: {:?}", self.life));
    }
}
