//! Places: never more taken than there are, and all of them back at the end.

use super::in_every_order;
use crate::slots::Slots;
use crate::{BudgetConfig, ConnectionBudget};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::spawn;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Counts who is inside at once.
fn inside(count: &AtomicUsize, most: usize) {
    assert!(count.fetch_add(1, Ordering::AcqRel) < most, "too many at once");
    count.fetch_sub(1, Ordering::AcqRel);
}

#[test]
fn never_more_than_there_are() {
    in_every_order(|| {
        let (slots, count) = (Arc::new(Slots::new(1)), Arc::new(AtomicUsize::new(0)));
        let visit = || {
            let (slots, count) = (slots.clone(), count.clone());
            move || match slots.take() {
                Ok(_slot) => inside(&count, 1),
                Err(_) => assert_eq!(slots.limit(), 1),
            }
        };
        let others = [spawn(visit()), spawn(visit())];
        visit()();
        for thread in others {
            thread.join().unwrap();
        }
        assert_eq!(slots.taken(), 0);
        assert!(slots.take().is_ok(), "the place came back");
    });
}

#[test]
fn an_address_has_its_share_and_no_refusal_keeps_a_place() {
    in_every_order(|| {
        let budget = ConnectionBudget::new(BudgetConfig {
            max_connections: Some(2),
            max_per_address: 1,
            ..BudgetConfig::default()
        });
        let count = Arc::new(AtomicUsize::new(0));
        let visit = || {
            let (budget, count) = (budget.clone(), count.clone());
            move || {
                if let Ok(_permit) = budget.take(Some(Ipv4Addr::LOCALHOST.into())) {
                    inside(&count, 1);
                }
            }
        };
        let other = spawn(visit());
        visit()();
        other.join().unwrap();
        assert_eq!(budget.taken(), 0);
        assert!(budget.take(Some(Ipv4Addr::LOCALHOST.into())).is_ok());
    });
}
