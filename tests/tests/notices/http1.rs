//! The steps of a client of HTTP/1, and how it finds the answers.

use workspace_tests::raw::{TEXT, frame};

use crate::client::Client;
use crate::script::Step;

const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Client {
    pub(crate) async fn http1(&mut self, step: Step) {
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

    /// Finds the answers that begin in what has come.
    pub(crate) fn find_http1_answers(&mut self, received: &[u8]) {
        for byte in received {
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
    }
}
