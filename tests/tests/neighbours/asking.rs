//! Asking for the end costs the same whatever the number of sessions.

use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use http::HeaderMap;
use ws_server::{Hub, Peer, TransportKind, WsConfig, WsServer};

use crate::{alone, best_of_three};

/// Ten thousand sessions whose transports wait for something to do, as idle connections do.
fn with_ten_thousand_sessions(ask: impl Fn(&RuntimeExecutor, &Hub) -> Duration) -> Duration {
    let executor = RuntimeExecutor::with_threads(2).expect("threads can be had");
    let config = WsConfig {
        port: 0,
        ..WsConfig::default()
    };
    let running = WsServer::new(config)
        .start(&executor.spawner())
        .expect("a free port");
    let hub = running.hub();
    let (opener, spawner) = (hub.clone(), executor.spawner());
    let opening = executor
        .spawner()
        .spawn(async move {
            for _ in 0..10_000 {
                let peer = Peer::new(None, "/", &HeaderMap::new());
                let attachment = opener
                    .open_session(peer, TransportKind::Detached)
                    .await
                    .expect("nobody refuses");
                let carrying = async move {
                    attachment.ready().await;
                };
                spawner.spawn_service(carrying).expect("it runs");
            }
        })
        .expect("it runs");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    runtime.block_on(opening).expect("all are opened");
    assert_eq!(hub.sessions(), 10_000);
    let took = ask(&executor, &hub);
    drop(running);
    runtime.block_on(executor.stop_and_wait(Duration::from_secs(5)));
    took
}

#[test]
fn asking_for_the_end_costs_nothing_at_ten_thousand_sessions() {
    let _alone = alone();
    let limit = Duration::from_micros(100);
    let within = |what: &str, took: Duration| {
        eprintln!("{what}: {took:?}");
        (took <= limit)
            .then_some(())
            .ok_or_else(|| format!("{what} took {took:?}"))
    };
    best_of_three(|| {
        let took = with_ten_thousand_sessions(|executor, _| {
            let stop = executor.shutdown_handle();
            let began = Instant::now();
            stop.request_stop();
            began.elapsed()
        });
        within("request_stop", took)
    });
    best_of_three(|| {
        let took = with_ten_thousand_sessions(|_, hub| {
            let began = Instant::now();
            hub.stop_async();
            began.elapsed()
        });
        within("stop_async", took)
    });
}
