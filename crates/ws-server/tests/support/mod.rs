//! A server on threads of its own, clients that never wait for ever, and a record of what callbacks saw.
#![allow(dead_code, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::{Message, WebSocket};
use ws_server::{
    CloseInfo, ClosedBy, Encoded, Hub, JsonMessage, Relay, RunningWsServer, Session, StopPlan, Target,
    WsConfig, WsReport, WsServer,
};

/// The longest any step of a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Client = WebSocket<TcpStream>;

/// Settings of a test server: any free port, no heartbeat.
pub(crate) fn config() -> WsConfig {
    WsConfig {
        port: 0,
        idle_timeout: Duration::ZERO,
        ping_interval: Duration::ZERO,
        close_timeout: Duration::from_millis(300),
        ..WsConfig::default()
    }
}

pub(crate) struct TestServer {
    pub(crate) executor: RuntimeExecutor,
    pub(crate) running: RunningWsServer,
    pub(crate) hub: Hub,
    pub(crate) addr: SocketAddr,
}

impl TestServer {
    pub(crate) fn start(server: WsServer) -> Self {
        Self::start_on(2, server)
    }

    pub(crate) fn start_on(threads: usize, server: WsServer) -> Self {
        let executor = RuntimeExecutor::with_threads(threads).unwrap();
        let running = server.start(&executor.spawner()).unwrap();
        let (hub, addr) = (running.hub(), running.local_addr().unwrap());
        Self {
            executor,
            running,
            hub,
            addr,
        }
    }

    pub(crate) fn connect(&self, path: &str) -> Client {
        connect(self.addr, path)
    }

    pub(crate) fn raw(&self) -> TcpStream {
        let mut stream = tcp(self.addr);
        stream.write_all(&handshake("/", &[])).unwrap();
        assert!(
            read_head(&mut stream).starts_with("HTTP/1.1 101"),
            "handshake refused"
        );
        stream
    }

    /// Stops with everything at once and no retry reason.
    pub(crate) fn stop_within(self, limit: Duration) -> WsReport {
        let Self {
            executor, running, ..
        } = self;
        block_on(async move {
            let plan = StopPlan {
                batch_per_second: 0,
                retry_window: Duration::ZERO,
                ..StopPlan::within(limit)
            };
            let report = running.stop(plan).await;
            executor.stop_and_wait(Duration::from_millis(200)).await;
            report
        })
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn connect(addr: SocketAddr, path: &str) -> Client {
    try_connect(addr, path, &[]).expect("the handshake succeeds")
}

/// A handshake; the status of the answer when it is refused.
pub(crate) fn try_connect(
    addr: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Client, u16> {
    let mut request = format!("ws://{addr}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match tungstenite::client(request, tcp(addr)) {
        Ok((client, _)) => Ok(client),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error:?}"),
    }
}

pub(crate) fn handshake(path: &str, more: &[&str]) -> Vec<u8> {
    let mut lines = vec![
        format!("GET {path} HTTP/1.1"),
        "Host: localhost".to_owned(),
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
        "Sec-WebSocket-Version: 13".to_owned(),
    ];
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

/// Reads an HTTP head, byte by byte so that nothing behind it is taken.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A masked client frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let key = [1, 2, 3, 4];
    bytes.extend(key);
    bytes.extend(
        payload
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ key[index % 4]),
    );
    bytes
}

/// Reads one server frame: first byte and payload; `None` at the end of the stream.
pub(crate) fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[1] & 0x80, 0, "a server does not mask");
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            u64::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).ok()?;
            u64::from_be_bytes(length)
        }
        length => u64::from(length),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((head[0], payload))
}

/// Skips to the server's Close; its code and reason.
pub(crate) fn read_close(stream: &mut TcpStream) -> (u16, String) {
    loop {
        let (first, payload) = read_frame(stream).expect("a Close before the end");
        if first == 0x88 {
            let code = payload
                .get(..2)
                .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
            return (
                code,
                String::from_utf8(payload.get(2..).unwrap_or_default().to_vec()).unwrap(),
            );
        }
    }
}

