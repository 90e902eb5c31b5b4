//! The life of an application as a state machine: 1 000 random runs over real sockets, each against a model of what
//! docs/lifecycle.md promises (`LIFECYCLE_RUNS`, `LIFECYCLE_SEED` for more and for others).

mod application;
mod model;
mod scene;

use application::Application;
use proptest::test_runner::{Config, RngSeed};
use proptest_state_machine::prop_state_machine;

/// Runs of each of the four tests, which go on at the same time.
const RUNS: u32 = 250;

fn config(seed: u64) -> Config {
    let setting = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    Config {
        cases: setting("LIFECYCLE_RUNS").map_or(RUNS, |runs| (runs / 4).max(1) as u32),
        rng_seed: RngSeed::Fixed(setting("LIFECYCLE_SEED").unwrap_or(0) * 4 + seed),
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    }
}

prop_state_machine! {
    #![proptest_config(config(0))]
    #[test]
    fn every_run_is_as_the_model_says(sequential 1..12 => Application);
}

prop_state_machine! {
    #![proptest_config(config(1))]
    #[test]
    fn every_run_is_as_the_model_says_2(sequential 1..12 => Application);
}

prop_state_machine! {
    #![proptest_config(config(2))]
    #[test]
    fn every_run_is_as_the_model_says_3(sequential 1..12 => Application);
}

prop_state_machine! {
    #![proptest_config(config(3))]
    #[test]
    fn every_run_is_as_the_model_says_4(sequential 1..12 => Application);
}
