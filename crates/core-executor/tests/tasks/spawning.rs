//! Starting tasks: results, limits of time and number, panics, counters.

use crate::support::{Drops, soon, until};
use crate::{counts, executor, small};
use core_executor::{Env, ExecutorConfig, ExecutorError, RuntimeExecutor, TaskError, TaskOptions};
use std::collections::HashSet;
use std::future::pending;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn as_many_threads_as_asked_for() {
    assert_eq!(RuntimeExecutor::with_threads(1).unwrap().threads(), 1);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(RuntimeExecutor::with_threads(0).unwrap().threads(), cores);
    let error = RuntimeExecutor::with_threads(1025).unwrap_err();
    assert!(matches!(error, ExecutorError::Threads { threads: 1025 }));
    assert!(error.to_string().contains("1025"));
}

#[test]
fn limits_of_any_size_can_be_given() {
    let config = ExecutorConfig {
        threads: 1,
        blocking_threads: 0,
        blocking_queue: usize::MAX,
        max_tasks: usize::MAX,
        ..ExecutorConfig::default()
    };
    assert_eq!(executor(config).threads(), 1);
}

#[test]
fn every_setting_of_an_executor_is_read() {
    let env = Env::from_pairs([
        ("SERVER_IO_THREADS", "3"),
        ("SHUTDOWN_DEADLINE", "7"),
        ("SHUTDOWN_READY_DELAY", "2"),
    ]);
    let config = ExecutorConfig::from_env(&env.unwrap()).unwrap();
    assert_eq!(config.threads, 3);
    assert_eq!(config.shutdown_deadline, Duration::from_secs(7));
    assert_eq!(config.ready_delay, Duration::from_secs(2));
    assert_eq!(
        ExecutorConfig::from_env(&Env::default()).unwrap(),
        ExecutorConfig::default()
    );
    let env = Env::from_pairs([("SERVER_IO_THREADS", "1025")]).unwrap();
    assert!(ExecutorConfig::from_env(&env).is_err());
}

#[tokio::test]
async fn results_come_back() {
    let executor = executor(small());
    let spawner = executor.spawner();
    let sum = spawner.spawn(async { 1 + 1 }).unwrap();
    assert_eq!(soon("a result", sum).await, Ok(2));
    let (sent, received) = oneshot::channel();
    spawner.post(async move { sent.send(3).unwrap() }).unwrap();
    assert_eq!(soon("a posted task", received).await, Ok(3));
    let name = spawner
        .spawn(async { std::thread::current().name().map(str::to_owned) })
        .unwrap();
    assert!(
        soon("a name", name)
            .await
            .unwrap()
            .unwrap()
            .starts_with("rt-worker-")
    );
}

#[tokio::test]
async fn a_timeout_really_ends_the_task() {
    let executor = executor(small());
    let drops = Drops::default();
    let guard = drops.guard();
    let endless = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let begin = Instant::now();
    let options = TaskOptions::named("endless").timeout(SHORT);
    let handle = executor.spawner().spawn_with(options, endless).unwrap();
    assert_eq!(soon("the timeout", handle).await, Err(TaskError::TimedOut));
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(drops.count(), 1);
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&executor.metrics()), (1, 0, 0, 0, 1, 0));
}

#[tokio::test]
async fn the_earlier_of_timeout_and_deadline_counts() {
    let executor = executor(small());
    let spawner = executor.spawner();
    let hour = Duration::from_secs(3600);
    for options in [
        TaskOptions::named("deadline").deadline(Instant::now() + SHORT),
        TaskOptions::named("both")
            .deadline(Instant::now() + SHORT)
            .timeout(hour),
        TaskOptions::named("both")
            .deadline(Instant::now() + hour)
            .timeout(SHORT),
        TaskOptions::named("past").deadline(Instant::now()),
    ] {
        let handle = spawner.spawn_with(options, pending::<()>()).unwrap();
        assert_eq!(soon("the limit", handle).await, Err(TaskError::TimedOut));
    }
    let far = TaskOptions::named("far").timeout(Duration::MAX);
    assert_eq!(
        soon("a result", spawner.spawn_with(far, async { 4 }).unwrap()).await,
        Ok(4)
    );
    soon("idle", executor.wait_idle()).await;
    assert_eq!(executor.metrics().timed_out(), 4);
}

#[tokio::test]
async fn abort_ends_the_task_where_it_waits() {
    let executor = executor(small());
    let drops = Drops::default();
    let guard = drops.guard();
    let (began, begun) = oneshot::channel();
    let handle = executor
        .spawner()
        .spawn(async move {
            let _guard = guard;
            began.send(()).unwrap();
            pending::<()>().await;
        })
        .unwrap();
    soon("the beginning", begun).await.unwrap();
    assert!(!handle.is_finished());
    handle.abort();
    assert_eq!(soon("the end", handle).await, Err(TaskError::Cancelled));
    assert_eq!(drops.count(), 1);
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&executor.metrics()), (1, 0, 0, 0, 0, 0));
}

