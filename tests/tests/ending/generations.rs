//! One process follows another on sockets that a supervisor holds (`LISTEN_FDS`): no client finds a closed door.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use workspace_tests::PATIENCE;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::until;
use workspace_tests::raw::Raw;

/// Moves standard input and output to the descriptors 3 and 4; the process keeps its number over `exec`.
const HANDS_OVER: &str = "exec 3<&0 4<&1 </dev/null >/dev/null; \
    export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:websocket; exec \"$0\"";
const GENERATIONS: usize = 3;
const CLIENTS: usize = 4;

/// What holds the sockets while processes come and go.
struct Supervisor {
    http: TcpListener,
    ws: TcpListener,
}

impl Supervisor {
    fn new() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self {
            http: bind(),
            ws: bind(),
        }
    }

    fn start(&self) -> Example {
        let lend = |socket: &TcpListener| OwnedFd::from(socket.try_clone().expect("a descriptor"));
        Launch::new("full")
            .through(HANDS_OVER, lend(&self.http), lend(&self.ws))
            .start()
    }
}

/// What clients saw that come all the time.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    answered: AtomicU64,
    /// Refused, or cut before the whole answer.
    failed: AtomicU64,
    sessions: AtomicU64,
}

impl Seen {
    /// A new connection for each request.
    fn ask(&self, to: SocketAddr) {
        while !self.is_over.load(Ordering::Relaxed) {
            let count = match asked(to) {
                Some(200) => &self.answered,
                _ => &self.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A session, until its server says Close; then the next one at once.
    fn follow(&self, to: SocketAddr) {
        while !self.is_over.load(Ordering::Relaxed) {
            let mut session = Raw::connect(to, "/");
            assert_eq!(session.text(), "welcome");
            self.sessions.fetch_add(1, Ordering::Relaxed);
            assert_eq!(session.closed().0, 1001);
        }
    }
}

fn asked(to: SocketAddr) -> Option<u16> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a positive limit");
    write!(
        stream,
        "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    http::read_answer(&mut BufReader::new(stream)).map(|answer| answer.status)
}

#[test]
fn clients_that_come_all_the_time_find_no_closed_door() {
    let supervisor = Supervisor::new();
    let (http, ws) = (
        supervisor.http.local_addr().expect("bound"),
        supervisor.ws.local_addr().expect("bound"),
    );
    let mut process = supervisor.start();
    assert_eq!((process.http(), process.ws()), (http, ws));
    let seen = Seen::default();
    thread::scope(|scope| {
        let mut asking = Vec::new();
        for _ in 0..CLIENTS {
            asking.push(scope.spawn(|| seen.ask(http)));
            scope.spawn(|| seen.follow(ws));
        }
        for generation in 1..=GENERATIONS {
            let before = seen.answered.load(Ordering::Relaxed);
            until("requests are answered and every client has a session", || {
                seen.answered.load(Ordering::Relaxed) > before + 50
                    && seen.sessions.load(Ordering::Relaxed) == (generation * CLIENTS) as u64
            });
            if generation == GENERATIONS {
                // Nobody comes after this one.
                seen.is_over.store(true, Ordering::Relaxed);
                for client in asking.drain(..) {
                    client.join().expect("it saw no failure of its own");
                }
            }
            assert_eq!(process.terminate(), Some(0));
            if generation < GENERATIONS {
                process = supervisor.start();
            }
        }
    });
    let answered = seen.answered.load(Ordering::Relaxed);
    eprintln!("{answered} requests over {GENERATIONS} processes");
    assert_eq!(seen.failed.load(Ordering::Relaxed), 0, "of {answered}");
}
