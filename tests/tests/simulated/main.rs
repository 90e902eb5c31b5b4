//! Whole applications over a simulated network in simulated time, from as many seeds: connections that stand still and
//! go on, peers whose network is gone for ever, peers that read no more, and an end that comes by its deadline all the
//! same. `SIMULATED_SEEDS` takes more of them, `SIMULATED_FROM` others, and a failure names the one to repeat.
//!
//! A partition of the simulation loses what is sent, and nothing sends it again as a kernel would; so a network that
//! comes back is one that holds everything up and lets it go.

mod checks;
mod client;
mod network;
mod plan;
mod server;
mod story;

use plan::Plan;
use story::Story;

/// Seeds of each of the two tests, which go on at the same time.
const SEEDS: u64 = 100;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

fn tell(seed: u64) -> Story {
    let story = Story::of(Plan::of(seed));
    story.unwrap_or_else(|error| panic!("SIMULATED_FROM={seed} SIMULATED_SEEDS=1: {error}"))
}

/// Every second seed from this one on.
fn every_second(first: u64) {
    let from = setting("SIMULATED_FROM").unwrap_or(0);
    let seeds = setting("SIMULATED_SEEDS").unwrap_or(2 * SEEDS);
    for seed in (from..from + seeds).skip(first as usize).step_by(2) {
        let faults = tell(seed).faults();
        assert!(
            faults.is_empty(),
            "SIMULATED_FROM={seed} SIMULATED_SEEDS=1: {}",
            faults.join("\n")
        );
    }
}

#[test]
fn nothing_is_lost_and_the_end_comes_in_time() {
    every_second(0);
}

#[test]
fn nothing_is_lost_and_the_end_comes_in_time_2() {
    every_second(1);
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let [first, second] = [7, 7].map(|seed| tell(seed).transcript());
    let differing: Vec<_> = first
        .lines()
        .zip(second.lines())
        .filter(|(one, other)| one != other)
        .collect();
    assert!(first == second, "{differing:#?}");
}
