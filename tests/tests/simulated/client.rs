//! Clients of a simulated network: frames byte by byte, and what they saw.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use workspace_tests::raw::{CLOSE, PING, PONG, TEXT, frame, handshake, parse_close};

use crate::network::{HTTP, WEBSOCKET, now, until};

/// How long a client waits for the end of a connection whose Close it has answered.
const LAST: Duration = Duration::from_millis(500);

/// What a client saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Saw {
    pub(crate) name: String,
    pub(crate) news: Vec<u64>,
    pub(crate) echoes: Vec<u64>,
    /// How many messages it sent.
    pub(crate) said: u64,
    pub(crate) close: Option<(u16, String)>,
}

/// What a client does beside reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) connects_at: Duration,
    pub(crate) says_every: Duration,
    /// It says something that holds its handler for ever, and nothing else from then on.
    pub(crate) sticks_at: Option<Duration>,
    /// It reads no more from then on, and goes on speaking.
    pub(crate) deaf_at: Option<Duration>,
}

struct Client {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    bytes: Vec<u8>,
    saw: Saw,
}

/// The life of one client, up to the server's Close or the end of its connection.
pub(crate) async fn live(name: String, manner: Manner) -> turmoil::Result<Saw> {
    until(manner.connects_at).await;
    let mut client = Client::connect(name).await?;
    let told = client.speak_and_read(manner).await;
    if manner.deaf_at.is_some() && told.is_none() {
        client.speak_alone(manner.says_every).await;
    }
    Ok(client.saw)
}

impl Client {
    async fn connect(name: String) -> turmoil::Result<Self> {
        let stream = TcpStream::connect(("server", WEBSOCKET)).await?;
        let (mut reader, mut writer) = stream.into_split();
        writer
            .write_all(handshake(&format!("/?{name}"), "").as_bytes())
            .await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reader.read_u8().await?);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was refused");
        let saw = Saw {
            name,
            ..Saw::default()
        };
        Ok(Self {
            reader,
            writer,
            bytes: Vec::new(),
            saw,
        })
    }

    /// Ends with the Close (something), or where it turns deaf or the connection ends.
    async fn speak_and_read(&mut self, manner: Manner) -> Option<()> {
        let mut says_at = Instant::now() + manner.says_every;
        let mut sticks = manner.sticks_at;
        loop {
            while let Some((first, payload)) = self.take_frame() {
                if self.answer(first, payload).await? {
                    return Some(());
                }
            }
            if manner.deaf_at.is_some_and(|at| at <= now()) {
                return None;
            }
            let speaks = manner.sticks_at.is_none() || sticks.is_some();
            tokio::select! {
                biased;
                read = self.reader.read_buf(&mut self.bytes) => if read.ok()? == 0 {
                    return None;
                },
                () = sleep_until(says_at), if speaks => {
                    says_at += manner.says_every;
                    match sticks.take_if(|at| *at <= now()) {
                        Some(_) => self.write(&frame(TEXT, b"stick")).await?,
                        None => self.say().await?,
                    }
                }
            }
        }
    }

    /// Gives whether that was the Close.
    async fn answer(&mut self, first: u8, payload: Vec<u8>) -> Option<bool> {
        match first {
            PING => self.write(&frame(PONG, &payload)).await?,
            CLOSE => {
                let (code, reason) = parse_close(&payload);
                self.write(&frame(CLOSE, &code.to_be_bytes())).await?;
                self.saw.close = Some((code, reason));
                // Who goes at once, goes with a reset.
                let _ = timeout(LAST, self.reader.read_u8()).await;
                return Some(true);
            }
            _ => self.saw.note(&payload),
        }
        Some(false)
    }

    async fn say(&mut self) -> Option<()> {
        let word = frame(TEXT, self.saw.said.to_string().as_bytes());
        self.saw.said += 1;
        self.write(&word).await
    }

    async fn speak_alone(&mut self, every: Duration) {
        while self.say().await.is_some() {
            tokio::time::sleep(every).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.writer.write_all(bytes).await.ok()
    }

    /// The next frame that is here as a whole.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, length) = (*self.bytes.first()?, *self.bytes.get(1)?);
        assert!(length < 126, "nobody sends that much here");
        let end = 2 + usize::from(length);
        (self.bytes.len() >= end).then(|| {
            let frame = self.bytes.drain(..end).skip(2).collect();
            (first, frame)
        })
    }
}

impl Saw {
    fn note(&mut self, text: &[u8]) {
        let text = std::str::from_utf8(text).expect("a server's text is UTF-8");
        let (numbers, number) = match text.strip_prefix("echo ") {
            Some(number) => (&mut self.echoes, number),
            None => (&mut self.news, text),
        };
        numbers.push(number.parse().expect("a number"));
    }
}

/// Asks for a path; gives the status of a whole answer.
pub(crate) async fn ask(path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("server", HTTP)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    workspace_tests::http::read_answer(&mut answer.as_slice()).map(|answer| answer.status)
}
