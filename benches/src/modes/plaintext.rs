//! HTTP: every connection asks for the same page again and again, one request at a time or some behind each other.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Load;
use crate::client::LoadError;
use crate::histogram::Histogram;
use crate::measured::{Measured, Measurement};

/// How every answer begins and ends.
const BEGIN: &[u8] = b"HTTP/1.1 200 ";
const END: &[u8] = b"Hello, World!";
/// The longest answer that is understood.
const LONGEST: usize = 4096;

/// A connection that has a batch of requests under way at any time.
struct Asker {
    stream: TcpStream,
    /// Bytes of the batch that are out.
    written: usize,
    /// The answers that were read and are not whole.
    rest: Vec<u8>,
    /// Answers the batch still waits for; 0 before the first one.
    due: usize,
    sent: Instant,
}

/// What all connections share.
struct Askers {
    poll: Poll,
    events: Events,
    askers: Vec<Asker>,
    batch: Vec<u8>,
    depth: usize,
    /// Length of an answer, learnt from the first one: the page is always the same, and so is the length of a date.
    length: usize,
    buffer: Vec<u8>,
    answered: u64,
    /// Answers stop releasing requests past this.
    last: u64,
    latencies: Histogram,
}

/// Measures requests for a page that is `Hello, World!`.
///
/// # Errors
/// A wrong or missing answer.
pub fn plaintext(load: &Load) -> Result<Measured, LoadError> {
    let mut askers = Askers::connect(load)?;
    if load.messages.is_some() {
        let measurement = Measurement::begin(load.server)?;
        askers.ask_on_all()?;
        askers.finish(Duration::from_secs(600))?;
        return measurement.end(askers.answered, &askers.latencies);
    }
    askers.ask_on_all()?;
    askers.run_until(Instant::now() + load.warm_up)?;
    let before = askers.answered;
    askers.latencies = Histogram::default();
    let measurement = Measurement::begin(load.server)?;
    askers.run_until(Instant::now() + load.window)?;
    let measured = measurement.end(askers.answered - before, &askers.latencies)?;
    askers.last = 0;
    askers.finish(Duration::from_secs(5))?;
    Ok(measured)
}

impl Askers {
    fn connect(load: &Load) -> Result<Self, LoadError> {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", load.path, load.address);
        let poll = Poll::new()?;
        let askers = (0..load.connections)
            .map(|index| Asker::connect(&poll, index, load.address))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            askers,
            batch: request.repeat(load.in_flight).into_bytes(),
            depth: load.in_flight,
            length: 0,
            buffer: vec![0; 256 * 1024],
            answered: 0,
            last: load.messages.unwrap_or(u64::MAX),
            latencies: Histogram::default(),
        })
    }

    fn ask_on_all(&mut self) -> Result<(), LoadError> {
        for asker in &mut self.askers {
            asker.ask(&self.batch, self.depth, Instant::now())?;
        }
        Ok(())
    }

    fn run_until(&mut self, until: Instant) -> Result<(), LoadError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// Waits for what is under way.
    fn finish(&mut self, patience: Duration) -> Result<(), LoadError> {
        let until = Instant::now() + patience;
        loop {
            let due: usize = self.askers.iter().map(|asker| asker.due).sum();
            if due == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(LoadError::Missing(format!("{due} answers")));
            }
            self.turn(Duration::from_millis(20))?;
        }
    }

    fn turn(&mut self, patience: Duration) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let index = event.token().0;
            let asker = &mut self.askers[index];
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                let answers = asker.read(&mut self.buffer, &mut self.length, index)?;
                let now = Instant::now();
                (0..answers).for_each(|_| self.latencies.add(now - asker.sent));
                self.answered += answers as u64;
                asker.due = asker.due.checked_sub(answers).ok_or(LoadError::Wrong(index))?;
                if answers > 0 && asker.due == 0 && self.answered < self.last {
                    asker.ask(&self.batch, self.depth, now)?;
                }
            }
            asker.flush(&self.batch)?;
        }
        Ok(())
    }
}

impl Asker {
    fn connect(poll: &Poll, index: usize, address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
        stream.set_nodelay(true)?;
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            written: usize::MAX,
            rest: Vec::new(),
            due: 0,
            sent: Instant::now(),
        })
    }

    fn ask(&mut self, batch: &[u8], depth: usize, now: Instant) -> Result<(), LoadError> {
        (self.due, self.sent, self.written) = (depth, now, 0);
        self.flush(batch)
    }

    /// Writes what the socket takes; the rest follows when it takes more.
    fn flush(&mut self, batch: &[u8]) -> Result<(), LoadError> {
        while self.written < batch.len() {
            match self.stream.write(&batch[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads all there is. Returns how many answers became whole.
    fn read(&mut self, buffer: &mut [u8], length: &mut usize, index: usize) -> Result<usize, LoadError> {
        let mut answers = 0;
        loop {
            let kept = self.rest.len();
            buffer[..kept].copy_from_slice(&self.rest);
            let count = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => return Err(LoadError::Ended(index)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(error) => return Err(error.into()),
            };
            let mut filled = &buffer[..kept + count];
            let is_all = filled.len() < buffer.len();
            if *length == 0 {
                *length = length_of_first(filled).ok_or(LoadError::Wrong(index))?;
            }
            while filled.len() >= *length {
                let (answer, rest) = filled.split_at(*length);
                if !(answer.starts_with(BEGIN) && answer.ends_with(END)) {
                    return Err(LoadError::Wrong(index));
                }
                (answers, filled) = (answers + 1, rest);
            }
            self.rest.clear();
            self.rest.extend_from_slice(filled);
            // A short read has emptied the socket; the next edge wakes us.
            if is_all {
                return Ok(answers);
            }
        }
    }
}

/// The first answer comes whole, as short as it is.
fn length_of_first(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(END.len()).position(|window| window == END)? + END.len();
    (end <= LONGEST).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::length_of_first;

    #[test]
    fn the_first_answer_tells_the_length_of_all() {
        assert_eq!(
            length_of_first(b"HTTP/1.1 200 OK\r\n\r\nHello, World!HTTP"),
            Some(32)
        );
        assert_eq!(length_of_first(b"HTTP/1.1 200 OK\r\n\r\nHello"), None);
    }
}
