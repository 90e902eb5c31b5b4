//! How soon a handler knows that its client has left.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use attached_runtime::{App, AppConfig, Disconnected, OnDisconnect, RunningApp, RuntimeExecutor};
use axum::extract::State;
use axum::routing::get;
use workspace_tests::{PATIENCE, http, http2};

use crate::measuring::{p99, undisturbed};
use crate::{alone, best_of_three};

const LIMIT: Duration = Duration::from_millis(5);
const ROUNDS: u32 = 200;
/// What waits behind a request: as many bytes of as many of these.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: t\r\n\r\n";

type Ask = fn(SocketAddr, &str, usize) -> TcpStream;
/// Gives the connection back where it goes on.
type Leave = fn(TcpStream) -> Option<TcpStream>;

/// The stream of a request over HTTP/2.
const STREAM: u32 = 1;

/// What the handlers say: that they run, and the moment they knew.
#[derive(Clone)]
struct Voice {
    begun: Sender<()>,
    knew: Sender<Instant>,
}

/// A handler that is dropped knows it then.
struct Cancelled(Sender<Instant>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        let _ = self.0.send(Instant::now());
    }
}

async fn cancelled(State(voice): State<Voice>) {
    let _cancelled = Cancelled(voice.knew.clone());
    let _ = voice.begun.send(());
    std::future::pending().await
}

async fn notified(State(voice): State<Voice>, client: Disconnected) {
    let _ = voice.begun.send(());
    client.gone().await;
    let _ = voice.knew.send(Instant::now());
}

struct Scene {
    app: RunningApp,
    begun: Receiver<()>,
    knew: Receiver<Instant>,
    _executor: RuntimeExecutor,
}

impl Scene {
    fn open() -> Self {
        let executor = RuntimeExecutor::with_threads(1).expect("threads can be had");
        let ((begun, has_begun), (knew, has_known)) = (channel(), channel());
        let config = AppConfig {
            port: 0,
            request_timeout: Duration::ZERO,
            ..AppConfig::default()
        };
        let app = App::with_state(config, Voice { begun, knew })
            .route("/cancel", get(cancelled))
            .route("/notify", get(notified).layer(OnDisconnect::Notify));
        let app = app.listen(&executor.spawner()).expect("a free port");
        Self {
            app,
            begun: has_begun,
            knew: has_known,
            _executor: executor,
        }
    }

    /// From leaving to knowing, `behind` bytes waiting behind the request, which was under way for a time that differs
    /// from round to round.
    fn round(&self, round: u32, behind: usize, ask: Ask, leave: Leave) -> Duration {
        let path = ["/cancel", "/notify"][round as usize % 2];
        let client = ask(self.app.local_addr(), path, behind);
        self.begun.recv_timeout(PATIENCE).expect("the handler runs");
        thread::sleep(Duration::from_micros(u64::from(round % 10) * 400));
        let left = Instant::now();
        let _goes_on = leave(client);
        let knew = self.knew.recv_timeout(PATIENCE).expect("the handler is told");
        knew.saturating_duration_since(left)
    }
}

fn ask(to: SocketAddr, path: &str, behind: usize) -> TcpStream {
    let mut client = http::connect(to);
    let mut bytes = format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes();
    bytes.extend(NEXT.bytes().cycle().take(behind));
    client.write_all(&bytes).expect("taken");
    client
}

/// Over HTTP/2, with so many bytes of a body behind the request, which its handler does not read.
fn ask_http2(to: SocketAddr, path: &str, behind: usize) -> TcpStream {
    let mut client = http::connect(to);
    let mut bytes = http2::opening();
    bytes.extend(http2::get(STREAM, path, http2::OPEN));
    if behind > 0 {
        bytes.extend(http2::data(STREAM, &vec![b'x'; behind], http2::OPEN));
    }
    client.write_all(&bytes).expect("taken");
    client
}

fn close(client: TcpStream) -> Option<TcpStream> {
    drop(client);
    None
}

fn reset(client: TcpStream) -> Option<TcpStream> {
    let at_once = Some(Duration::ZERO);
    socket2::SockRef::from(&client)
        .set_linger(at_once)
        .expect("a socket");
    None
}

fn reset_stream(mut client: TcpStream) -> Option<TcpStream> {
    client
        .write_all(&http2::reset(STREAM, http2::CANCEL))
        .expect("taken");
    Some(client)
}

/// Under both policies in turns: dropped under the one, told under the other.
#[test]
fn a_handler_knows_of_its_clients_departure_within_5_ms() {
    let _alone = alone();
    let scene = Scene::open();
    let (requests, body): (&[usize], &[usize]) = (&[0, 12, NEXT.len(), 4096], &[0, 12, 4096]);
    let ways: [(_, Ask, Leave, _); 5] = [
        ("close", ask, close, requests),
        ("reset", ask, reset, requests),
        ("HTTP/2 reset of the stream", ask_http2, reset_stream, body),
        ("HTTP/2 close", ask_http2, close, body),
        ("HTTP/2 reset of the connection", ask_http2, reset, body),
    ];
    for (way, ask, leave, all_behind) in ways {
        for &behind in all_behind {
            best_of_three(|| {
                let times = (0..ROUNDS).map(|round| undisturbed(|| scene.round(round, behind, ask, leave)));
                let p99 = p99(times.collect());
                let measured = format!("{way} with {behind} bytes waiting: p99 {p99:?}");
                eprintln!("{measured}");
                if p99 < LIMIT { Ok(()) } else { Err(measured) }
            });
        }
    }
}
