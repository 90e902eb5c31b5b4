//! The blocking lane: results, limits, what an end does to what waits there.

use crate::support::{DropGuard, Drops, Gate, in_time, soon, until};
use crate::{counts, executor, small};
use core_executor::{ExecutorConfig, ExecutorError, RuntimeExecutor, Spawner};
use core_executor::{TaskError, TaskHandle, TaskOptions};
use std::future::pending;
use std::time::Duration;
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(20);

fn named() -> TaskOptions {
    TaskOptions::named("blocking")
}

/// Takes the only thread of the lane until the gate opens.
fn occupy(executor: &RuntimeExecutor, gate: &Gate) -> TaskHandle<()> {
    let gate = gate.clone();
    let handle = executor
        .spawner()
        .spawn_blocking(named(), move || gate.block())
        .unwrap();
    until("the closure runs", || executor.metrics().active() == 1);
    handle
}

/// A closure whose guard tells when it is gone, and which fails the test when it runs.
fn must_not_run(spawner: &Spawner, options: TaskOptions, guard: DropGuard) -> TaskHandle<()> {
    let closure = move || {
        let _guard = guard;
        std::process::abort();
    };
    spawner.spawn_blocking(options, closure).unwrap()
}

#[tokio::test]
async fn results_come_back_and_panics_are_counted() {
    let executor = executor(small());
    let spawner = executor.spawner();
    let sum = spawner.spawn_blocking(named(), || 1 + 1).unwrap();
    assert_eq!(soon("a result", sum).await, Ok(2));
    let panic = spawner
        .spawn_blocking(named(), || -> u8 { panic!("on purpose") })
        .unwrap();
    assert_eq!(soon("the panic", panic).await, Err(TaskError::Panicked));
    let future = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::thread::current().name().map(str::to_owned)
    };
    let name = spawner.spawn_with(named().may_block(true), future).unwrap();
    let name = soon("a future that may block", name).await.unwrap().unwrap();
    assert!(!name.starts_with("rt-worker"), "{name}");
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&executor.metrics()), (3, 0, 0, 0, 0, 1));
}

#[tokio::test]
async fn nothing_of_a_closure_is_left_when_idle() {
    let executor = executor(small());
    for round in 1..=200 {
        let panics = || -> u8 { panic!("on purpose") };
        executor
            .spawner()
            .spawn_blocking(named(), panics)
            .map(drop)
            .unwrap();
        soon("idle", executor.wait_idle()).await;
        assert_eq!(counts(&executor.metrics()), (round, 0, 0, 0, 0, round));
    }
}

#[tokio::test]
async fn a_future_that_may_block_ends_at_its_timeout() {
    let executor = executor(small());
    let drops = Drops::default();
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let options = named().may_block(true).timeout(SHORT);
    let handle = executor.spawner().spawn_with(options, endless).unwrap();
    assert_eq!(soon("the timeout", handle).await, Err(TaskError::TimedOut));
    soon("idle", executor.wait_idle()).await;
    assert_eq!(drops.count(), 1);
    assert_eq!(counts(&executor.metrics()), (1, 0, 0, 0, 1, 0));
}

#[tokio::test]
async fn at_its_timeout_a_closure_is_given_up_and_one_not_begun_never_runs() {
    let executor = executor(small());
    let (gate, drops) = (Gate::default(), Drops::default());
    let (blocked, guard) = (gate.clone(), drops.guard());
    let running = move || {
        let _guard = guard;
        blocked.block();
    };
    let running = executor
        .spawner()
        .spawn_blocking(named().timeout(SHORT), running)
        .unwrap();
    until("the closure runs", || executor.metrics().active() == 1);
    let waiting = must_not_run(&executor.spawner(), named().timeout(SHORT), drops.guard());
    assert_eq!(soon("the first limit", running).await, Err(TaskError::TimedOut));
    assert_eq!(soon("the second limit", waiting).await, Err(TaskError::TimedOut));
    until("the closure that waited is gone", || drops.count() == 1);
    gate.open();
    soon("idle", executor.wait_idle()).await;
    assert_eq!(drops.count(), 2);
    assert_eq!(counts(&executor.metrics()), (2, 0, 0, 0, 2, 0));
}

