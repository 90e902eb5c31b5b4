//! One request's place in the counts of its connection.

use crate::gate::Refusal;
use crate::traffic::Traffic;
use std::sync::Arc;

/// One request's place in the counts, from its head until hyper has its answer or it comes to nothing.
pub(crate) struct RequestLease {
    /// Absent once the answer is handed over.
    traffic: Option<Arc<Traffic>>,
    /// Which request of its connection it is, from 1.
    number: u64,
}

impl RequestLease {
    /// For the connection's own task.
    pub(crate) fn new(traffic: Arc<Traffic>) -> Self {
        let number = traffic.begin_request();
        Self {
            traffic: Some(traffic),
            number,
        }
    }

    /// The traffic of the connection, until the answer is handed over.
    pub(crate) fn traffic(&self) -> Option<&Traffic> {
        self.traffic.as_deref()
    }

    /// Why the request is refused, when it is.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.traffic()?.refusal_of(self.number)
    }

    /// There is an answer, whose body may come yet.
    pub(crate) fn made(&self) {
        if let Some(traffic) = self.traffic() {
            traffic.made();
        }
    }

    /// Hyper has the whole answer; it counts as given once it is written.
    pub(crate) fn hand_over(mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.hand_over();
        }
    }
}

impl Drop for RequestLease {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.lose();
        }
    }
}
