//! Asking for the end costs the same whatever the number of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use http::HeaderMap;
use workspace_tests::observe::until;
use ws_server::{Hub, Peer, TransportKind, WsConfig, WsServer};

use crate::multitude::processor_time;
use crate::{alone, best_of_three};

/// Ten nanoseconds for each of ten thousand sessions: less than it takes to look at one.
const WALK: Duration = Duration::from_micros(100);

/// Beside so many sessions whose transports wait for something to do, as idle connections do.
fn with_sessions(count: usize, ask: impl Fn(&RuntimeExecutor, &Hub) -> Duration) -> Duration {
    let executor = RuntimeExecutor::with_threads(2).expect("threads can be had");
    let config = WsConfig {
        port: 0,
        ..WsConfig::default()
    };
    let running = WsServer::new(config)
        .start(&executor.spawner())
        .expect("a free port");
    let hub = running.hub();
    let waiting = Arc::new(AtomicUsize::new(0));
    let (opener, spawner, entered) = (hub.clone(), executor.spawner(), Arc::clone(&waiting));
    let opening = executor
        .spawner()
        .spawn(async move {
            for _ in 0..count {
                let peer = Peer::new(None, "/", &HeaderMap::new());
                let attachment = opener
                    .open_session(peer, TransportKind::Detached)
                    .await
                    .expect("nobody refuses");
                let entered = Arc::clone(&entered);
                let carrying = async move {
                    entered.fetch_add(1, Ordering::Relaxed);
                    attachment.ready().await;
                };
                spawner.spawn_service(carrying).expect("it runs");
            }
        })
        .expect("it runs");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    runtime.block_on(opening).expect("all are opened");
    assert_eq!(hub.sessions(), count);
    // Until the last one waits, the workers have no processor to spare for whoever asks.
    until("every transport waits", || {
        waiting.load(Ordering::Relaxed) == count
    });
    let took = ask(&executor, &hub);
    drop(running);
    runtime.block_on(executor.stop_and_wait(Duration::from_secs(5)));
    took
}

#[test]
fn asking_for_the_end_costs_nothing_at_ten_thousand_sessions() {
    let _alone = alone();
    best_of_three(|| {
        let took = with_sessions(10_000, |executor, _| {
            let stop = executor.shutdown_handle();
            let began = Instant::now();
            stop.request_stop();
            began.elapsed()
        });
        eprintln!("request_stop: {took:?}");
        (took <= Duration::from_micros(100))
            .then_some(())
            .ok_or_else(|| format!("request_stop took {took:?}"))
    });
}

/// It closes a listening socket, and what the kernel takes for that differs from machine to machine.
#[test]
fn asking_one_server_costs_the_same_at_ten_thousand_sessions_as_at_ten() {
    let _alone = alone();
    let cost = |count| {
        with_sessions(count, |_, hub| {
            let began = processor_time();
            hub.stop_async();
            processor_time() - began
        })
    };
    best_of_three(|| {
        let (few, many) = (cost(10), cost(10_000));
        let costs = format!("stop_async: {few:?} beside 10 sessions, {many:?} beside 10 000");
        eprintln!("{costs}");
        (many <= few + WALK).then_some(()).ok_or(costs)
    });
}
