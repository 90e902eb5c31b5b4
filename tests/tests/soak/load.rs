//! Clients of every kind, each on a thread of its own, until they are told to stop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use workspace_tests::http;
use workspace_tests::raw::{CLOSE, Raw, TEXT};

/// Threads of each kind.
const COMING_AND_GOING: usize = 4;
const CHANGING: usize = 2;
const SLOW: usize = 2;
const MARK: char = '\u{1e}';

/// What was done, in pieces.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Sessions that came, said something, and left in order or without a word.
    visits: AtomicU64,
    broadcasts: AtomicU64,
    /// Readers that did not read and were sent away.
    slow: AtomicU64,
    /// Sessions that went from poll to stream to WebSocket.
    switches: AtomicU64,
    /// Sessions that their client forgot.
    forgotten: AtomicU64,
}

impl Done {
    /// Whether there was some of each kind.
    pub(crate) fn has_all(&self) -> bool {
        let Self {
            visits,
            broadcasts,
            slow,
            switches,
            forgotten,
        } = self;
        let all = [visits, broadcasts, slow, switches, forgotten];
        all.iter().all(|count| count.load(Ordering::Relaxed) > 0)
    }
}

/// All clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    http: SocketAddr,
    ws: SocketAddr,
    is_over: AtomicBool,
    done: Done,
}

impl Load {
    pub(crate) fn begin(http: SocketAddr, ws: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            http,
            ws,
            is_over: AtomicBool::new(false),
            done: Done::default(),
        });
        let mut load = Self {
            shared,
            threads: Vec::new(),
        };
        for _ in 0..COMING_AND_GOING {
            load.repeat(Shared::visit);
        }
        for _ in 0..CHANGING {
            load.repeat(Shared::switch);
        }
        for _ in 0..SLOW {
            load.repeat(Shared::be_slow);
        }
        load.repeat(Shared::broadcast);
        load
    }

    fn repeat(&mut self, piece: fn(&Shared, u64)) {
        let shared = Arc::clone(&self.shared);
        let repeating = move || {
            let mut turn = 0;
            while !shared.is_over.load(Ordering::Relaxed) {
                piece(&shared, turn);
                turn += 1;
            }
        };
        self.threads.push(thread::spawn(repeating));
    }

    /// Lets each client finish what it is at. One that met what it must not is a panic here.
    pub(crate) fn end(self) -> Done {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client met what it must not");
        }
        let shared = Arc::into_inner(self.shared).expect("every thread has ended");
        shared.done
    }
}

/// Says Close; whoever was too slow meanwhile has been said 1013 before.
fn leave(mut session: Raw) {
    session.frame(CLOSE, &1000_u16.to_be_bytes());
    let (code, reason) = session.closed();
    assert!(matches!(code, 1000 | 1013), "{code} {reason}");
}

impl Shared {
    /// A page, a session that is in a room and is answered, and an end in order or without one.
    fn visit(&self, turn: u64) {
        assert_eq!(http::get(self.http, "/").status, 200);
        let mut session = Raw::connect(self.ws, "/");
        session.frame(TEXT, br#"{"type":"room.join"}"#);
        session.frame(TEXT, br#"{"type":"ping"}"#);
        while let Some((TEXT, text)) = session.read_frame() {
            if text == b"pong" {
                if turn.is_multiple_of(2) {
                    leave(session);
                }
                self.done.visits.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        // Where this machine gave it no turn for long, what was broadcast meanwhile was too much for it, too.
        self.done.slow.fetch_add(1, Ordering::Relaxed);
    }

    fn broadcast(&self, _turn: u64) {
        let answer = http::get(self.http, "/broadcast?size=16000&n=4");
        assert_eq!(answer.json()["sent"], 4);
        self.done.broadcasts.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }

    /// Asks for more than its outbox may hold and reads nothing of it.
    fn be_slow(&self, _turn: u64) {
        let mut session = Raw::connect(self.ws, "/");
        session.frame(TEXT, br#"{"type":"burst","payload":{"n":1000,"size":16000}}"#);
        thread::sleep(Duration::from_millis(100));
        // To its end, or as far as it comes without a pause; then it leaves without a word.
        let mut stream = session.stream();
        let patience = Some(Duration::from_secs(1));
        stream.set_read_timeout(patience).expect("a positive limit");
        let mut buffer = vec![0; 64 << 10];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        self.done.slow.fetch_add(1, Ordering::Relaxed);
    }

    /// A session over a poll, a stream and WebSocket; some clients forget theirs half-way.
    fn switch(&self, turn: u64) {
        thread::sleep(Duration::from_millis(50));
        let hello = http::post(self.http, "/ws/session", "").json();
        let id = hello["session"].as_str().expect("an id").to_owned();
        let poll = http::get(self.http, &format!("/ws/session/poll?session_id={id}"));
        assert_eq!(poll.status, 200, "what on_open sent is there");
        self.stream(&id);
        if turn.is_multiple_of(4) {
            self.done.forgotten.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut session = Raw::offering(self.ws, "/", "Sec-WebSocket-Protocol: lossless.v1\r\n");
        let resume = format!(r#"{MARK}{{"resume":{{"session":"{id}","cursor":0}}}}"#);
        session.frame(TEXT, resume.as_bytes());
        let answer = session.text();
        assert!(answer.contains(r#""hello""#) && answer.contains(&id), "{answer}");
        leave(session);
        self.done.switches.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream up to its hello, left without a word.
    fn stream(&self, id: &str) {
        let mut stream = BufReader::new(http::connect(self.http));
        let request = format!("GET /ws/session/events?session_id={id} HTTP/1.1\r\nHost: t\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("sent");
        let mut line = String::new();
        while !line.contains("event: hello") {
            line.clear();
            assert_ne!(
                stream.read_line(&mut line).expect("in time"),
                0,
                "ended without a hello"
            );
        }
    }
}
