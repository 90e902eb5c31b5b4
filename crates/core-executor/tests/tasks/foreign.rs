//! On a tokio runtime that somebody else owns: our tasks end, the runtime lives on.

use crate::support::{DropGuard, Drops, Gate, soon, until};
use core_executor::{ExecutorConfig, ExecutorError, RuntimeExecutor, TaskError, TaskOptions};
use std::future::pending;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const SHORT: Duration = Duration::from_millis(50);

fn runtimes() -> [Runtime; 2] {
    let multi = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let single = Builder::new_current_thread().enable_all().build();
    [multi.unwrap(), single.unwrap()]
}

async fn endless(_guard: DropGuard) {
    pending::<()>().await;
}

#[test]
fn outside_of_a_runtime_there_is_none() {
    assert!(matches!(
        RuntimeExecutor::on_current(),
        Err(ExecutorError::NoRuntime)
    ));
}

#[test]
fn tasks_run_and_end_and_the_runtime_survives() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let executor = RuntimeExecutor::on_current().unwrap();
            assert_eq!(executor.threads(), 0);
            let (spawner, drops) = (executor.spawner(), Drops::default());
            assert_eq!(soon("a result", spawner.spawn(async { 1 }).unwrap()).await, Ok(1));
            let options = TaskOptions::named("blocking");
            let closure = spawner.spawn_blocking(options, || 2).unwrap();
            assert_eq!(soon("a closure", closure).await, Ok(2));
            let may_block = spawner.spawn_with(options.may_block(true), async { 3 }).unwrap();
            assert_eq!(soon("a future that may block", may_block).await, Ok(3));
            let cut = spawner.spawn(endless(drops.guard())).unwrap();
            spawner.spawn_service(endless(drops.guard())).unwrap();
            spawner
                .spawn_with(options.may_block(true), endless(drops.guard()))
                .map(drop)
                .unwrap();
            let handle = executor.shutdown_handle();
            let report = executor.stop_and_wait(SHORT).await;
            // The thread of the lane may come back too late, and is counted then.
            assert_eq!(report.cut_tasks + report.stuck_blocking, 2);
            until("all are gone", || drops.count() == 3);
            assert_eq!(soon("the cut task", cut).await, Err(TaskError::Cancelled));
            soon("ended", handle.ended()).await;
            assert_eq!(tokio::spawn(async { 4 }).await.unwrap(), 4);
        });
        assert_eq!(runtime.block_on(async { 5 }), 5);
    }
}

#[test]
fn a_plain_drop_ends_our_tasks_too() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let executor = RuntimeExecutor::on_current().unwrap();
            let (spawner, drops) = (executor.spawner(), Drops::default());
            spawner.post(endless(drops.guard())).unwrap();
            spawner.spawn_service(endless(drops.guard())).unwrap();
            let (handle, signal) = (executor.shutdown_handle(), executor.shutdown_signal());
            let waiters: Vec<_> = (0..50)
                .map(|_| {
                    let (handle, drops) = (handle.clone(), drops.clone());
                    tokio::spawn(async move {
                        handle.ended().await;
                        drops.count()
                    })
                })
                .collect();
            drop(executor);
            soon("the signal", signal.requested()).await;
            for waiter in waiters {
                assert_eq!(soon("ended", waiter).await.unwrap(), 2, "told before the end");
            }
            assert!(matches!(spawner.post(async {}), Err(ExecutorError::Stopping)));
        });
    }
}

#[test]
fn what_waits_for_the_lane_never_runs_after_the_end() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let gate = Gate::default();
    runtime.block_on(async {
        let executor = RuntimeExecutor::on_current().unwrap();
        let (blocked, drops) = (gate.clone(), Drops::default());
        let (guard, metrics, spawner) = (drops.guard(), executor.metrics(), executor.spawner());
        let options = TaskOptions::named("blocking");
        spawner.spawn_blocking(options, move || blocked.block()).unwrap();
        until("the closure runs", || metrics.active() == 1);
        let never = move || {
            let _guard = guard;
            std::process::abort();
        };
        spawner.spawn_blocking(options, never).unwrap();
        let report = executor.stop_and_wait(SHORT).await;
        assert_eq!((report.cut_tasks, report.stuck_blocking), (1, 1));
        assert_eq!(drops.count(), 1);
        gate.open();
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    });
}

#[test]
fn limits_of_our_own_hold_there() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let config = ExecutorConfig {
            max_tasks: 1,
            ..ExecutorConfig::default()
        };
        let executor = RuntimeExecutor::on_current_with(config).unwrap();
        executor.spawner().post(pending()).unwrap();
        let refused = executor.spawner().post(async {}).unwrap_err();
        assert!(matches!(refused, ExecutorError::Full { limit: 1 }));
    });
}

#[test]
fn when_the_runtime_goes_first_the_end_is_told() {
    for runtime in runtimes() {
        let executor = runtime.block_on(async { RuntimeExecutor::on_current().unwrap() });
        let drops = Drops::default();
        executor.spawner().post(endless(drops.guard())).unwrap();
        let handle = executor.shutdown_handle();
        drop(runtime);
        assert!(handle.is_ended());
        assert_eq!(drops.count(), 1);
        drop(executor);
    }
}