#[tokio::test]
async fn an_aborted_closure_that_has_not_begun_never_runs() {
    let executor = executor(small());
    let (gate, drops) = (Gate::default(), Drops::default());
    occupy(&executor, &gate);
    let waiting = must_not_run(&executor.spawner(), named(), drops.guard());
    waiting.abort();
    assert_eq!(soon("the abort", waiting).await, Err(TaskError::Cancelled));
    until("the closure is gone", || drops.count() == 1);
    gate.open();
    soon("idle", executor.wait_idle()).await;
}

#[tokio::test]
async fn the_lane_has_a_bounded_queue() {
    let executor = executor(small());
    let gate = Gate::default();
    let first = occupy(&executor, &gate);
    let spawner = executor.spawner();
    let queued: Vec<_> = (0..2)
        .map(|number| spawner.spawn_blocking(named(), move || number).unwrap())
        .collect();
    assert_eq!(counts(&executor.metrics()), (3, 2, 1, 0, 0, 0));
    let refused = spawner.spawn_blocking(named(), || ()).unwrap_err();
    assert!(matches!(refused, ExecutorError::Full { limit: 3 }), "{refused}");
    let refused = spawner.spawn_with(named().may_block(true), async {}).unwrap_err();
    assert!(matches!(refused, ExecutorError::Full { limit: 3 }), "{refused}");
    assert_eq!(executor.metrics().rejected(), 2);
    let elsewhere = spawner.spawn(async { 1 }).unwrap();
    assert_eq!(soon("a task beside the lane", elsewhere).await, Ok(1));
    gate.open();
    soon("the first", first).await.unwrap();
    for (number, handle) in queued.into_iter().enumerate() {
        assert_eq!(soon("a queued closure", handle).await, Ok(number));
    }
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&executor.metrics()), (4, 0, 0, 2, 0, 0));
}

#[tokio::test]
async fn closures_count_as_tasks() {
    let config = ExecutorConfig {
        max_tasks: 1,
        ..small()
    };
    let executor = executor(config);
    let gate = Gate::default();
    let first = occupy(&executor, &gate);
    let refused = executor.spawner().spawn_blocking(named(), || ()).unwrap_err();
    assert!(matches!(refused, ExecutorError::Full { limit: 1 }), "{refused}");
    gate.open();
    soon("the first", first).await.unwrap();
    soon("idle", executor.wait_idle()).await;
    assert!(executor.spawner().spawn_blocking(named(), || ()).is_ok());
}

#[tokio::test]
async fn a_stuck_closure_is_left_behind_and_what_waits_behind_it_never_runs() {
    in_time(SHORT + Duration::from_millis(100), async || {
        let executor = executor(small());
        let (gate, drops) = (Gate::default(), Drops::default());
        let stuck = occupy(&executor, &gate);
        let waiting = must_not_run(&executor.spawner(), named(), drops.guard());
        let begin = Instant::now();
        let report = executor.stop_and_wait(SHORT).await;
        let took = begin.elapsed();
        assert_eq!(
            (report.stuck_blocking, report.cut_tasks, report.stuck_workers),
            (1, 1, 0)
        );
        assert_eq!(drops.count(), 1, "what has not begun is gone");
        assert_eq!(soon("the stuck one", stuck).await, Err(TaskError::Cancelled));
        assert_eq!(
            soon("the one behind it", waiting).await,
            Err(TaskError::Cancelled)
        );
        gate.open();
        took
    })
    .await;
}

#[tokio::test]
async fn a_never_ending_future_that_may_block_is_cut_at_the_end() {
    let executor = executor(small());
    let drops = Drops::default();
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let handle = executor
        .spawner()
        .spawn_with(named().may_block(true), endless)
        .unwrap();
    until("it runs", || executor.metrics().active() == 1);
    let report = executor.stop_and_wait(SHORT).await;
    // On a machine with other work its thread may come back too late, and is counted then.
    assert_eq!(report.cut_tasks + report.stuck_blocking, 1);
    until("it is gone", || drops.count() == 1);
    assert_eq!(soon("the end", handle).await, Err(TaskError::Cancelled));
}

#[tokio::test]
async fn the_result_of_a_closure_outlives_the_executor() {
    for round in 0..100 {
        let executor = executor(small());
        let handle = executor.spawner().spawn_blocking(named(), || 7).unwrap();
        let report = executor.stop_and_wait(Duration::from_secs(5)).await;
        assert!(report.is_clean(), "round {round}: {report:?}");
        assert_eq!(soon("the result", handle).await, Ok(7), "round {round}");
    }
}
