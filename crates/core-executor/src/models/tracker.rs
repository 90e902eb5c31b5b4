//! The task tracker against the end: who is admitted is waited for or counted, and nobody runs afterwards.

use super::{in_every_order, in_orders_with};
use crate::spawner::cut_by;
use crate::tracker::{Admitted, Tracker};
use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::{JoinHandle, spawn};
use std::future::{pending, ready};
use std::sync::Arc;

/// The end, as whoever runs must not see it.
#[derive(Clone)]
struct Over(Arc<AtomicBool>);

impl Over {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn must_not_be(&self) {
        assert!(!self.0.load(Ordering::Acquire), "a task ran after the end");
    }
}

/// What `Spawner::spawn_with` does on a runtime that is not ours, with a thread for the runtime.
fn task(tracker: &Arc<Tracker>, over: &Over) -> JoinHandle<()> {
    let (tracker, over) = (tracker.clone(), over.clone());
    spawn(move || {
        let Ok(Admitted { slot, coming }) = tracker.admit() else {
            return;
        };
        let body = async move {
            let _slot = slot;
            over.must_not_be();
        };
        let task = tracker
            .tasks
            .track_future(cut_by(Some(tracker.cut.clone()), body));
        drop(coming);
        block_on(task);
    })
}

#[test]
fn who_was_admitted_is_waited_for() {
    in_every_order(|| {
        let (tracker, over) = (Arc::new(Tracker::new(1)), Over::new());
        let task = task(&tracker, &over);
        assert_eq!(block_on(tracker.finish(pending())), 0);
        over.say();
        assert!(tracker.admit().is_err(), "nobody comes after the end");
        task.join().unwrap();
    });
}

#[test]
fn who_is_not_waited_for_is_cut_and_gone() {
    in_orders_with(3, || {
        let (tracker, over) = (Arc::new(Tracker::new(2)), Over::new());
        let tasks = [task(&tracker, &over), task(&tracker, &over)];
        let left = block_on(tracker.finish(ready(())));
        assert!(left <= 2);
        tracker.cut();
        block_on(tracker.gone());
        over.say();
        for task in tasks {
            task.join().unwrap();
        }
        assert_eq!(block_on(tracker.finish(ready(()))), 0, "every place came back");
    });
}

#[test]
fn a_service_that_comes_late_never_runs() {
    in_every_order(|| {
        let (tracker, over) = (Arc::new(Tracker::new(1)), Over::new());
        let service = {
            let (tracker, over) = (tracker.clone(), over.clone());
            spawn(move || {
                if tracker.check_open().is_ok() {
                    let body = async { over.must_not_be() };
                    let body = cut_by(Some(tracker.cut.clone()), body);
                    block_on(tracker.services.track_future(body));
                }
            })
        };
        tracker.cut();
        block_on(tracker.gone());
        over.say();
        service.join().unwrap();
    });
}

#[test]
fn a_service_that_waits_is_cut() {
    in_every_order(|| {
        let tracker = Arc::new(Tracker::new(1));
        let waiting = cut_by(Some(tracker.cut.clone()), pending::<()>());
        let service = tracker.services.track_future(waiting);
        let service = spawn(move || block_on(service));
        tracker.cut();
        block_on(tracker.gone());
        service.join().unwrap();
    });
}