#[tokio::test]
async fn a_panic_ends_its_task_and_nothing_else() {
    let executor = executor(ExecutorConfig {
        threads: 1,
        ..small()
    });
    let spawner = executor.spawner();
    let handle = spawner.spawn(async { panic!("on purpose") }).unwrap();
    assert_eq!(soon("the panic", handle).await, Err::<(), _>(TaskError::Panicked));
    spawner.spawn_service(async { panic!("on purpose") }).unwrap();
    let after = spawner.spawn(async { 5 }).unwrap();
    assert_eq!(soon("the next task of the same worker", after).await, Ok(5));
    until("both panics are counted", || executor.metrics().panicked() == 2);
    assert_eq!(counts(&executor.metrics()), (2, 0, 0, 0, 0, 2));
    assert!(executor.stop_and_wait(Duration::from_secs(5)).await.is_clean());
}

#[tokio::test]
async fn gauges_follow_a_task_through_its_life() {
    let executor = executor(ExecutorConfig {
        threads: 1,
        ..small()
    });
    let (spawner, metrics) = (executor.spawner(), executor.metrics());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (began, begun) = oneshot::channel();
    let holds_the_worker = async move {
        began.send(()).unwrap();
        released.recv().unwrap();
    };
    spawner.post(holds_the_worker).unwrap();
    soon("the beginning", begun).await.unwrap();
    spawner.post(async {}).unwrap();
    assert_eq!(counts(&metrics), (2, 1, 1, 0, 0, 0));
    release.send(()).unwrap();
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&metrics), (2, 0, 0, 0, 0, 0));
}

#[tokio::test]
async fn no_more_tasks_than_allowed_however_many_ask_at_once() {
    let executor = executor(small());
    let spawner = executor.spawner();
    let (sender, mut receiver) = mpsc::channel(8 * 50);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (spawner, sender) = (spawner.clone(), sender.clone());
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let _ = sender.try_send(spawner.spawn(pending::<()>()));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(sender);
    let (mut taken, mut full) = (Vec::new(), 0);
    while let Some(outcome) = receiver.recv().await {
        match outcome {
            Ok(handle) => taken.push(handle),
            Err(ExecutorError::Full { limit: 8 }) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((taken.len(), full), (8, 392));
    assert_eq!(executor.metrics().rejected(), 392);
    taken.iter().for_each(|handle| handle.abort());
    soon("idle", executor.wait_idle()).await;
    assert_eq!(counts(&executor.metrics()), (8, 0, 0, 392, 0, 0));
    assert_eq!(
        soon("room again", spawner.spawn(async { 6 }).unwrap()).await,
        Ok(6)
    );
}

#[tokio::test]
async fn a_thousand_spawns_from_many_threads() {
    let executor = executor(ExecutorConfig {
        max_tasks: 2000,
        ..small()
    });
    let drops = Drops::default();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let guard = drops.guard();
                    executor.spawner().post(async move { drop(guard) }).unwrap();
                }
            });
        }
    });
    soon("idle", executor.wait_idle()).await;
    assert_eq!(drops.count(), 1000);
    assert_eq!(counts(&executor.metrics()), (1000, 0, 0, 0, 0, 0));
}

#[tokio::test]
async fn a_service_stays_on_the_worker_that_starts_it() {
    let executor = executor(small());
    let (sender, mut receiver) = mpsc::channel(16);
    for _ in 0..16 {
        let (spawner, sender) = (executor.spawner(), sender.clone());
        let outer = async move {
            let here = std::thread::current().id();
            let inner = async move {
                sender.try_send((here, std::thread::current().id())).unwrap();
            };
            spawner.spawn_service(inner).unwrap();
        };
        soon("a task", executor.spawner().spawn(outer).unwrap())
            .await
            .unwrap();
    }
    drop(sender);
    let mut workers = HashSet::new();
    while let Some((outer, inner)) = soon("a service", receiver.recv()).await {
        assert_eq!(outer, inner);
        workers.insert(inner);
    }
    assert_eq!(workers.len(), 2);
}

#[tokio::test]
async fn services_are_dealt_out_from_elsewhere_and_not_waited_for() {
    let executor = executor(small());
    let (sender, mut receiver) = mpsc::channel(8);
    for _ in 0..8 {
        let sender = sender.clone();
        let service = async move {
            sender.try_send(std::thread::current().id()).unwrap();
            pending::<()>().await;
        };
        executor.spawner().spawn_service(service).unwrap();
    }
    let mut workers = HashSet::new();
    for _ in 0..8 {
        workers.insert(soon("a service", receiver.recv()).await.unwrap());
    }
    assert_eq!(workers.len(), 2);
    soon("idle in spite of the services", executor.wait_idle()).await;
    assert_eq!(executor.metrics().submitted(), 0);
}
