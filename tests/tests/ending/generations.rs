//! One process follows another on sockets that a supervisor holds (`LISTEN_FDS`): no client finds a closed door.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::until;
use workspace_tests::raw::Raw;

/// Moves standard input and output to the descriptors 3 and 4; the process keeps its number over `exec`.
const HANDS_OVER: &str = "exec 3<&0 4<&1 </dev/null >/dev/null; \
    export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:websocket; exec \"$0\"";
const REQUEST: &[u8] = b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
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
    /// Closed without a byte, as a connection is on which nothing had come when its process ended: asked again, as
    /// a client may (RFC 9112 §9.3.1).
    again: AtomicU64,
    sessions: AtomicU64,
}

impl Seen {
    /// A new connection for each request, none of which is refused.
    fn ask(&self, to: SocketAddr) {
        while !self.is_over.load(Ordering::Relaxed) {
            let mut stream = BufReader::new(http::connect(to));
            let sent = stream.get_mut().write_all(REQUEST);
            let count = match sent.and_then(|()| stream.fill_buf().map(<[u8]>::is_empty)) {
                Ok(false) => {
                    let answer = http::read_answer(&mut stream).expect("an answer, whole");
                    assert_eq!(answer.status, 200);
                    &self.answered
                }
                Ok(true) | Err(_) => &self.again,
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
    let (answered, again) = (seen.answered.into_inner(), seen.again.into_inner());
    eprintln!("{answered} requests over {GENERATIONS} processes, {again} asked again");
    let changes = (GENERATIONS - 1) * CLIENTS;
    assert!(
        again <= changes as u64,
        "at most one for each client and change: {again}"
    );
}
