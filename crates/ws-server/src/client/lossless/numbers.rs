//! What both ends count, without I/O: which message is new, which is kept, where a connection begins.

use std::collections::VecDeque;

use tungstenite::protocol::Message;

use super::envelope::Hello;
use super::incoming::Incoming;
use crate::client::QueueConfig;

/// Messages after which the server is told at once how far we are.
const ACK_EVERY: u64 = 32;

/// The numbers of a session, and our messages that the server may not have.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The server's id of the session; a secret.
    session: Option<String>,
    /// There was a session before.
    is_known: bool,
    /// The last message of the server's that is handed on.
    cursor: u64,
    /// What the server knows of `cursor`.
    acknowledged: u64,
    /// The last message of the server's on this connection.
    on_connection: u64,
    /// The last message that the server has taken over.
    received: u64,
    /// Our messages after `received`.
    kept: VecDeque<Message>,
    /// Bytes of `kept`.
    bytes: usize,
    /// How many of `kept` went out over any connection of this session.
    tried: usize,
    /// How many of `kept` went out over this connection.
    written: usize,
    limit: QueueConfig,
}

/// The server counts in a way that loses messages silently.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Miscounted;

impl Numbers {
    pub(super) fn new(limit: QueueConfig) -> Self {
        Self {
            session: None,
            is_known: false,
            cursor: 0,
            acknowledged: 0,
            on_connection: 0,
            received: 0,
            kept: VecDeque::new(),
            bytes: 0,
            tried: 0,
            written: 0,
            limit,
        }
    }

    /// The session to resume and the cursor to begin at.
    pub(super) fn session(&self) -> Option<(&str, u64)> {
        self.session.as_deref().map(|session| (session, self.cursor))
    }

    /// The session is no more. Its numbers stay until another one begins.
    pub(super) fn forget(&mut self) {
        self.session = None;
    }

    /// A connection begins. Returns what the receiver has to know of it.
    pub(super) fn begin(&mut self, hello: Hello) -> Result<Option<Incoming>, Miscounted> {
        self.written = 0;
        self.on_connection = hello.cursor;
        if self.session.as_ref() == Some(&hello.session) {
            self.taken_over(hello.received)?;
            return Ok(self.lost_before(hello.cursor));
        }
        if hello.cursor != 0 || hello.received != 0 {
            return Err(Miscounted);
        }
        let is_first = !std::mem::replace(&mut self.is_known, true);
        (self.cursor, self.acknowledged, self.received) = (0, 0, 0);
        self.session = Some(hello.session);
        let unsure: Vec<_> = self.kept.drain(..self.tried).collect();
        self.tried = 0;
        self.bytes = self.kept.iter().map(Message::len).sum();
        Ok((!is_first).then_some(Incoming::Reopened { unsure }))
    }

    /// A message came. `None` when it was had already.
    pub(super) fn heard(&mut self, message: Message) -> Option<Incoming> {
        self.on_connection += 1;
        if self.on_connection <= self.cursor {
            return None;
        }
        self.cursor = self.on_connection;
        Some(Incoming::Message(message))
    }

    /// The server says that messages are lost.
    pub(super) fn gap(&mut self, cursor: u64) -> Option<Incoming> {
        self.on_connection = cursor;
        self.lost_before(cursor)
    }

    fn lost_before(&mut self, cursor: u64) -> Option<Incoming> {
        let lost = cursor.checked_sub(self.cursor).filter(|lost| *lost > 0)?;
        self.cursor = cursor;
        Some(Incoming::Gap { lost })
    }

    /// Whether the server does not know how far we are.
    pub(super) fn owes_ack(&self) -> bool {
        self.cursor > self.acknowledged
    }

    /// Whether it should be told without waiting for more.
    pub(super) fn owes_ack_now(&self) -> bool {
        self.cursor - self.acknowledged >= ACK_EVERY
    }

    /// How far we are.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The server was told.
    pub(super) fn acknowledged(&mut self) {
        self.acknowledged = self.cursor;
    }

    /// The server has our messages up to this number.
    pub(super) fn taken_over(&mut self, received: u64) -> Result<(), Miscounted> {
        let Some(count) = received.checked_sub(self.received) else {
            return Err(Miscounted);
        };
        let count = usize::try_from(count).ok().filter(|count| *count <= self.tried);
        let Some(count) = count else {
            return Err(Miscounted);
        };
        self.bytes -= self
            .kept
            .drain(..count)
            .map(|message| message.len())
            .sum::<usize>();
        self.tried -= count;
        self.written = self.written.saturating_sub(count);
        self.received = received;
        Ok(())
    }

    /// Whether another message of ours may be kept. One that is longer than the limit may be kept alone.
    pub(super) fn has_room(&self) -> bool {
        self.kept.len() < self.limit.messages.max(1) && self.bytes < self.limit.bytes.max(1)
    }

    /// Keeps a message until the server has it.
    pub(super) fn keep(&mut self, message: Message) {
        self.bytes += message.len();
        self.kept.push_back(message);
    }

