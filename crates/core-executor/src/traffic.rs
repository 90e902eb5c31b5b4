//! What a connection and its server have under way: bytes, requests, and answers that are not written yet.

use crate::connection::ConnectionCounts;
use crate::departure::Departure;
use crate::{ClientGone, CloseReason};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Requests of a whole server.
#[derive(Debug, Default)]
pub(crate) struct RequestTotals {
    in_flight: AtomicU64,
    answered: AtomicU64,
}

impl RequestTotals {
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
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
    /// Requests whose answer has not been written to its last byte.
    in_flight: AtomicU64,
    /// Those of them whose answer hyper has completely, and writes.
    handed_over: AtomicU64,
    /// How the socket failed. Kept here because hyper takes a reset between requests for an ordinary end.
    broken: AtomicU8,
    upgraded: AtomicBool,
    /// Somebody waits for the peer's next bytes, as of the turn under way, and so hears of its departure.
    is_read: AtomicBool,
    departure: Arc<Departure>,
}

impl Traffic {
    pub(crate) fn new(totals: Arc<RequestTotals>) -> Self {
        Self {
            totals,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            broken: AtomicU8::new(UNBROKEN),
            upgraded: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            departure: Arc::default(),
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Everything hyper had to write is written, so the answers it had completely are given.
    pub(crate) fn flushed(&self) {
        if self.handed_over.load(Ordering::Relaxed) == 0 {
            return;
        }
        let answers = self.handed_over.swap(0, Ordering::Relaxed);
        self.in_flight.fetch_sub(answers, Ordering::Relaxed);
        self.totals.answered.fetch_add(answers, Ordering::AcqRel);
        self.totals.in_flight.fetch_sub(answers, Ordering::AcqRel);
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

    /// What handlers learn of the peer's departure.
    pub(crate) fn client(&self) -> ClientGone {
        ClientGone::new(self.departure.clone())
    }

    /// The peer sends no more. Hyper takes that for an ordinary end where the answer to half a request is written.
    pub(crate) fn ended(&self) {
        if !self.owes_nothing() {
            self.broken.store(LEFT, Ordering::Relaxed);
        }
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

    /// No request is without its whole answer.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }
}

/// Answers that were never written leave the server's count with their connection.
impl Drop for Traffic {
    fn drop(&mut self) {
        let lost = *self.in_flight.get_mut();
        self.totals.in_flight.fetch_sub(lost, Ordering::AcqRel);
    }
}

impl ConnectionCounts for Traffic {
    fn counts(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.bytes_in), read(&self.bytes_out), read(&self.requests))
    }
}

/// One request's place in the counts, from its head until hyper has its answer or it comes to nothing.
pub(crate) struct RequestLease {
    /// Absent once the answer is handed over.
    traffic: Option<Arc<Traffic>>,
}

impl RequestLease {
    pub(crate) fn new(traffic: Arc<Traffic>) -> Self {
        traffic.requests.fetch_add(1, Ordering::Relaxed);
        traffic.in_flight.fetch_add(1, Ordering::Relaxed);
        traffic.totals.in_flight.fetch_add(1, Ordering::AcqRel);
        Self {
            traffic: Some(traffic),
        }
    }

    /// The answer switches protocols.
    pub(crate) fn mark_upgraded(&self) {
        if let Some(traffic) = &self.traffic {
            traffic.mark_upgraded();
        }
    }

    /// Hyper has the whole answer; it counts as given once it is written.
    pub(crate) fn hand_over(mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.handed_over.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for RequestLease {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
            traffic.totals.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> (Arc<RequestTotals>, Arc<Traffic>) {
        let totals = Arc::new(RequestTotals::default());
        (totals.clone(), Arc::new(Traffic::new(totals)))
    }

    #[test]
    fn an_answer_counts_when_it_is_written() {
        let (totals, traffic) = traffic();
        let lease = RequestLease::new(traffic.clone());
        traffic.flushed();
        assert_eq!((totals.in_flight(), totals.answered()), (1, 0));
        lease.hand_over();
        assert!(!traffic.owes_nothing());
        traffic.flushed();
        assert!(traffic.owes_nothing());
        assert_eq!((totals.in_flight(), totals.answered()), (0, 1));
    }

    #[test]
    fn a_request_that_came_to_nothing_leaves_the_counts() {
        let (totals, traffic) = traffic();
        drop(RequestLease::new(traffic.clone()));
        assert!(traffic.owes_nothing());
        RequestLease::new(traffic.clone()).hand_over();
        drop(traffic);
        assert_eq!((totals.in_flight(), totals.answered()), (0, 0));
    }
}
