//! How soon a process with a crowd of idle sessions is gone after SIGTERM, and that it forgets nobody.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use workspace_tests::PATIENCE;
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::raw::{CLOSE, Raw, frame};

use crate::{alone, best_of_three};

/// `IDLE_SESSIONS=10000` for as many as the bound is stated for; wants a build with optimisations.
const SESSIONS: usize = 3000;
/// Sessions in a second. A build without optimisations runs the same code some times slower.
const RATE: f64 = if cfg!(debug_assertions) { 2_000.0 } else { 10_000.0 };
/// The code of the server's Close and of the answer to it.
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// A session that does nothing but answer the server's Close.
struct Idle {
    stream: TcpStream,
    seen: Vec<u8>,
    is_answered: bool,
    is_over: bool,
}

impl Idle {
    fn of(raw: &Raw) -> Self {
        let stream = raw.stream().try_clone().expect("a socket");
        stream.set_nonblocking(true).expect("a socket");
        Self {
            stream,
            seen: Vec::new(),
            is_answered: false,
            is_over: false,
        }
    }

    /// Takes what has come; whether there was anything.
    fn turn(&mut self, answer: &[u8]) -> bool {
        let mut buffer = [0; 512];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(count) => self.take(&buffer[..count], answer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a session ended out of order: {error}"),
        }
        true
    }

    fn take(&mut self, bytes: &[u8], answer: &[u8]) {
        self.seen.extend(bytes);
        if !self.is_answered && self.seen.len() >= 2 {
            self.is_answered = true;
            self.stream.write_all(answer).expect("the server waits for it");
        }
    }

    /// One Close with 1001, whole, and nothing else.
    fn assert_one_close(&self) {
        let [first, length, code @ ..] = self.seen.as_slice() else {
            panic!("ended without a Close: {:?}", self.seen);
        };
        assert_eq!(
            (*first, usize::from(*length)),
            (CLOSE, code.len()),
            "one frame alone"
        );
        assert_eq!(code[..2], GOING_AWAY);
    }
}

fn sessions() -> usize {
    std::env::var("IDLE_SESSIONS").map_or(SESSIONS, |count| count.parse().expect("a number"))
}

/// Whoever answers: one thread over all of them, as long as there is one whose connection stands.
fn answer_all(idle: &mut [Idle]) {
    let answer = frame(CLOSE, &GOING_AWAY);
    let limit = Instant::now() + PATIENCE;
    let mut left: Vec<&mut Idle> = idle.iter_mut().collect();
    while !left.is_empty() {
        assert!(Instant::now() < limit, "{} connections stand", left.len());
        let mut has_come = false;
        left.retain_mut(|session| {
            has_come |= session.turn(&answer);
            !session.is_over
        });
        if !has_come {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Each session of the lab's event lines: how often it was opened, and how often closed with 1001.
fn opens_and_closes(lines: &[String]) -> HashMap<&str, (usize, usize)> {
    let mut sessions = HashMap::<_, (usize, usize)>::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["EV", _, "ws_open", session, ..] => sessions.entry(session).or_default().0 += 1,
            ["EV", _, "ws_close", session, "code=1001", ..] => sessions.entry(session).or_default().1 += 1,
            ["EV", _, "ws_close", ..] => panic!("closed otherwise: {line}"),
            _ => {}
        }
    }
    sessions
}

/// Idle sessions, each greeted: its `on_open` has run.
fn crowd(lab: &Example, count: usize) -> Vec<Idle> {
    let greeted = |_| {
        let mut raw = Raw::connect(lab.ws(), "/");
        raw.text();
        Idle::of(&raw)
    };
    (0..count).map(greeted).collect()
}

fn end_of(count: usize) -> Duration {
    let mut lab = Launch::new("lab").set("SHUTDOWN_BATCH", 0).start();
    let mut idle = crowd(&lab, count);
    let began = Instant::now();
    lab.signal("TERM");
    answer_all(&mut idle);
    let status = lab.wait();
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0));
    idle.iter().for_each(Idle::assert_one_close);
    let lines = lab.all_lines();
    let sessions = opens_and_closes(&lines);
    assert_eq!(sessions.len(), count);
    assert!(sessions.values().all(|counts| *counts == (1, 1)), "{sessions:?}");
    took
}

#[test]
fn each_of_a_crowd_of_idle_sessions_is_closed_in_time() {
    let _alone = alone();
    let count = sessions();
    want_descriptors(count + 500);
    let bound = Duration::from_secs_f64(count as f64 / RATE);
    best_of_three(|| {
        let took = end_of(count);
        let measured = format!("{count} idle sessions: the process is gone {took:?} after SIGTERM");
        eprintln!("{measured}");
        if took <= bound { Ok(()) } else { Err(measured) }
    });
}
