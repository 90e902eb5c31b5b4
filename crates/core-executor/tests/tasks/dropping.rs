//! Dropping the executor: on every kind of thread, never blocking, never panicking, ending everything.

use crate::support::{DropGuard, Drops, Gate, soon, until};
use crate::{executor, small};
use core_executor::{ExecutorError, RuntimeExecutor, ShutdownHandle, StopCause, TaskOptions};
use std::future::pending;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Far less than what is blocked stays blocked.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn endless(_guard: DropGuard) {
    pending::<()>().await;
}

/// An executor with an endless task, an endless service and something that blocks.
fn busy(drops: &Drops, gate: &Gate) -> RuntimeExecutor {
    let executor = executor(small());
    let spawner = executor.spawner();
    spawner.post(endless(drops.guard())).unwrap();
    spawner.spawn_service(endless(drops.guard())).unwrap();
    let options = TaskOptions::named("blocked");
    let blocked = gate.clone();
    spawner.spawn_blocking(options, move || blocked.block()).unwrap();
    executor
}

async fn ended(handle: &ShutdownHandle, drops: &Drops) {
    soon("ended", handle.ended()).await;
    assert_eq!(drops.count(), 2, "told before the end");
    assert_eq!(handle.cause(), Some(StopCause::Dropped));
}

fn drop_at_once(executor: RuntimeExecutor) {
    let begin = Instant::now();
    drop(executor);
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn inside_async_code() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = busy(&drops, &gate);
    let (handle, signal) = (executor.shutdown_handle(), executor.shutdown_signal());
    let spawner = executor.spawner();
    drop_at_once(executor);
    soon("the signal", signal.requested()).await;
    ended(&handle, &drops).await;
    assert!(matches!(spawner.spawn(async {}), Err(ExecutorError::Stopping)));
}

#[tokio::test]
async fn by_stop() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = busy(&drops, &gate);
    let handle = executor.shutdown_handle();
    executor.stop();
    ended(&handle, &drops).await;
}

#[tokio::test]
async fn on_its_own_worker() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = busy(&drops, &gate);
    let (handle, spawner) = (executor.shutdown_handle(), executor.spawner());
    let (done, was_done) = oneshot::channel();
    let task = async move {
        drop_at_once(executor);
        done.send(()).unwrap();
    };
    spawner.post(task).unwrap();
    soon("the drop returns", was_done).await.unwrap();
    ended(&handle, &drops).await;
}

#[tokio::test]
async fn inside_a_blocking_closure() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = executor(small());
    let spawner = executor.spawner();
    spawner.post(endless(drops.guard())).unwrap();
    spawner.spawn_service(endless(drops.guard())).unwrap();
    let handle = executor.shutdown_handle();
    let (done, was_done) = oneshot::channel();
    let closure = move || {
        drop_at_once(executor);
        done.send(()).unwrap();
    };
    spawner
        .spawn_blocking(TaskOptions::named("drop"), closure)
        .unwrap();
    soon("the drop returns", was_done).await.unwrap();
    ended(&handle, &drops).await;
    gate.open();
}

#[tokio::test]
async fn inside_a_conductor() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = busy(&drops, &gate);
    let handle = executor.shutdown_handle();
    executor.conduct(|executor| async move { drop_at_once(executor) });
    ended(&handle, &drops).await;
}

#[test]
fn on_a_plain_thread_and_while_panicking() {
    let (drops, gate) = (Drops::default(), Gate::default());
    let executor = busy(&drops, &gate);
    let handle = executor.shutdown_handle();
    let thread = std::thread::spawn(move || {
        let _executor = executor;
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
    until("ended", || handle.is_ended());
    assert_eq!(drops.count(), 2);
}

#[tokio::test]
async fn a_future_that_may_block_ends_too() {
    let executor = executor(small());
    let (drops, metrics) = (Drops::default(), executor.metrics());
    let options = TaskOptions::named("waits").may_block(true);
    executor
        .spawner()
        .spawn_with(options, endless(drops.guard()))
        .unwrap();
    until("it runs", || metrics.active() == 1);
    drop(executor);
    until("it is gone", || drops.count() == 1);
    until("it is not counted", || metrics.active() == 0);
    assert_eq!(metrics.panicked(), 0);
}

#[tokio::test]
async fn signals_heard_elsewhere_are_delivered_however_quick_the_end() {
    for round in 0..200 {
        let executor = executor(small());
        let signal = executor.shutdown_signal();
        let handle = executor.shutdown_handle();
        drop(executor);
        soon(&format!("the wish, round {round}"), signal.requested()).await;
        soon("ended", handle.ended()).await;
        handle.request_stop_now();
        soon("a later wish", signal.requested_now()).await;
    }
}
