//! The shutdown pair: asked from anywhere, any number of times, heard once by everybody, in constant time.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod support;

use core_executor::{RuntimeExecutor, StopCause};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use support::{Drops, soon, until};

fn executor() -> RuntimeExecutor {
    RuntimeExecutor::with_threads(2).unwrap()
}

#[tokio::test]
async fn asked_by_a_hundred_threads_it_takes_effect_once() {
    let executor = executor();
    let (handle, signal, heard) = (
        executor.shutdown_handle(),
        executor.shutdown_signal(),
        Drops::default(),
    );
    let guard = heard.guard();
    let hears = async move {
        signal.requested().await;
        drop(guard);
    };
    let hearer = executor.spawner().spawn(hears).unwrap();
    let barrier = Arc::new(Barrier::new(100));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                barrier.wait();
                handle.request_stop();
                handle.request_stop();
                assert!(handle.is_requested());
            });
        }
    });
    soon("the wish", hearer).await.unwrap();
    assert_eq!(heard.count(), 1);
    assert_eq!(handle.cause(), Some(StopCause::Requested));
    assert!(!handle.is_requested_now() && !executor.shutdown_signal().is_requested_now());
    assert!(executor.stop_and_wait(Duration::from_secs(5)).await.is_clean());
}

#[tokio::test]
async fn asked_before_anybody_listens_it_is_heard_all_the_same() {
    let executor = executor();
    assert!(!executor.shutdown_signal().is_requested());
    assert_eq!(executor.shutdown_handle().cause(), None);
    executor.shutdown_handle().request_stop();
    let signal = executor.spawner().shutdown_signal();
    assert!(signal.is_requested());
    soon("the wish", signal.requested()).await;
}

#[tokio::test]
async fn now_is_a_stronger_wish() {
    let executor = executor();
    let (handle, signal) = (executor.shutdown_handle(), executor.shutdown_signal());
    handle.request_stop();
    soon("the wish", signal.requested()).await;
    assert!(!signal.is_requested_now());
    let now = tokio::time::timeout(Duration::from_millis(20), signal.requested_now());
    assert!(now.await.is_err(), "nobody asked for that");
    handle.request_stop_now();
    soon("the stronger wish", signal.requested_now()).await;
    assert!(handle.is_requested_now() && signal.is_requested_now());
    handle.request_stop();
    assert!(handle.is_requested_now(), "a weaker wish takes nothing back");
}

#[tokio::test]
async fn now_is_a_wish_to_stop_too() {
    let executor = executor();
    let signal = executor.shutdown_signal();
    executor.shutdown_handle().request_stop_now();
    soon("both", async {
        tokio::join!(signal.requested(), signal.requested_now())
    })
    .await;
}

#[tokio::test]
async fn the_first_cause_is_kept() {
    let executor = executor();
    let handle = executor.shutdown_handle();
    handle.request_stop_because(StopCause::Signal("SIGTERM"));
    handle.request_stop();
    handle.request_stop_now();
    drop(executor);
    assert_eq!(handle.cause(), Some(StopCause::Signal("SIGTERM")));
}

#[tokio::test]
async fn any_callback_may_ask() {
    let executor = executor();
    let (in_task, in_closure, in_drop) = (
        executor.shutdown_handle(),
        executor.shutdown_handle(),
        executor.shutdown_handle(),
    );
    struct Asks(core_executor::ShutdownHandle);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.request_stop();
        }
    }
    let guard = Asks(in_drop);
    let task = async move {
        in_task.request_stop();
        drop(guard);
    };
    soon("a task", executor.spawner().spawn(task).unwrap())
        .await
        .unwrap();
    let options = core_executor::TaskOptions::named("asks");
    let closure = executor
        .spawner()
        .spawn_blocking(options, move || in_closure.request_stop_now());
    soon("a closure", closure.unwrap()).await.unwrap();
    soon("the wish", executor.shutdown_signal().requested_now()).await;
}

#[test]
fn asking_costs_the_same_however_many_wait() {
    const BOUND: Duration = Duration::from_micros(100);
    let mut best = Duration::MAX;
    let began = Instant::now();
    // Many tries, because the asker may lose its core to the threads it wakes.
    while began.elapsed() < Duration::from_secs(15) {
        let executor = executor();
        let waiting = Drops::default();
        for _ in 0..10_000 {
            let (signal, guard) = (executor.shutdown_signal(), waiting.guard());
            let hears = async move {
                signal.requested().await;
                drop(guard);
            };
            executor.spawner().post(hears).unwrap();
        }
        until("all of them wait", || executor.metrics().active() == 10_000);
        let handle = executor.shutdown_handle();
        let begin = Instant::now();
        handle.request_stop();
        best = best.min(begin.elapsed());
        until("all of them hear it", || waiting.count() == 10_000);
        if best <= BOUND {
            return;
        }
    }
    panic!("{best:?}");
}
