//! Random connections against the real servers: the notices of each are accepted by an automaton of two steps.
//!
//! HTTP/1 and HTTP/2, plain and under TLS with handshakes that succeed, fail and stall, on the port of the app, which
//! carries WebSocket too, and on the WebSocket server's own.
//!
//! 4000 scripts from seed 0, to keep the suite short; `just notices` runs 10 600, of which over 10 000 come to a server
//! that is there, and `just notices 100000 7` as many from seed 7. The same seed gives the same scripts; what the clock
//! and the kernel make of them is theirs.

mod automaton;
mod client;
mod http1;
mod http2;
mod script;
mod server;
mod wire;

use std::sync::Mutex;
use std::time::Duration;
use std::{env, thread};

use automaton::Tally;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use script::{Batch, Stop};
use server::Server;
use tokio::task::JoinSet;

/// Scripts of one batch, which share a server.
const BATCH: usize = 50;
/// Scripts where nobody asks for another number.
const SCRIPTS: usize = 4000;
/// Batches at once: they wait more than they work.
const LANES: usize = 4;

fn number(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The panics of the script's handler are part of the test and not worth a backtrace each.
fn be_quiet_about_panics_on_purpose() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(server::PURPOSE) {
            usual(info);
        }
    }));
}

#[test]
fn every_connection_has_accepted_and_exactly_one_last_word() {
    be_quiet_about_panics_on_purpose();
    let (scripts, seed) = (number("NOTICES_SCRIPTS", SCRIPTS), number("NOTICES_SEED", 0));
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (tally, share) = (&tally, scripts.div_ceil(LANES));
            scope.spawn(move || run_lane(seed, lane, share, tally));
        }
    });
    let tally = tally.into_inner().expect("no lane panicked");
    eprintln!("{tally:?}");
    tally.covers_everything();
}

/// Runs this many scripts, one batch after the other.
fn run_lane(seed: usize, lane: usize, scripts: usize, tally: &Mutex<Tally>) {
    let config = Config {
        cases: u32::try_from(scripts.div_ceil(BATCH)).expect("a small number"),
        // A batch says by itself which connection went wrong.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    bytes[8] = lane as u8;
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcome = runner.run(&script::batch(BATCH), |batch| {
        let said = format!("seed {seed}: {batch:?}");
        let mut found = Tally::default();
        let verdict = runtime.block_on(run(batch, &mut found));
        tally.lock().expect("no lane panicked").add(found);
        verdict.map_err(|problem| TestCaseError::fail(format!("{problem}\n{said}")))
    });
    outcome.expect("no exception");
}

/// Runs the scripts of a batch at once, ends the server as the batch says, and judges what the listener heard.
async fn run(batch: Batch, tally: &mut Tally) -> Result<(), String> {
    let (is_tls, stop) = (batch.is_tls, batch.stop);
    let mut server = Server::start(batch.limit, is_tls);
    let (http, ws) = (server.http(), server.ws());
    let mut clients = JoinSet::new();
    let staying = batch.scripts.iter().filter(|script| script.stays()).count();
    let over = batch.scripts.len() - staying;
    for (number, script) in (1..).zip(batch.scripts) {
        let to = if script.to_ws { ws } else { http };
        // An address for each: a port alone may come again when its connection was reset.
        clients.spawn(client::live(script, [127, 0, 1, number], to, is_tls));
    }
    let early = match stop {
        Stop::Last => over,
        Stop::Drain { after } | Stop::Drop { after } | Stop::Executor { after } => {
            over * usize::from(after) / 100
        }
    };
    let mut lives = Vec::new();
    while lives.len() < early {
        lives.push(next(&mut clients).await);
    }
    if stop == Stop::Last {
        // Whoever stays, and whoever left before the accept loop came to it.
        server.heard.until_accepted(BATCH).await;
    }
    server.end(stop).await;
    while !clients.is_empty() {
        lives.push(next(&mut clients).await);
    }
    let notices = server.heard.complete().await;
    drop(server);
    automaton::judge(&notices, &lives, stop, is_tls, tally)
}

async fn next(clients: &mut JoinSet<client::Life>) -> client::Life {
    let next = tokio::time::timeout(Duration::from_secs(60), clients.join_next()).await;
    let life = next.expect("a client comes to its end").expect("there is one");
    life.expect("a client does not panic")
}
