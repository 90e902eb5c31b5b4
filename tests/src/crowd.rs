//! Sessions by the thousand that do nothing but answer the server's Close, with one thread for all of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::raw::{CLOSE, Raw, frame, parse_close};

/// A session that does nothing but answer the server's Close.
pub struct Idle {
    stream: TcpStream,
    seen: Vec<u8>,
    is_answered: bool,
    is_over: bool,
}

impl Idle {
    /// One that was greeted, so its `on_open` has run.
    pub fn greeted(ws: SocketAddr) -> Self {
        let mut raw = Raw::connect(ws, "/");
        raw.text();
        let stream = raw.stream().try_clone().expect("a socket");
        stream.set_nonblocking(true).expect("a socket");
        Self {
            stream,
            seen: Vec::new(),
            is_answered: false,
            is_over: false,
        }
    }

    /// Whether nothing has come since the greeting, not even the end.
    pub fn has_heard_nothing(&self) -> bool {
        let waiting = self.stream.peek(&mut [0]);
        self.seen.is_empty() && waiting.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Takes what has come; whether there was anything.
    fn turn(&mut self, answer: impl Fn(u16) -> Vec<u8>) -> bool {
        let mut buffer = [0; 512];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(count) => self.take(&buffer[..count], answer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a session ended out of order: {error}"),
        }
        true
    }

    fn take(&mut self, bytes: &[u8], answer: impl Fn(u16) -> Vec<u8>) {
        self.seen.extend(bytes);
        if let (false, [_, _, high, low, ..]) = (self.is_answered, self.seen.as_slice()) {
            self.is_answered = true;
            let answer = answer(u16::from_be_bytes([*high, *low]));
            self.stream.write_all(&answer).expect("the server waits for it");
        }
    }

    /// Code and reason of the one Close that came, whole, and with nothing beside it.
    pub fn close(&self) -> (u16, String) {
        let [first, length, payload @ ..] = self.seen.as_slice() else {
            panic!("ended without a Close: {:?}", self.seen);
        };
        assert_eq!(
            (*first, usize::from(*length)),
            (CLOSE, payload.len()),
            "one frame alone"
        );
        parse_close(payload)
    }
}

/// Answers each Close with its code until no connection stands.
pub fn answer_all(idle: &mut [Idle]) {
    let limit = Instant::now() + PATIENCE;
    let mut left: Vec<&mut Idle> = idle.iter_mut().collect();
    while !left.is_empty() {
        assert!(Instant::now() < limit, "{} connections stand", left.len());
        let mut has_come = false;
        left.retain_mut(|session| {
            has_come |= session.turn(|code| frame(CLOSE, &code.to_be_bytes()));
            !session.is_over
        });
        if !has_come {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
