//! The end by `stop_and_wait`: what it waits for, what it cuts, what it counts, and that nothing runs after it.

use crate::support::{Drops, Gate, in_time, soon, until};
use crate::{executor, small};
use core_executor::{ExecutorConfig, ExecutorError, RuntimeExecutor, StopCause, StopReport, TaskError};
use std::future::pending;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(50);
const SLACK: Duration = Duration::from_millis(100);

#[tokio::test]
async fn clean_when_everything_ends_by_itself() {
    let executor = executor(small());
    let begin = Instant::now();
    let signal = executor.shutdown_signal();
    let polite = async move {
        signal.requested().await;
        8
    };
    let handle = executor.spawner().spawn(polite).unwrap();
    let report = executor.stop_and_wait(Duration::from_secs(10)).await;
    assert_eq!(report, StopReport::default());
    assert!(report.is_clean() && begin.elapsed() < Duration::from_secs(5));
    assert_eq!(soon("the result", handle).await, Ok(8));
}

#[tokio::test]
async fn a_deadline_of_any_length_can_be_given() {
    let executor = executor(small());
    assert!(
        soon("the end", executor.stop_and_wait(Duration::MAX))
            .await
            .is_clean()
    );
    let executor = crate::executor(small());
    assert!(
        soon("the end", executor.stop_and_wait(Duration::ZERO))
            .await
            .is_clean()
    );
}

#[tokio::test]
async fn a_task_that_never_ends_is_cut_at_the_deadline() {
    in_time(SHORT + SLACK, async || {
        let executor = executor(small());
        let (drops, metrics) = (Drops::default(), executor.metrics());
        for _ in 0..3 {
            let guard = drops.guard();
            let endless = async move {
                let _guard = guard;
                pending::<()>().await;
            };
            executor.spawner().post(endless).unwrap();
        }
        let begin = Instant::now();
        let report = executor.stop_and_wait(SHORT).await;
        let took = begin.elapsed();
        assert!(took >= SHORT && !report.is_clean(), "{took:?}");
        assert_eq!((report.cut_tasks, report.stuck_blocking), (3, 0));
        until("all are gone", || drops.count() == 3);
        until("none is counted", || {
            (metrics.pending(), metrics.active()) == (0, 0)
        });
        took
    })
    .await;
}

#[tokio::test]
async fn nothing_runs_after_the_end() {
    let mut came_back = 0;
    for _ in 0..50 {
        let executor = executor(small());
        let (spawner, drops) = (executor.spawner(), Drops::default());
        for _ in 0..4 {
            let (task, service) = (drops.guard(), drops.guard());
            let busy = |guard| async move {
                let _guard = guard;
                loop {
                    tokio::task::yield_now().await;
                }
            };
            spawner.post(busy(task)).unwrap();
            spawner.spawn_service(busy(service)).unwrap();
        }
        let report = executor.stop_and_wait(Duration::from_millis(1)).await;
        assert_eq!(report.cut_tasks, 4);
        // On a machine with other work a thread may come back too late, and is counted then.
        if report.stuck_workers == 0 {
            assert_eq!(drops.count(), 8);
            came_back += 1;
        }
    }
    assert!(came_back > 10, "{came_back}");
}

#[tokio::test]
async fn services_are_ended_without_waiting() {
    let executor = executor(small());
    let drops = Drops::default();
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    executor.spawner().spawn_service(endless).unwrap();
    let begin = Instant::now();
    let report = executor.stop_and_wait(Duration::from_secs(10)).await;
    assert!(report.is_clean() && begin.elapsed() < Duration::from_secs(5));
    assert_eq!(drops.count(), 1);
}

#[tokio::test]
async fn a_blocked_worker_is_left_behind_and_counted() {
    in_time(SHORT + SLACK, async || {
        let executor = executor(small());
        let (gate, drops) = (Gate::default(), Drops::default());
        let (blocked, guard) = (gate.clone(), drops.guard());
        let (began, begun) = oneshot::channel();
        let rude = async move {
            let _guard = guard;
            began.send(()).unwrap();
            blocked.block();
        };
        executor.spawner().post(rude).unwrap();
        soon("the beginning", begun).await.unwrap();
        let handle = executor.shutdown_handle();
        let begin = Instant::now();
        let report = executor.stop_and_wait(SHORT).await;
        let took = begin.elapsed();
        assert!(took >= SHORT, "{took:?}");
        assert_eq!(
            (report.cut_tasks, report.stuck_workers, report.stuck_blocking),
            (1, 1, 0)
        );
        assert!(handle.is_ended());
        gate.open();
        until("the worker lets go", || drops.count() == 1);
        took
    })
    .await;
}