pub(crate) fn text_of(client: &mut Client) -> String {
    match client.read().expect("a message") {
        Message::Text(text) => text.to_string(),
        other => panic!("expected a text, got {other:?}"),
    }
}

pub(crate) fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).unwrap();
}

/// Reads to the server's Close and answers it; its code and reason.
pub(crate) fn close_of(client: &mut Client) -> (u16, String) {
    let mut close = None;
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => {
                close = Some((u16::from(frame.code), frame.reason.to_string()));
            }
            Ok(_) => {}
            Err(_) => return close.expect("a Close before the end"),
        }
    }
}

/// What the callbacks of a server saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Open(u64),
    Close(u64, u16, ClosedBy),
    Error(String),
    Other(String),
}

pub(crate) struct Record {
    pub(crate) sender: Sender<Seen>,
    pub(crate) seen: Receiver<Seen>,
    pub(crate) opens: Arc<AtomicUsize>,
    pub(crate) closes: Arc<AtomicUsize>,
}

impl Record {
    /// Watches the opens, closes and errors of a server.
    pub(crate) fn watch(server: WsServer) -> (WsServer, Self) {
        let (sender, seen) = channel();
        let (opens, closes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let record = Self {
            sender: sender.clone(),
            seen,
            opens: opens.clone(),
            closes: closes.clone(),
        };
        let (on_open, on_error) = (sender.clone(), sender.clone());
        let server = server
            .on_open(move |session: Session| {
                opens.fetch_add(1, Ordering::SeqCst);
                let _ = on_open.send(Seen::Open(session.id().get()));
                async {}
            })
            .on_error(move |_, error| {
                let _ = on_error.send(Seen::Error(error.to_string()));
                async {}
            })
            .on_close(move |session: Session, info: CloseInfo| {
                closes.fetch_add(1, Ordering::SeqCst);
                let _ = sender.send(Seen::Close(session.id().get(), info.code, info.by));
                async {}
            });
        (server, record)
    }

    pub(crate) fn next(&self) -> Seen {
        self.seen
            .recv_timeout(PATIENCE)
            .expect("something to be seen in time")
    }

    /// The next close: code and cause.
    pub(crate) fn close(&self) -> (u16, ClosedBy) {
        loop {
            if let Seen::Close(_, code, by) = self.next() {
                return (code, by);
            }
        }
    }

    /// The next error's text.
    pub(crate) fn error(&self) -> String {
        loop {
            if let Seen::Error(text) = self.next() {
                return text;
            }
        }
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.opens.load(Ordering::SeqCst),
            self.closes.load(Ordering::SeqCst),
        )
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Writes down what it hears.
pub(crate) struct Listener(pub(crate) Arc<Mutex<Vec<String>>>);

impl Relay for Listener {
    fn session_message(&self, _: &Session, message: &JsonMessage) {
        self.0.lock().unwrap().push(format!("relay {}", message.type_));
        assert!(message.type_ != "relay.panic", "asked to");
    }

    fn broadcast(&self, target: Target<'_>, message: &Encoded) {
        let text = message.as_text().unwrap_or("binary").to_owned();
        self.0.lock().unwrap().push(format!("{target:?} {text}"));
    }
}

/// A server that sends every text and binary message back.
pub(crate) fn echo(config: WsConfig) -> WsServer {
    WsServer::new(config)
        .on_message(|session, text| async move {
            session.send_text(text);
        })
        .on_binary(|session, body| async move {
            session.send_binary(body);
        })
}

/// The value of a counter or gauge of the server.
pub(crate) fn metric(hub: &Hub, name: &str) -> f64 {
    let registry = prometheus::Registry::new();
    hub.metrics().register(&registry).unwrap();
    let families = registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == name)
        .expect("a known metric");
    family
        .get_metric()
        .iter()
        .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
        .sum()
}
