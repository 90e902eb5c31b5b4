//! What counts when.

use super::*;
use crate::request_lease::RequestLease;

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
