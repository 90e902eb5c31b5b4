//! The sync core in every order that its steps may have, in miniature: two or three threads, a few steps each. loom
//! tries all of them (`.ci/models loom`). What has more steps is tried in many thousand orders that shuttle chooses at
//! random (`.ci/models shuttle`): always the same ones, and others with `MODELS_SEED`, more with `MODELS_SCHEDULES`.

#[cfg(shuttle)]
mod accept;
#[cfg(loom)]
mod guard;
#[cfg(loom)]
mod shutdown;
#[cfg(loom)]
mod slots;
#[cfg(loom)]
mod tracker;

/// Runs `body` in every order its steps may have. An order in which it does not come to its end is a failure too.
#[cfg(loom)]
fn in_every_order(body: impl Fn() + Sync + Send + 'static) {
    run(None, body);
}

/// The same where all orders are too many: all those in which a thread is interrupted `preemptions` times at most.
#[cfg(loom)]
fn in_orders_with(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    run(Some(preemptions), body);
}

#[cfg(loom)]
fn run(preemptions: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = preemptions;
    checker.check(body);
}

/// Runs `body` in many orders of its steps.
#[cfg(shuttle)]
fn in_many_orders(body: impl Fn() + Send + Sync + 'static) {
    let setting = |name: &str, usual: u64| {
        let value = std::env::var(name).ok();
        value.map_or(usual, |value| value.parse().expect("a number"))
    };
    let schedules = setting("MODELS_SCHEDULES", 20_000) as usize;
    let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(setting("MODELS_SEED", 1), schedules);
    let runs = shuttle::Runner::new(scheduler, shuttle::Config::default()).run(body);
    assert_eq!(runs, schedules);
}
