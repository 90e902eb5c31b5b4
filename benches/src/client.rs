//! The load client: one thread, one epoll, every connection in one table.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use thiserror::Error;

use crate::connection::{Connection, Received};

/// Bytes of one read; also the longest frame that can be received.
const BUFFER: usize = 4 << 20;
/// How long connections may take to open, all together.
const OPENING: Duration = Duration::from_secs(60);

/// Why a run gives no figures.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A socket, or reading a process's figures, failed.
    #[error("the system refused")]
    Io(#[from] io::Error),
    /// The server did not answer a handshake as it must.
    #[error("handshake: {0}")]
    Handshake(String),
    /// A message that is not the one that was due.
    #[error("connection {0} got a wrong message")]
    Wrong(usize),
    /// The server ended a connection.
    #[error("the server ended connection {0}")]
    Ended(usize),
    /// Answers did not come.
    #[error("{0} did not come")]
    Missing(String),
    /// The command line.
    #[error("usage")]
    Usage(#[from] crate::arguments::UsageError),
}

/// What a mode does with what arrives.
pub trait Script {
    /// A connection is open.
    fn opened(&mut self, _index: usize, _connection: &mut Connection) {}

    /// A message arrived on a connection; frames appended to `out` are sent on it once the read is over.
    ///
    /// # Errors
    /// The message is not the one that was due.
    fn message(&mut self, index: usize, message: &Received<'_>, out: &mut Vec<u8>) -> Result<(), LoadError>;

    /// Frames to send on the first connection, after each read of any connection.
    fn first_connection(&mut self, _out: &mut Vec<u8>) {}

    /// The server ended a connection. `Ok(true)` opens another one in its place.
    ///
    /// # Errors
    /// The mode does not expect that.
    fn ended(&mut self, index: usize, _connection: &Connection) -> Result<bool, LoadError> {
        Err(LoadError::Ended(index))
    }
}

/// The load client.
#[derive(Debug)]
pub struct Client {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    address: SocketAddr,
    path: String,
    offers_deflate: bool,
}

impl Client {
    /// A client of one server and path.
    ///
    /// # Errors
    /// The system gives no epoll.
    pub fn new(address: SocketAddr, path: &str, offers_deflate: bool) -> Result<Self, LoadError> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; BUFFER],
            connections: Vec::new(),
            address,
            path: path.to_owned(),
            offers_deflate,
        })
    }

    /// Opens connections until there are `count`, at most `at_once` of them half-way.
    ///
    /// # Errors
    /// One cannot be opened, or all together take longer than a minute.
    pub fn open<S: Script>(&mut self, count: usize, at_once: usize, script: &mut S) -> Result<(), LoadError> {
        let until = Instant::now() + OPENING;
        let mut open = self.count_open();
        while open < count {
            while self.connections.len() < count && self.connections.len() - open < at_once {
                let connection = self.begin(self.connections.len())?;
                self.connections.push(connection);
            }
            self.turn(script, Duration::from_millis(100))?;
            open = self.count_open();
            if Instant::now() > until {
                return Err(LoadError::Missing(format!("{} handshakes", count - open)));
            }
        }
        Ok(())
    }

    /// Begins `count` connections at once and waits for none.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn begin_all(&mut self, count: usize) -> Result<(), LoadError> {
        for index in 0..count {
            let connection = self.begin(index)?;
            self.connections.push(connection);
        }
        Ok(())
    }

    fn begin(&self, index: usize) -> Result<Connection, LoadError> {
        let registry = self.poll.registry();
        Ok(Connection::begin(
            registry,
            Token(index),
            self.address,
            &self.path,
            self.offers_deflate,
        )?)
    }

    fn count_open(&self) -> usize {
        self.connections
            .iter()
            .filter(|connection| connection.is_open())
            .count()
    }

    /// Lets `each` put its first frames on every connection, and sends them.
    ///
    /// # Errors
    /// A socket fails.
    pub fn send_on_all(&mut self, mut each: impl FnMut(usize, &mut Vec<u8>)) -> Result<(), LoadError> {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            each(index, connection.outgoing());
            connection.flush()?;
        }
        Ok(())
    }

    /// Waits for events and handles them.
    ///
    /// # Errors
    /// Whatever the script finds wrong; a socket fails.
    pub fn turn<S: Script>(&mut self, script: &mut S, patience: Duration) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                let read = connection.read(&mut self.buffer, |out, message| {
                    script.message(index, message, out)
                });
                let news = read?;
                if news.is_opened {
                    script.opened(index, connection);
                }
                if news.is_over {
                    if script.ended(index, connection)? {
                        let registry = self.poll.registry();
                        let again = Connection::begin(
                            registry,
                            Token(index),
                            self.address,
                            &self.path,
                            self.offers_deflate,
                        )?;
                        self.connections[index] = again;
                    }
                    continue;
                }
            }
            connection.flush()?;
            let first = &mut self.connections[0];
            script.first_connection(first.outgoing());
            if !first.outgoing().is_empty() {
                first.flush()?;
            }
        }
        Ok(())
    }

    /// Turns until `until`.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run_until<S: Script>(&mut self, script: &mut S, until: Instant) -> Result<(), LoadError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(script, left)?;
        }
    }

    /// Turns until `is_done`, at most `patience`. Returns whether it is.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run_while<S: Script>(
        &mut self,
        script: &mut S,
        patience: Duration,
        mut is_done: impl FnMut(&S) -> bool,
    ) -> Result<bool, LoadError> {
        let until = Instant::now() + patience;
        while !is_done(script) {
            if Instant::now() > until {
                return Ok(false);
            }
            self.turn(script, Duration::from_millis(20))?;
        }
        Ok(true)
    }
}
