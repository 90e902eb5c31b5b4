//! Sessions that open, close and are walked over, against the stop.

use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::spawn;
use tokio::time::Instant;

use super::{LONGEST_WAIT, carry, hub, in_many_orders, open};
use crate::hub::Hub;
use crate::running::{RunningWsServer, StopPlan};
use crate::tally::WsReport;

/// A stop with this deadline, as a running server does it.
fn stop(hub: &Hub, deadline: Instant) -> WsReport {
    let server = RunningWsServer::new(hub.clone(), None, None);
    let plan = StopPlan {
        batch_per_second: 0,
        deadline,
        ..StopPlan::within(Duration::ZERO)
    };
    block_on(server.stop(plan))
}

/// A deadline that does not come.
fn never() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// One that has come, before the runtime of the timers was made.
fn passed() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
}

#[test]
fn whoever_opens_while_the_server_stops_is_closed_or_refused() {
    in_many_orders(|| {
        let (hub, calls) = hub();
        let client = |leaves: bool| {
            let hub = hub.clone();
            spawn(move || {
                block_on(async {
                    let Some(attachment) = open(&hub).await else {
                        return;
                    };
                    if leaves {
                        drop(attachment);
                    } else {
                        carry(attachment).await;
                    }
                })
            })
        };
        let clients = [client(false), client(false), client(true)];
        let report = stop(&hub, never());
        let opened = calls.sessions();
        assert_eq!(
            report.cut_off + report.closed_cleanly,
            report.sessions,
            "{report:?}"
        );
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(calls.sessions(), opened, "nobody opens after the stop");
        assert_eq!(hub.sessions(), 0);
        calls.must_be_paired();
        assert_eq!(hub.metrics().connections_active.get(), 0);
        assert_eq!(hub.metrics().connections_total.get(), opened as u64);
    });
}

#[test]
fn a_deadline_that_has_come_cuts_and_nobody_is_told_twice() {
    in_many_orders(|| {
        let (hub, calls) = hub();
        let client = || {
            let hub = hub.clone();
            spawn(move || {
                block_on(async {
                    if let Some(attachment) = open(&hub).await {
                        carry(attachment).await;
                    }
                })
            })
        };
        let clients = [client(), client()];
        // Else it would nearly always be over before anybody has come.
        for _ in 0..thread_rng().gen_range(0..LONGEST_WAIT) {
            shuttle::thread::yield_now();
        }
        let report = stop(&hub, passed());
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(hub.sessions(), 0);
        calls.must_be_paired();
        assert_eq!(hub.metrics().connections_active.get(), 0);
        assert!(report.sessions <= calls.sessions() as u64, "{report:?}");
    });
}

#[test]
fn a_walk_meets_who_stays_once_and_nobody_twice() {
    in_many_orders(|| {
        let (hub, calls) = hub();
        let stays = block_on(open(&hub)).expect("nobody stops it");
        let churn = || {
            let hub = hub.clone();
            spawn(move || {
                for _ in 0..2 {
                    drop(block_on(open(&hub)));
                }
            })
        };
        let churning = [churn(), churn()];
        let (mut walk, mut met) = (crate::roster::Walk::default(), Vec::new());
        while hub.tables().everybody().step(&mut walk, 1, |session| {
            met.push(session.id());
            1
        }) {}
        let times = met.iter().filter(|id| **id == stays.session().id()).count();
        assert_eq!(times, 1, "{met:?}");
        let all = met.len();
        met.sort();
        met.dedup();
        assert_eq!(met.len(), all, "met twice");
        for thread in churning {
            thread.join().unwrap();
        }
        assert_eq!(hub.sessions(), 1);
        drop(stays);
        assert_eq!((hub.sessions(), hub.tables().everybody().len()), (0, 0));
        calls.must_be_paired();
    });
}

#[test]
fn who_asks_for_the_close_of_one_session_is_alone() {
    in_many_orders(|| {
        let (hub, calls) = hub();
        let attachment = block_on(open(&hub)).expect("nobody stops it");
        let session = attachment.session().clone();
        let ask = |code: u16| {
            let session = session.clone();
            spawn(move || session.close(code, "model"))
        };
        let asking = [ask(4000), ask(4001)];
        let carrying = spawn(move || block_on(carry(attachment)));
        let taken = asking.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(taken.filter(|taken| *taken).count(), 1);
        carrying.join().unwrap();
        assert!(session.has_ended());
        calls.must_be_paired();
    });
}