    /// The next message for this connection.
    pub(super) fn next(&self) -> Option<&Message> {
        self.kept.get(self.written)
    }

    /// It is on its way.
    pub(super) fn wrote(&mut self) {
        self.written += 1;
        self.tried = self.tried.max(self.written);
    }

    /// Messages that the server may not have.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Incoming, Miscounted, Numbers};
    use crate::client::QueueConfig;
    use crate::client::lossless::envelope::Hello;
    use tungstenite::protocol::Message;

    fn numbers() -> Numbers {
        Numbers::new(QueueConfig {
            messages: 3,
            bytes: 100,
        })
    }

    fn hello(session: &str, cursor: u64, received: u64) -> Hello {
        Hello {
            session: session.to_owned(),
            cursor,
            received,
        }
    }

    fn text(text: &str) -> Message {
        Message::text(text)
    }

    fn say(numbers: &mut Numbers, texts: &[&str]) {
        for said in texts {
            numbers.keep(text(said));
        }
    }

    fn write_all(numbers: &mut Numbers) -> Vec<Message> {
        let mut written = Vec::new();
        while let Some(message) = numbers.next().cloned() {
            written.push(message);
            numbers.wrote();
        }
        written
    }

    #[test]
    fn what_the_server_lacks_is_sent_again() {
        let mut numbers = numbers();
        assert_eq!(numbers.begin(hello("a", 0, 0)), Ok(None));
        say(&mut numbers, &["1", "2", "3"]);
        assert!(!numbers.has_room());
        assert_eq!(write_all(&mut numbers).len(), 3);
        assert_eq!(numbers.taken_over(1), Ok(()));
        assert!(numbers.has_room());
        say(&mut numbers, &["4"]);
        assert_eq!(numbers.begin(hello("a", 0, 2)), Ok(None));
        assert_eq!(write_all(&mut numbers), [text("3"), text("4")]);
        assert_eq!(numbers.taken_over(4), Ok(()));
        assert_eq!((numbers.kept(), numbers.bytes), (0, 0));
    }

    #[test]
    fn what_comes_twice_is_handed_on_once() {
        let mut numbers = numbers();
        assert_eq!(numbers.begin(hello("a", 0, 0)), Ok(None));
        for said in ["1", "2", "3"] {
            assert_eq!(numbers.heard(text(said)), Some(Incoming::Message(text(said))));
        }
        assert_eq!(numbers.session(), Some(("a", 3)));
        // The server begins earlier than it was asked to.
        assert_eq!(numbers.begin(hello("a", 1, 0)), Ok(None));
        assert_eq!(numbers.heard(text("2")), None);
        assert_eq!(numbers.heard(text("3")), None);
        assert_eq!(numbers.heard(text("4")), Some(Incoming::Message(text("4"))));
        assert_eq!(numbers.gap(9), Some(Incoming::Gap { lost: 5 }));
        assert_eq!(numbers.gap(9), None);
        assert_eq!(numbers.heard(text("10")), Some(Incoming::Message(text("10"))));
        assert!(numbers.owes_ack() && !numbers.owes_ack_now());
        assert_eq!(numbers.cursor(), 10);
        numbers.acknowledged();
        assert!(!numbers.owes_ack());
        // One that begins later has lost some.
        assert_eq!(
            numbers.begin(hello("a", 12, 0)),
            Ok(Some(Incoming::Gap { lost: 2 }))
        );
    }

    #[test]
    fn a_new_session_takes_over_what_had_not_gone_out() {
        let mut numbers = numbers();
        assert_eq!(numbers.begin(hello("a", 0, 0)), Ok(None));
        say(&mut numbers, &["sent"]);
        write_all(&mut numbers);
        say(&mut numbers, &["unsent"]);
        numbers.forget();
        assert_eq!(numbers.session(), None);
        let unsure = vec![text("sent")];
        assert_eq!(
            numbers.begin(hello("b", 0, 0)),
            Ok(Some(Incoming::Reopened { unsure }))
        );
        assert_eq!(write_all(&mut numbers), [text("unsent")]);
        assert_eq!(numbers.taken_over(1), Ok(()));
        assert_eq!(numbers.session(), Some(("b", 0)));
    }

    #[test]
    fn a_server_that_counts_wrong_is_noticed() {
        let mut numbers = numbers();
        assert_eq!(numbers.begin(hello("a", 0, 1)), Err(Miscounted));
        assert_eq!(numbers.begin(hello("a", 0, 0)), Ok(None));
        say(&mut numbers, &["1", "2"]);
        assert_eq!(numbers.taken_over(1), Err(Miscounted), "nothing went out");
        numbers.wrote();
        assert_eq!(
            numbers.taken_over(2),
            Err(Miscounted),
            "the second did not go out"
        );
        assert_eq!(numbers.taken_over(1), Ok(()));
        assert_eq!(
            numbers.begin(hello("a", 0, 0)),
            Err(Miscounted),
            "it had the first"
        );
        assert_eq!(numbers.taken_over(u64::MAX), Err(Miscounted));
    }
}
