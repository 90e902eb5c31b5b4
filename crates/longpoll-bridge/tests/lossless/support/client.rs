//! A client of the lossless form: it counts, acknowledges, sends again what was not received, and drops what it has had.
//! What carries it is a [`Transport`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::poll::Poll;
use super::sse::Sse;
use super::websocket::WebSocket;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WebSocket,
    Sse,
    Poll,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::WebSocket, Self::Sse, Self::Poll];
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a transport brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The next message has the number behind this one, the server has the client's up to `received`.
    Hello {
        cursor: u64,
        received: u64,
    },
    Message(u64, Body),
    Gap {
        lost: u64,
        cursor: u64,
    },
    Received(u64),
    Heartbeat,
    Closed {
        code: u16,
        reason: String,
    },
    Replaced,
    Refused {
        status: u16,
    },
}

/// One way to carry a session. Everything else is the same for all of them.
pub(crate) trait Transport: Send {
    /// Waits for what comes next.
    fn read(&mut self, cursor: u64) -> io::Result<Vec<Event>>;
    /// Sends messages with their numbers and the cursor. Gives what the answer says, where there is one.
    fn write(&mut self, messages: &[(u64, Body)], cursor: u64) -> io::Result<Vec<Event>>;
    fn close(&mut self, code: u16, reason: &str) -> io::Result<()>;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) http: SocketAddr,
    pub(crate) ws: SocketAddr,
}

/// How long to go on trying.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    pub(crate) fn spend(&self, why: &dyn std::fmt::Debug) {
        assert!(Instant::now() < self.0, "gave up: {why:?}");
    }
}

pub(crate) struct Client {
    places: Places,
    transport: Box<dyn Transport>,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// Number of the last message that was handled.
    pub(crate) cursor: u64,
    pub(crate) sent: u64,
    unreceived: VecDeque<(u64, Body)>,
    inbox: VecDeque<Body>,
    pub(crate) lost: u64,
    /// How the session ended.
    pub(crate) closed: Option<(u16, String)>,
    pub(crate) replaced: bool,
    unacknowledged: u64,
}

/// A transport on a session, made anew or gone on with.
pub(crate) fn attach(
    places: Places,
    kind: Kind,
    session: Option<(&str, u64)>,
) -> io::Result<(Box<dyn Transport>, String)> {
    match kind {
        Kind::WebSocket => WebSocket::attach(places.ws, session),
        Kind::Sse => Sse::attach(places.http, session),
        Kind::Poll => Poll::attach(places.http, session),
    }
}

impl Client {
    pub(crate) fn open(places: Places, kind: Kind) -> Self {
        let (transport, id) = attach(places, kind, None).unwrap();
        Self::new(places, transport, kind, id)
    }

    /// A client that has an id and no transport yet.
    pub(crate) fn absent(places: Places, kind: Kind, id: String) -> Self {
        Self::new(places, Box::new(Nothing), kind, id)
    }

    /// Takes over a session that somebody else has, as a thief or a second tab would.
    pub(crate) fn adopt(places: Places, kind: Kind, id: String, cursor: u64) -> Self {
        let (transport, id) = attach(places, kind, Some((&id, cursor))).unwrap();
        let mut client = Self::new(places, transport, kind, id);
        client.cursor = cursor;
        client
    }

    fn new(places: Places, transport: Box<dyn Transport>, kind: Kind, id: String) -> Self {
        Self {
            places,
            transport,
            kind,
            id,
            cursor: 0,
            sent: 0,
            unreceived: VecDeque::new(),
            inbox: VecDeque::new(),
            lost: 0,
            closed: None,
            replaced: false,
            unacknowledged: 0,
        }
    }

