//! How clients come back after an end: spread over the time they were asked back within.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use core_executor::{RuntimeExecutor, Spawner};
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::Launch;
use ws_server::client::{ClientConfig, Reconnect, ReconnectConfig, WsClient};

use crate::{alone, best_of_three};

/// `COMEBACK_CLIENTS=5000 COMEBACK_SECONDS=5` for as many as the bound is stated for.
const CLIENTS: usize = 1000;
const SECONDS: u64 = 2;
/// A bar of the histogram.
const BAR: Duration = Duration::from_millis(100);
/// How much more than the mean the highest bar may hold.
const UNEVEN: f64 = 1.5;

fn number<T: std::str::FromStr>(variable: &str, otherwise: T) -> T {
    let parse = |number: String| number.parse().ok().expect("a number");
    std::env::var(variable).map_or(otherwise, parse)
}

/// When a client was to come back, and when it did.
#[derive(Clone, Copy)]
struct Comeback {
    planned: Instant,
    actual: Instant,
}

/// One client of the Rust library, which keeps to what its server says.
async fn come_back(
    first: String,
    second: String,
    spawner: Spawner,
    opened: Sender<()>,
    back: Sender<Comeback>,
) {
    let config = ClientConfig::default();
    let mut reconnect = Reconnect::new(ReconnectConfig::default());
    let mut client = WsClient::connect(&first, &config, &spawner)
        .await
        .expect("the first server takes it");
    reconnect.connected(Instant::now());
    let _ = opened.send(());
    drop(opened);
    while let Ok(Some(_)) = client.receive().await {}
    let closed = client.closed().expect("it is over");
    assert_eq!(closed.code, 1001, "{closed:?}");
    let now = Instant::now();
    let delay = reconnect.delay(now, closed.retry_after());
    let planned = now + delay.expect("it is never given up");
    tokio::time::sleep_until(planned.into()).await;
    let actual = Instant::now();
    assert!(actual >= planned, "never sooner than it was told");
    let client = WsClient::connect(&second, &config, &spawner).await;
    drop(client.expect("the second server takes it"));
    let _ = back.send(Comeback { planned, actual });
}

/// The highest bar of the histogram over the mean of one whose clients are spread over the window.
fn highest_to_mean(mut times: Vec<Instant>, window: Duration) -> f64 {
    times.sort_unstable();
    let mut histogram = vec![0_u32; 1];
    for time in &times {
        let bar = ((*time - times[0]).as_millis() / BAR.as_millis()) as usize;
        histogram.resize(histogram.len().max(bar + 1), 0);
        histogram[bar] += 1;
    }
    eprintln!("{histogram:?}");
    let highest = histogram.iter().max().copied().unwrap_or_default();
    f64::from(highest) / (times.len() as f64 * BAR.as_secs_f64() / window.as_secs_f64())
}

/// How clients come back that are asked back within `told`: one server ends, another one is there.
fn comebacks(count: usize, told: Duration) -> Vec<Comeback> {
    // One thread on either side, so that who was asked first reads it first, whatever else this machine does.
    let mut first = Launch::new("bench_server")
        .set("SHUTDOWN_RETRY_WINDOW", told.as_secs())
        .set("SERVER_IO_THREADS", 1)
        .start();
    let second = Launch::new("bench_server").start();
    let executor = RuntimeExecutor::with_threads(1).expect("threads can be had");
    let (opened, is_open) = channel();
    let (back, came_back) = channel();
    for _ in 0..count {
        let [from, to] = [first.ws(), second.ws()].map(|place| format!("ws://{place}/echo"));
        let coming = come_back(from, to, executor.spawner(), opened.clone(), back.clone());
        executor.spawner().post(coming).expect("it runs");
    }
    drop((opened, back));
    assert_eq!(is_open.iter().count(), count, "all are there");
    first.signal("TERM");
    let comebacks: Vec<_> = came_back.iter().collect();
    assert_eq!(comebacks.len(), count, "all come back");
    assert_eq!(first.wait().code(), Some(0));
    comebacks
}

#[test]
fn clients_come_back_evenly_over_the_time_they_are_asked_back_within() {
    let _alone = alone();
    let count = number("COMEBACK_CLIENTS", CLIENTS);
    let window = Duration::from_secs(number("COMEBACK_SECONDS", SECONDS));
    want_descriptors(2 * count + 500);
    // A thread of ours that is held up wakes many clients at once, which says nothing of how they were spread; so
    // only who measures on purpose, on a machine that has the time, looks at the arrivals.
    let on_purpose = std::env::var_os("COMEBACK_CLIENTS").is_some();
    let within = |told| {
        let comebacks = comebacks(count, told);
        let planned = highest_to_mean(comebacks.iter().map(|one| one.planned).collect(), window);
        let actual = highest_to_mean(comebacks.iter().map(|one| one.actual).collect(), window);
        let measured = format!(
            "{count} clients asked back within {told:?}: highest bar {planned:.2} times the mean as planned, {actual:.2} as arrived"
        );
        eprintln!("{measured}");
        let bound = if on_purpose { actual } else { planned };
        if bound <= UNEVEN { Ok(()) } else { Err(measured) }
    };
    best_of_three(|| within(window));
    // The same clients that are told nothing come in a crowd, so this test can tell.
    within(Duration::ZERO).expect_err("without a return time there is a crowd");
}
