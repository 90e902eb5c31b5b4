//! What a connection and its server have under way: bytes, requests, and answers that are not written yet.

use crate::connection::ConnectionCounts;
use crate::departure::Departure;
use crate::gate::Refusal;
use crate::handed::Handed;
use crate::{ClientGone, CloseReason, IoStream};
use bytes::Bytes;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Requests of a whole server.
#[derive(Debug, Default)]
pub(crate) struct RequestTotals {
    begun: AtomicU64,
    answered: AtomicU64,
    /// Those that came to nothing.
    pub(crate) lost: AtomicU64,
    /// Every answer is the last one of its connection.
    ends_keep_alive: AtomicBool,
}

impl RequestTotals {
    pub(crate) fn end_keep_alive(&self) {
        self.ends_keep_alive.store(true, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.unanswered(self.lost.load(Ordering::Acquire))
    }

    /// Requests that are not answered, but for so many that came to nothing.
    pub(crate) fn unanswered(&self, lost: u64) -> u64 {
        // In this order: what is answered has begun.
        let over = self.answered() + lost;
        self.begun.load(Ordering::Acquire).saturating_sub(over)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }
}

const UNBROKEN: u8 = 0;
const LEFT: u8 = 1;
const FAILED: u8 = 2;

/// Written by the connection's own task, read by it and by whoever sums up.
#[derive(Debug)]
pub(crate) struct Traffic {
    totals: Arc<RequestTotals>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    /// Those of them whose answer hyper has completely, and writes or has written.
    handed_over: AtomicU64,
    /// Those of these whose answer is written to its last byte.
    answered: AtomicU64,
    /// Requests that came to nothing.
    lost: AtomicU64,
    /// The answer to the last request is in the making. Read on HTTP/1 alone, where there is one at a time.
    is_making: AtomicBool,
    /// How the socket failed. Kept here because hyper takes a reset between requests for an ordinary end.
    broken: AtomicU8,
    upgraded: AtomicBool,
    /// Somebody waits for the peer's next bytes, as of the turn under way, and so hears of its departure.
    is_read: AtomicBool,
    /// Somebody watches for the peer's departure and needs a descriptor of its own.
    wants_descriptor: AtomicBool,
    /// No request has come for a while.
    idle_for_long: AtomicBool,
    departure: Arc<Departure>,
    /// An answer handed the connection over to another protocol; to WebSocket or not.
    switched: AtomicBool,
    /// Bytes came behind a request that may switch protocols, before its answer.
    behind_upgrade: AtomicBool,
    /// The request that is at fault although its service was called, or may be.
    refused: OnceLock<(u64, Refusal)>,
    /// Why the gate ended the connection.
    verdict: OnceLock<CloseReason>,
    /// The stream of a peer that speaks HTTP/2, with what was read of it, until somebody takes it.
    http2: Handed<(IoStream, Bytes)>,
    /// Another descriptor of the socket, for whoever watches for the peer's departure; `None` where there is no socket.
    descriptor: Handed<Option<io::Result<OwnedFd>>>,
}

impl Traffic {
    pub(crate) fn new(totals: Arc<RequestTotals>) -> Self {
        Self {
            totals,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_making: AtomicBool::new(false),
            broken: AtomicU8::new(UNBROKEN),
            upgraded: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            wants_descriptor: AtomicBool::new(false),
            idle_for_long: AtomicBool::new(false),
            departure: Arc::default(),
            switched: AtomicBool::new(false),
            behind_upgrade: AtomicBool::new(false),
            refused: OnceLock::new(),
            verdict: OnceLock::new(),
            http2: Handed::default(),
            descriptor: Handed::default(),
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        add(&self.bytes_in, bytes);
        self.idle_for_long.store(false, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        add(&self.bytes_out, bytes);
    }

    /// A request's service is about to be called, which is the connection's own task's doing. Its number, from 1.
    pub(crate) fn begin_request(&self) -> u64 {
        // What was said of the request before.
        if self.has_long_wait() {
            drop(self.take_long_wait());
        }
        add(&self.requests, 1);
        self.totals.begun.fetch_add(1, Ordering::AcqRel);
        self.is_making.store(true, Ordering::Relaxed);
        self.requests()
    }

    /// The service has given its answer, whose body may come yet.
    pub(crate) fn made(&self) {
        self.is_making.store(false, Ordering::Relaxed);
    }

    /// The last request's service has not given its answer. On HTTP/1, where there is one at a time.
    pub(crate) fn is_making(&self) -> bool {
        self.is_making.load(Ordering::Relaxed)
    }

    /// Hyper has a whole answer.
    pub(crate) fn hand_over(&self) {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came to nothing.
    pub(crate) fn lose(&self) {
        self.made();
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.totals.lost.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything hyper had to write is written, so the answers it had completely are given. Whether there were any.
    pub(crate) fn flushed(&self) -> bool {
        let handed_over = self.handed_over.load(Ordering::Relaxed);
        let before = self.answered.load(Ordering::Relaxed);
        if handed_over == before {
            return false;
        }
        self.answered.store(handed_over, Ordering::Relaxed);
        self.totals
            .answered
            .fetch_add(handed_over - before, Ordering::AcqRel);
        true
    }

    /// Whether the server keeps no connection for a further request.
    pub(crate) fn ends_keep_alive(&self) -> bool {
        self.totals.ends_keep_alive.load(Ordering::Relaxed)
    }

    /// Hyper gets a turn at the connection.
    pub(crate) fn begin_turn(&self) {
        self.is_read.store(false, Ordering::Relaxed);
    }

    /// The connection was read, and bytes are waited for or not.
    pub(crate) fn note_reading(&self, is_waiting: bool) {
        self.is_read.store(is_waiting, Ordering::Relaxed);
    }

    /// Whether the last turn ended with waiting for bytes.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    /// No request has come for a while.
    pub(crate) fn note_long_idle(&self) {
        self.idle_for_long.store(true, Ordering::Relaxed);
    }

    /// Whether no byte has come since that was noted.
    pub(crate) fn is_idle_for_long(&self) -> bool {
        self.idle_for_long.load(Ordering::Relaxed)
    }

    /// The handler of the request under way has said that its answer takes long.
    pub(crate) fn has_long_wait(&self) -> bool {
        self.departure.long_wait.is_there()
    }

    /// A head that stands for that request, once.
    pub(crate) fn take_long_wait(&self) -> Option<Box<[u8]>> {
        self.departure.long_wait.take()
    }

    /// What handlers learn of the peer's departure.
    pub(crate) fn client(&self) -> ClientGone {
        ClientGone::new(self.departure.clone())
    }

    /// The server gives the peer up, which is owed an answer.
    pub(crate) fn cut(&self) {
        self.departure.cut();
    }

    /// The peer sends no more. Hyper takes that for an ordinary end where the answer to half a request is written.
    pub(crate) fn ended(&self) {
        if !self.owes_nothing() {
            self.left();
        }
        self.departure.tell();
    }

    /// The peer left within a request.
    pub(crate) fn left(&self) {
        self.broken.store(LEFT, Ordering::Relaxed);
        self.departure.tell();
    }

    /// Reading or writing failed.
    pub(crate) fn failed(&self, error: &io::Error) {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};
        let how = match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut => LEFT,
            _ => FAILED,
        };
        self.broken.store(how, Ordering::Relaxed);
        self.departure.tell();
    }

    /// How the socket failed, when it did.
    pub(crate) fn failure(&self) -> Option<CloseReason> {
        match self.broken.load(Ordering::Relaxed) {
            UNBROKEN => None,
            LEFT => Some(CloseReason::PeerLeft),
            _ => Some(CloseReason::Error),
        }
    }

    pub(crate) fn mark_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// The connection belongs to another protocol from now on.
    pub(crate) fn mark_switched(&self) {
        self.switched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_switched(&self) -> bool {
        self.switched.load(Ordering::Relaxed)
    }

    pub(crate) fn came_behind_upgrade(&self) {
        self.behind_upgrade.store(true, Ordering::Relaxed);
    }

    /// Whether bytes stand behind the request that asked for another protocol. They are not HTTP for certain, so the
    /// connection cannot be kept when the answer is no.
    pub(crate) fn has_bytes_behind_upgrade(&self) -> bool {
        self.behind_upgrade.load(Ordering::Relaxed)
    }

    /// The peer speaks HTTP/2, and this much of it was read.
    pub(crate) fn speaks_http2(&self, stream: IoStream, early: &[u8]) {
        self.http2.give((stream, Bytes::copy_from_slice(early)));
    }

    /// The stream of a peer that speaks HTTP/2, and what was read of it; once.
    pub(crate) fn take_http2(&self) -> Option<(IoStream, Bytes)> {
        self.http2.take()
    }

    /// Asks for another descriptor of the socket, which comes with the next turn.
    pub(crate) fn want_descriptor(&self) {
        self.wants_descriptor.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_descriptor_wanted(&self) -> bool {
        self.wants_descriptor.load(Ordering::Relaxed)
    }

    pub(crate) fn give_descriptor(&self, descriptor: Option<io::Result<OwnedFd>>) {
        self.wants_descriptor.store(false, Ordering::Relaxed);
        self.descriptor.give(descriptor);
    }

    /// What [`want_descriptor`](Self::want_descriptor) asked for, once it is there.
    pub(crate) fn take_descriptor(&self) -> Option<Option<io::Result<OwnedFd>>> {
        self.descriptor.take()
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Requests whose service was called.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests without their whole answer.
    pub(crate) fn in_flight(&self) -> u64 {
        self.requests() - self.lost.load(Ordering::Relaxed) - self.answered.load(Ordering::Relaxed)
    }

    /// A request is under way whose answer hyper does not have completely.
    pub(crate) fn is_handling(&self) -> bool {
        self.requests() - self.lost.load(Ordering::Relaxed) > self.handed_over.load(Ordering::Relaxed)
    }

    /// The request with this number (from 1) is at fault, which was seen after its head was given to hyper.
    pub(crate) fn refuse(&self, request: u64, refusal: Refusal) {
        // Nothing is read after the first.
        let _ = self.refused.set((request, refusal));
    }

    /// Why the request with this number is refused, when it is.
    pub(crate) fn refusal_of(&self, request: u64) -> Option<Refusal> {
        let (refused, refusal) = self.refused.get()?;
        (*refused == request).then_some(*refusal)
    }

    /// Why the gate ends the connection; the first word counts, and this says whether it was the first.
    pub(crate) fn end_as(&self, reason: CloseReason) -> bool {
        self.verdict.set(reason).is_ok()
    }

    pub(crate) fn verdict(&self) -> Option<CloseReason> {
        self.verdict.get().copied()
    }

    /// No request is without its whole answer.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.in_flight() == 0
    }
}

/// For counts that one task alone writes, which needs no lock of the bus.
fn add(count: &AtomicU64, more: usize) {
    count.store(count.load(Ordering::Relaxed) + more as u64, Ordering::Relaxed);
}

/// Answers that were never written leave the server's count with their connection.
impl Drop for Traffic {
    fn drop(&mut self) {
        let lost = self.in_flight();
        if lost > 0 {
            self.totals.lost.fetch_add(lost, Ordering::AcqRel);
        }
    }
}

impl ConnectionCounts for Traffic {
    fn counts(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.bytes_in), read(&self.bytes_out), read(&self.requests))
    }
}

#[cfg(test)]
mod tests;