#[tokio::test]
async fn a_blocked_service_is_counted_as_a_stuck_worker() {
    in_time(SHORT + SLACK, async || {
        let executor = executor(ExecutorConfig {
            threads: 1,
            ..small()
        });
        let gate = Gate::default();
        let blocked = gate.clone();
        let (began, begun) = oneshot::channel();
        let rude = async move {
            began.send(()).unwrap();
            blocked.block();
        };
        executor.spawner().spawn_service(rude).unwrap();
        soon("the beginning", begun).await.unwrap();
        let begin = Instant::now();
        let report = executor.stop_and_wait(SHORT).await;
        assert_eq!((report.cut_tasks, report.stuck_workers), (0, 1));
        gate.open();
        begin.elapsed()
    })
    .await;
}

#[tokio::test]
async fn after_the_wish_to_end_nothing_new_begins() {
    let executor = executor(small());
    let (spawner, metrics) = (executor.spawner(), executor.metrics());
    executor.stop_and_wait(Duration::ZERO).await;
    let options = core_executor::TaskOptions::named("late");
    assert!(matches!(spawner.spawn(async {}), Err(ExecutorError::Stopping)));
    assert!(matches!(spawner.post(async {}), Err(ExecutorError::Stopping)));
    assert!(matches!(
        spawner.spawn_service(async {}),
        Err(ExecutorError::Stopping)
    ));
    assert!(matches!(
        spawner.spawn_with(options.may_block(true), async {}),
        Err(ExecutorError::Stopping)
    ));
    for _ in 0..4 {
        assert!(matches!(
            spawner.spawn_blocking(options, || ()),
            Err(ExecutorError::Stopping)
        ));
    }
    assert_eq!((metrics.submitted(), metrics.rejected()), (0, 7));
}

#[tokio::test]
async fn everybody_who_waits_for_the_end_hears_it() {
    let executor = executor(small());
    let drops = Drops::default();
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let (handle, drops) = (executor.shutdown_handle(), drops.clone());
            tokio::spawn(async move {
                handle.ended().await;
                drops.count()
            })
        })
        .collect();
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    executor.spawner().post(endless).unwrap();
    let handle = executor.shutdown_handle();
    assert!(!handle.is_ended());
    executor.stop_and_wait(SHORT).await;
    for waiter in waiters {
        assert_eq!(soon("ended", waiter).await.unwrap(), 1, "told before the end");
    }
    assert_eq!(handle.cause(), Some(StopCause::Requested));
}

#[tokio::test]
async fn a_task_that_ends_its_own_executor_stops_everything() {
    let executor = executor(small());
    let handle = executor.shutdown_handle();
    let spawner = executor.spawner();
    let suicide = spawner
        .spawn(async move { executor.stop_and_wait(SHORT).await })
        .unwrap();
    soon("ended", handle.ended()).await;
    // It waited for itself up to the deadline and was cut with everything else.
    assert_eq!(soon("the task", suicide).await, Err(TaskError::Cancelled));
}

#[tokio::test]
async fn the_conductor_outlives_every_task() {
    let executor = executor(small());
    let (handle, drops) = (executor.shutdown_handle(), Drops::default());
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    executor.spawner().post(endless).unwrap();
    let (sender, receiver) = oneshot::channel();
    let conductor = |executor: RuntimeExecutor| async move {
        executor.shutdown_signal().requested().await;
        let report = executor.stop_and_wait(SHORT).await;
        sender.send(report).unwrap();
    };
    executor.conduct(conductor);
    handle.request_stop();
    let report = soon("the report", receiver).await.unwrap();
    assert_eq!((report.cut_tasks, drops.count()), (1, 1));
    soon("ended", handle.ended()).await;
}

#[test]
fn a_conductor_hears_a_wish_that_came_before_it() {
    let executor = executor(small());
    executor.shutdown_handle().request_stop();
    let (heard, hears) = std::sync::mpsc::channel();
    executor.conduct(|executor| async move {
        executor.shutdown_signal().requested().await;
        heard.send(()).unwrap();
    });
    hears.recv_timeout(Duration::from_secs(10)).unwrap();
}
