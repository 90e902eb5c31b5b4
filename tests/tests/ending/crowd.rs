//! Everything at once: sessions, polls, streams and requests are open when the signal comes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use workspace_tests::crowd::{Idle, answer_all};
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::until;

/// `DRAIN_SESSIONS=5000 DRAIN_ROUNDS=10` for as many as the issue asks for.
const SESSIONS: usize = 500;
const POLLS: usize = 200;
const STREAMS: usize = 50;
const REQUESTS: usize = 50;
/// `SHUTDOWN_DEADLINE` as it is by default.
const DEADLINE: Duration = Duration::from_secs(30);

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("a number"))
}

/// A request on a connection of its own, whose answer is read when it is time.
struct Asked(BufReader<TcpStream>);

impl Asked {
    fn begin(to: SocketAddr, head: &str) -> Self {
        let mut stream = http::connect(to);
        write!(stream, "{head} HTTP/1.1\r\nHost: {to}\r\n").expect("sent");
        Self(BufReader::new(stream))
    }

    fn poll(to: SocketAddr, number: usize) -> Self {
        let mut poll = Self::begin(to, &format!("GET /ws/poll?session_id=lp-drain-{number}"));
        poll.send("\r\n");
        poll
    }

    /// A stream that has said its hello.
    fn stream(to: SocketAddr) -> Self {
        let opened = http::post(to, "/ws/session", "").json();
        let id = opened["session"].as_str().expect("an id");
        let mut stream = Self::begin(to, &format!("GET /ws/session/events?session_id={id}"));
        stream.send("\r\n");
        stream.line_with("event: hello");
        stream
    }

    /// A request that takes as long as its client likes, because its handler waits for the body.
    fn slow(to: SocketAddr) -> Self {
        let mut request = Self::begin(to, "POST /ws/send");
        request.send(&format!("Content-Length: {}\r\n\r\n", BODY.len()));
        request
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("sent");
    }

    fn line_with(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let count = self.0.read_line(&mut line).expect("in time");
            assert_ne!(count, 0, "ended without {text:?}");
        }
        line
    }

    /// The answer, and then the end of the connection.
    fn answer(mut self) -> http::Answer {
        let answer = http::read_answer(&mut self.0).expect("an answer");
        assert!(self.0.fill_buf().is_ok_and(<[u8]>::is_empty), "nothing after it");
        answer
    }
}

const BODY: &str = r#"{"type":"note","room":"nobody"}"#;

struct Scene {
    lab: Example,
    idle: Vec<Idle>,
    polls: Vec<Asked>,
    streams: Vec<Asked>,
    requests: Vec<Asked>,
}

impl Scene {
    fn open(sessions: usize) -> Self {
        // Nobody hears a ping, however long it takes to open them all.
        let lab = Launch::new("lab").set("WEBSOCKET_PING_INTERVAL", 0).start();
        let (http, ws) = (lab.http(), lab.ws());
        let scene = Self {
            idle: (0..sessions).map(|_| Idle::greeted(ws)).collect(),
            polls: (0..POLLS).map(|number| Asked::poll(http, number)).collect(),
            streams: (0..STREAMS).map(|_| Asked::stream(http)).collect(),
            requests: (0..REQUESTS).map(|_| Asked::slow(http)).collect(),
            lab,
        };
        until("all of them are under way", || {
            scene.lab.metric("ws_lp_polls_waiting") as usize == POLLS
                && scene.lab.metric("ws_lp_streams_active") as usize == STREAMS
                && scene.lab.metric("http_requests_in_flight") as usize == POLLS + REQUESTS
        });
        scene
    }

    fn end(mut self) {
        let began = Instant::now();
        self.lab.signal("TERM");
        for poll in self.polls {
            let answer = poll.answer();
            assert_eq!((answer.status, answer.text()), (200, "[]"));
        }
        for mut stream in self.streams {
            stream.line_with("event: close");
            let told = stream.line_with("data: ");
            assert!(
                told.contains(r#""code":1001"#) && told.contains(r#""retry":"#),
                "{told}"
            );
        }
        // The order is the plan's, not that of luck: the requests are under way until we say otherwise.
        assert_eq!(self.lab.metric("runtime_phase"), 1.0, "draining");
        for port in [self.lab.http(), self.lab.ws()] {
            assert!(TcpStream::connect(port).is_err(), "{port} is closed");
        }
        assert!(
            self.idle.iter().all(Idle::has_heard_nothing),
            "sessions come last"
        );
        for request in &mut self.requests {
            request.send(BODY);
        }
        for request in self.requests {
            assert_eq!(request.answer().status, 202);
        }
        answer_all(&mut self.idle);
        assert_eq!(self.lab.wait().code(), Some(0), "{:?}", self.lab.all_lines());
        let took = began.elapsed();
        assert!(took < DEADLINE, "took {took:?}");
        eprintln!("{} sessions and the others ended in {took:?}", self.idle.len());
        each_is_asked_back(&self.idle);
        is_told(&mut self.lab, self.idle.len());
    }
}

/// Each session got 1001 and a time of its own within the window.
fn each_is_asked_back(idle: &[Idle]) {
    let mut times: Vec<u64> = idle
        .iter()
        .map(|session| {
            let (code, reason) = session.close();
            assert_eq!(code, 1001);
            let time = reason.strip_prefix("retry=").expect("a return time");
            time.parse().expect("milliseconds")
        })
        .collect();
    times.sort_unstable();
    let shares = (0..idle.len()).map(|index| 5000 * index as u64 / idle.len() as u64);
    assert!(times.into_iter().eq(shares), "evenly over 5 s");
}

/// The phases in order, each session once, and a report whose numbers are those of what was open.
fn is_told(lab: &mut Example, sessions: usize) {
    let lines = lab.all_lines();
    let place = |text: &str| lines.iter().position(|line| line.contains(text));
    let phases = ["draining", "closing", "stopped"].map(|phase| place(&format!("phase={phase}")));
    assert!(phases.is_sorted() && phases[0].is_some(), "{phases:?}");
    let closes = lines.iter().filter(|line| line.contains(" ws_close "));
    assert_eq!(
        closes
            .filter(|line| line.contains(" code=1001 by=shutdown"))
            .count(),
        sessions + STREAMS
    );
    let report = lab.report();
    let told = [
        " answered, ",
        " answered; ",
        " closed, ",
        " without the peer's answer",
        " messages undelivered",
    ];
    let expected = [
        POLLS + STREAMS + REQUESTS,
        POLLS + STREAMS,
        sessions + STREAMS,
        0,
        0,
    ];
    for (text, expected) in told.into_iter().zip(expected) {
        assert_eq!(
            report.count(text),
            expected as u64,
            "{text:?} in {}",
            report.line()
        );
    }
    let total = format!("sessions {}:", sessions + STREAMS);
    assert!(report.line().contains(&total), "{}", report.line());
}

#[test]
fn everything_that_is_open_ends_in_the_order_of_the_plan_and_is_counted() {
    let sessions = number("DRAIN_SESSIONS", SESSIONS);
    want_descriptors(sessions + POLLS + STREAMS + REQUESTS + 500);
    for round in 1..=number("DRAIN_ROUNDS", 1) {
        eprintln!("round {round}");
        Scene::open(sessions).end();
    }
}