    /// Goes on over another transport; what carried it until now is dropped where it stands.
    pub(crate) fn switch(&mut self, kind: Kind) -> io::Result<()> {
        let (transport, _) = attach(self.places, kind, Some((&self.id, self.cursor)))?;
        self.transport = transport;
        self.kind = kind;
        self.unacknowledged = 0;
        // On a WebSocket and a stream the hello says from where on to send again; a poll says it with its answer, and a
        // send drops what was had.
        if kind == Kind::Poll {
            return self.send_again();
        }
        loop {
            let events = self.transport.read(self.cursor)?;
            let has_hello = events.iter().any(|event| matches!(event, Event::Hello { .. }));
            events.into_iter().for_each(|event| self.take(event));
            if has_hello {
                return self.send_again();
            }
        }
    }

    fn send_again(&mut self) -> io::Result<()> {
        let messages: Vec<_> = self.unreceived.iter().cloned().collect();
        self.write(&messages)
    }

    pub(crate) fn say(&mut self, body: impl Into<Body>) -> io::Result<()> {
        self.say_all([body.into()])
    }

    pub(crate) fn say_all(&mut self, bodies: impl IntoIterator<Item = Body>) -> io::Result<()> {
        let first = self.unreceived.len();
        for body in bodies {
            self.sent += 1;
            self.unreceived.push_back((self.sent, body));
        }
        let messages: Vec<_> = self.unreceived.iter().skip(first).cloned().collect();
        self.write(&messages)
    }

    fn write(&mut self, messages: &[(u64, Body)]) -> io::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let events = self.transport.write(messages, self.cursor)?;
        events.into_iter().for_each(|event| self.take(event));
        Ok(())
    }

    /// The next message; `None` once the session has ended or somebody else has it.
    pub(crate) fn hear(&mut self) -> io::Result<Option<Body>> {
        loop {
            if let Some(body) = self.inbox.pop_front() {
                return Ok(Some(body));
            }
            if self.closed.is_some() || self.replaced {
                return Ok(None);
            }
            if self.unacknowledged >= 32 {
                self.acknowledge()?;
            }
            let events = self.transport.read(self.cursor)?;
            events.into_iter().for_each(|event| self.take(event));
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        assert_eq!(self.hear().unwrap(), Some(text.into()), "{:?}", self.kind);
    }

    /// Reads until the session ends; gives code and reason.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) -> (u16, String) {
        assert_eq!(self.hear().unwrap(), None, "a message before the end");
        self.closed.clone().expect("a close")
    }

    pub(crate) fn acknowledge(&mut self) -> io::Result<()> {
        self.unacknowledged = 0;
        let events = self.transport.write(&[], self.cursor)?;
        events.into_iter().for_each(|event| self.take(event));
        Ok(())
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.transport.close(code, reason)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Hello { cursor, received } => {
                assert_eq!(cursor, self.cursor, "{:?}", self.kind);
                self.received(received);
            }
            Event::Message(number, body) => {
                // Duplicates are the client's to drop; a hole is the server's fault.
                assert!(number <= self.cursor + 1, "{number} behind {}", self.cursor);
                if number == self.cursor + 1 {
                    self.cursor = number;
                    self.unacknowledged += 1;
                    self.inbox.push_back(body);
                }
            }
            Event::Gap { lost, cursor } => {
                if cursor > self.cursor {
                    self.lost += lost;
                    self.cursor = cursor;
                }
            }
            Event::Received(number) => self.received(number),
            Event::Heartbeat => {}
            Event::Closed { code, reason } => self.closed = Some((code, reason)),
            Event::Replaced => self.replaced = true,
            Event::Refused { status } => panic!("refused: {status}"),
        }
    }

    fn received(&mut self, number: u64) {
        assert!(number <= self.sent, "the server has what was not sent");
        while self.unreceived.front().is_some_and(|(known, _)| *known <= number) {
            self.unreceived.pop_front();
        }
    }
}

/// No transport: whoever uses it has to switch to one.
struct Nothing;

impl Transport for Nothing {
    fn read(&mut self, _cursor: u64) -> io::Result<Vec<Event>> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn write(&mut self, _messages: &[(u64, Body)], _cursor: u64) -> io::Result<Vec<Event>> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn close(&mut self, _code: u16, _reason: &str) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }
}
