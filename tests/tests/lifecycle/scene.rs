//! What is started, and how its clients talk to it.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use attached_runtime::{App, AppConfig, ShutdownHandle, WsConfig, WsServer};
use axum::routing::get;
use tokio::sync::Semaphore;
use tungstenite::{Message, WebSocket};
use workspace_tests::{PATIENCE, http};

pub(crate) type Socket = WebSocket<TcpStream>;
pub(crate) type Answering = JoinHandle<Option<u16>>;

pub(crate) const ROOM: &str = "room";

/// How often the callbacks ran.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) opens: AtomicUsize,
    pub(crate) closes: AtomicUsize,
    pub(crate) hooks: AtomicUsize,
    pub(crate) held: AtomicUsize,
}

pub(crate) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

pub(crate) fn read(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what} did not come true");
        thread::sleep(Duration::from_micros(200));
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    waiting.expect("a runtime").block_on(future)
}

/// The status of the answer; nothing when the connection ends before a whole one.
pub(crate) fn ask(address: SocketAddr, path: &str) -> Answering {
    let (mut stream, path) = (http::connect(address), path.to_owned());
    thread::spawn(move || {
        use std::io::{BufReader, Write};
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        http::read_answer(&mut BufReader::new(stream)).map(|answer| answer.status)
    })
}

pub(crate) fn text(socket: &mut Socket) -> String {
    match socket.read().expect("a message comes") {
        Message::Text(text) => text.to_string(),
        other => panic!("expected a text, got {other:?}"),
    }
}

pub(crate) fn say(socket: &mut Socket, said: &str) -> String {
    socket.send(Message::text(said)).expect("it can be sent");
    text(socket)
}

/// Reads to the end; gives the code of the server's Close.
pub(crate) fn farewell(mut socket: Socket) -> Option<u16> {
    let mut code = None;
    while let Ok(message) = socket.read() {
        if let Message::Close(Some(frame)) = message {
            code = Some(frame.code.into());
        }
    }
    code
}

/// An address of this machine that no run before had, so that a port which is free again is nobody else's.
pub(crate) fn own_host() -> String {
    static RUNS: AtomicU16 = AtomicU16::new(0);
    let [high, low] = RUNS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("127.1.{high}.{low}")
}

pub(crate) fn app(host: &str, counts: &Arc<Counts>, gate: &Arc<Semaphore>, stop: ShutdownHandle) -> App {
    let (hooked, counted, gate) = (counts.clone(), counts.clone(), gate.clone());
    let config = AppConfig {
        host: host.to_owned(),
        port: 0,
        ..AppConfig::default()
    };
    App::new(config)
        .route("/", get(|| async { "up" }))
        .route(
            "/hold",
            get(move || {
                let (counts, gate) = (counted.clone(), gate.clone());
                async move {
                    count(&counts.held);
                    gate.acquire().await.expect("it is never closed").forget();
                    "held"
                }
            }),
        )
        .route(
            "/stop",
            get(move || {
                stop.request_stop();
                async { "stopping" }
            }),
        )
        .on_shutdown(move || async move { count(&hooked.hooks) })
}

pub(crate) fn ws(host: &str, counts: &Arc<Counts>, stop: ShutdownHandle) -> WsServer {
    let (opened, closed) = (counts.clone(), counts.clone());
    let (binary, typed) = (stop.clone(), stop.clone());
    let config = WsConfig {
        host: host.to_owned(),
        port: 0,
        ..WsConfig::default()
    };
    WsServer::new(config)
        .on_open(move |_| {
            count(&opened.opens);
            async {}
        })
        .on_close(move |_, _| {
            count(&closed.closes);
            async {}
        })
        .on_message(move |session, text| {
            match &*text {
                "stop" => stop.request_stop(),
                "join" => session.join(ROOM).expect("a session may be in one room"),
                "leave" => drop(session.leave(ROOM)),
                _ => {}
            }
            session.send_text(&*text);
            async {}
        })
        .on_binary(move |_, _| {
            binary.request_stop();
            async {}
        })
        .on_typed_message(move |_, _| {
            typed.request_stop();
            async {}
        })
}
