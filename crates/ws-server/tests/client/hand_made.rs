//! What the tests of the client need: an executor for it, and servers made by hand that break what they are told to.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use core_executor::{RuntimeExecutor, Spawner};
use tungstenite::handshake::derive_accept_key;
use ws_server::client::{ClientConfig, ClientError, Closed, Message, WsClient};

use crate::support::{PATIENCE, TestServer, block_on};

/// Settings of a test's client: no heartbeat, short farewells.
pub(crate) fn client_config() -> ClientConfig {
    ClientConfig {
        ping_interval: Duration::ZERO,
        close_timeout: Duration::from_millis(300),
        ..ClientConfig::default()
    }
}

/// Runs a future that must be done in time.
pub(crate) fn patiently<T>(future: impl Future<Output = T>) -> T {
    block_on(async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("it is done in time")
    })
}

pub(crate) fn executor() -> RuntimeExecutor {
    RuntimeExecutor::with_threads(1).unwrap()
}

pub(crate) fn text(message: Option<Message>) -> String {
    message
        .expect("a message before the end")
        .to_text()
        .unwrap()
        .to_owned()
}

/// A server of one connection, played by a function on a thread.
pub(crate) struct HandMade {
    pub(crate) addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl HandMade {
    /// Plays `play` with the first connection.
    pub(crate) fn start(play: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            play(stream);
        });
        Self { addr, thread }
    }

    /// Plays `play` after a lawful handshake.
    pub(crate) fn after_handshake(play: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        Self::start(|mut stream| {
            let answer = lawful_answer(&request(&mut stream));
            stream.write_all(answer.as_bytes()).unwrap();
            play(stream);
        })
    }

    /// Answers the handshake with what `answer` makes of a lawful answer, and waits for the client to go.
    pub(crate) fn answering(answer: impl FnOnce(String) -> String + Send + 'static) -> Self {
        Self::start(|mut stream| {
            let answer = answer(lawful_answer(&request(&mut stream)));
            stream.write_all(answer.as_bytes()).unwrap();
            wait_for_end(&mut stream);
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    pub(crate) async fn connect(
        &self,
        config: &ClientConfig,
        spawner: &Spawner,
    ) -> Result<WsClient, ClientError> {
        WsClient::connect(&self.url(), config, spawner).await
    }

    /// Fails if what was played failed.
    pub(crate) fn join(self) {
        self.thread
            .join()
            .expect("the hand-made server saw what it expected");
    }
}

/// The head of the client's request.
pub(crate) fn request(stream: &mut TcpStream) -> String {
    crate::support::read_head(stream)
}

/// The value of a header, by its lowercase name.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(crate) fn lawful_answer(request: &str) -> String {
    let key = header(request, "sec-websocket-key").expect("the request has a key");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// An unmasked server frame.
pub(crate) fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(length as u8),
        length @ 126..65536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// Reads one client frame, unmasked: first byte and payload; `None` at the end of the stream.
pub(crate) fn client_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[1] & 0x80, 0x80, "a client masks");
    let wide = match head[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = [0; 8];
    stream.read_exact(&mut length[8 - wide..]).ok()?;
    let length = if wide == 0 {
        usize::from(head[1] & 0x7f)
    } else {
        u64::from_be_bytes(length) as usize
    };
    let mut key = [0; 4];
    stream.read_exact(&mut key).ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
    Some((head[0], payload))
}

/// Code and reason of the client's next frame, which must be a Close.
pub(crate) fn client_close(stream: &mut TcpStream) -> (u16, String) {
    let (first, payload) = client_frame(stream).expect("a frame before the end");
    assert_eq!(first, 0x88, "a Close");
    close_body(&payload)
}

pub(crate) fn close_body(payload: &[u8]) -> (u16, String) {
    let code = payload
        .get(..2)
        .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
    let reason = payload.get(2..).unwrap_or_default().to_vec();
    (code, String::from_utf8(reason).unwrap())
}

/// The payload of a Close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// Reads until the client is gone.
pub(crate) fn wait_for_end(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
}

/// An answer with one header more.
pub(crate) fn with_line(answer: &str, line: &str) -> String {
    answer.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1)
}

/// Connects to a server that plays `play` after its handshake. Gives all the client receives, how that ended, and
/// the last word.
pub(crate) fn conversation(
    config: &ClientConfig,
    play: impl FnOnce(TcpStream) + Send + 'static,
) -> (Vec<Message>, Result<(), ClientError>, Closed) {
    let server = HandMade::after_handshake(play);
    let executor = executor();
    let heard = patiently(async {
        let mut client = server.connect(config, &executor.spawner()).await.unwrap();
        let mut messages = Vec::new();
        let outcome = loop {
            match client.receive().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(client.receive().await.unwrap(), None, "an error comes once");
        assert!(matches!(client.send("late").await, Err(ClientError::Closed)));
        (messages, outcome, client.closed().expect("it has ended"))
    });
    server.join();
    heard
}

impl TestServer {
    /// A client of our own server.
    pub(crate) async fn client(&self, config: &ClientConfig) -> WsClient {
        let url = format!("ws://{}/", self.addr);
        WsClient::connect(&url, config, &self.executor.spawner())
            .await
            .expect("the handshake succeeds")
    }
}
