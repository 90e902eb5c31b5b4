//! A proxy that is in the way: what it does to WebSocket and to streams changes while it runs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// What becomes of a WebSocket handshake and of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebSocketRule {
    Pass,
    /// This status instead of 101.
    Refuse(u16),
    /// The connection ends without an answer.
    Hang,
    /// Accepted, then reset after so many bytes of the server's.
    Cut(usize),
    /// The 101 comes through, nothing after it does.
    Swallow,
}

/// What becomes of a response that is a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamRule {
    Pass,
    /// Kept back until it ends.
    Buffer,
}

/// What was asked of the proxy.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) handshakes: usize,
    pub(crate) streams: usize,
    pub(crate) polls: usize,
    pub(crate) posts: usize,
}

struct State {
    upstream: SocketAddr,
    websocket: WebSocketRule,
    stream: StreamRule,
    /// Of each so many answers to polls and posts one is lost; 0 loses none.
    loses_each: usize,
    answers: usize,
    is_stopped: bool,
    seen: Seen,
    open: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// One request a connection: whatever follows its head is handed on byte for byte.
#[derive(Clone)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State {
            upstream,
            websocket: WebSocketRule::Pass,
            stream: StreamRule::Pass,
            loses_each: 0,
            answers: 0,
            is_stopped: false,
            seen: Seen::default(),
            open: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        // It ends with the process; the listener is nobody's but this test's.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { shared, address }
    }

    /// Another server is behind it from now on.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
    }

    pub(crate) fn websocket(&self, rule: WebSocketRule) {
        self.shared.state().websocket = rule;
    }

    pub(crate) fn stream(&self, rule: StreamRule) {
        self.shared.state().stream = rule;
    }

    pub(crate) fn lose_one_answer_in(&self, count: usize) {
        self.shared.state().loses_each = count;
    }

    /// While stopped, nothing is handed on in either direction and nothing ends.
    pub(crate) fn stop(&self, is_stopped: bool) {
        self.shared.state().is_stopped = is_stopped;
        self.shared.changed.notify_all();
    }

    /// Resets every connection there is.
    pub(crate) fn cut_all(&self) {
        for stream in self.shared.state().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.state().seen
    }
}

/// The head of a request, and what came behind it.
struct Request {
    head: String,
    rest: Vec<u8>,
}

impl Request {
    fn read(client: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = client.read(&mut piece).ok().filter(|count| *count > 0)?;
            bytes.extend_from_slice(&piece[..count]);
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let head = String::from_utf8(bytes).ok()?;
                // So that the end of the answer is the end of the connection.
                let head = head.replace("\r\nConnection: keep-alive\r\n", "\r\nConnection: close\r\n");
                return Some(Self { head, rest });
            }
        }
    }

    fn is_handshake(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nupgrade: websocket")
    }

    fn has(&self, start: &str) -> bool {
        self.head.starts_with(start)
    }
}

/// How much of an answer comes through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Whole,
    /// Only the head.
    Head,
    /// So many bytes.
    Bytes(usize),
    /// Nothing before its end.
    Late,
    Nothing,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    /// Waits while the proxy is stopped.
    fn pass(&self) {
        let state = self.state();
        let go = self.changed.wait_while(state, |state| state.is_stopped);
        drop(go.expect("no thread panics with the lock"));
    }

    fn serve(&self, mut client: TcpStream) {
        let Some(request) = Request::read(&mut client) else {
            return;
        };
        let Some(answer) = self.judge(&request, &mut client) else {
            return;
        };
        self.pass();
        let upstream = self.state().upstream;
        let Ok(mut server) = TcpStream::connect(upstream) else {
            return;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            let copy = stream.try_clone().expect("a socket can be cloned");
            self.state().open.push(copy);
        }
        let up = server
            .write_all(request.head.as_bytes())
            .and_then(|()| server.write_all(&request.rest));
        if up.is_err() {
            return;
        }
        let (from, to) = (client.try_clone(), server.try_clone());
        let (from, to) = (from.expect("a socket"), to.expect("a socket"));
        thread::scope(|scope| {
            scope.spawn(|| {
                self.relay(
                    from,
                    to,
                    if answer == Answer::Head {
                        Answer::Nothing
                    } else {
                        Answer::Whole
                    },
                )
            });
            self.relay(server, client, answer);
        });
    }

    /// What becomes of the answer; `None` when the client has had its answer already.
    fn judge(&self, request: &Request, client: &mut TcpStream) -> Option<Answer> {
        let mut state = self.state();
        if request.is_handshake() {
            state.seen.handshakes += 1;
            return match state.websocket {
                WebSocketRule::Pass => Some(Answer::Whole),
                WebSocketRule::Cut(bytes) => Some(Answer::Bytes(bytes)),
                WebSocketRule::Swallow => Some(Answer::Head),
                WebSocketRule::Hang => None,
                WebSocketRule::Refuse(status) => {
                    let page = "<title>blocked</title>";
                    let length = page.len();
                    let answer = format!(
                        "HTTP/1.1 {status} Blocked\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                         Connection: close\r\n\r\n{page}"
                    );
                    let _ = client.write_all(answer.as_bytes());
                    None
                }
            };
        }
        if request.has("GET /ws/session/events") {
            state.seen.streams += 1;
            return Some(match state.stream {
                StreamRule::Pass => Answer::Whole,
                StreamRule::Buffer => Answer::Late,
            });
        }
        let is_poll = request.has("GET /ws/session/poll");
        let is_post = request.has("POST /ws/session");
        state.seen.polls += usize::from(is_poll);
        state.seen.posts += usize::from(is_post);
        if is_poll || is_post {
            state.answers += 1;
            if state.loses_each > 0 && state.answers.is_multiple_of(state.loses_each) {
                return Some(Answer::Nothing);
            }
        }
        Some(Answer::Whole)
    }

    fn relay(&self, mut from: TcpStream, mut to: TcpStream, answer: Answer) {
        let mut kept = Vec::new();
        let mut passed = 0;
        let mut piece = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            self.pass();
            let mut piece = &piece[..count];
            match answer {
                Answer::Whole => {}
                Answer::Late => {
                    kept.extend_from_slice(piece);
                    continue;
                }
                Answer::Nothing => continue,
                Answer::Head if passed > 0 => continue,
                Answer::Head => {
                    let end = piece.windows(4).position(|window| window == b"\r\n\r\n");
                    piece = &piece[..end.map_or(count, |end| end + 4)];
                }
                Answer::Bytes(most) => piece = &piece[..count.min(most - passed)],
            }
            passed += piece.len();
            if to.write_all(piece).is_err() || answer == Answer::Bytes(passed) {
                break;
            }
        }
        let _ = to.write_all(&kept);
        // The end of one direction is the end of both: requests are whole by now, and nothing here is half closed.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
