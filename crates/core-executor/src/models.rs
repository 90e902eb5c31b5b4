//! The sync core in every order that its steps may have, in miniature: two or three threads, a few steps each. loom tries
//! all of them (`.ci/models loom`).

mod guard;
mod shutdown;
mod slots;
mod tracker;

use loom::model::Builder;

/// Runs `body` in every order its steps may have. An order in which it does not come to its end is a failure too.
fn in_every_order(body: impl Fn() + Sync + Send + 'static) {
    run(None, body);
}

/// The same where all orders are too many: all those in which a thread is interrupted `preemptions` times at most.
fn in_orders_with(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    run(Some(preemptions), body);
}

fn run(preemptions: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let mut checker = Builder::new();
    checker.preemption_bound = preemptions;
    checker.check(body);
}
