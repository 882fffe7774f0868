//! The simulator: many schedules of faults, each from a seed that a failure prints.
//!
//! `PINTLE_SIMULATIONS` says how many schedules to run, `PINTLE_SIMULATION_SEED` the first one's seed, `RUST_LOG` what the
//! members tell of themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "how much was tried is what a run is for")]

mod cluster;
mod disk;
mod schedule;
mod world;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn nothing_is_lost_whatever_happens() {
    // Another test may have said it already.
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let schedules = setting("PINTLE_SIMULATIONS").unwrap_or(8);
    let first = setting("PINTLE_SIMULATION_SEED").unwrap_or_else(rand::random);
    let (mut answered, mut unknown) = (0, 0);
    for seed in (0..schedules).map(|number| first.wrapping_add(number)) {
        match schedule::run(seed) {
            Ok(tally) => {
                answered += tally.answered;
                unknown += tally.unknown;
            }
            Err(violation) => {
                panic!("{violation}\nrun it again with: PINTLE_SIMULATION_SEED={seed} PINTLE_SIMULATIONS=1")
            }
        }
    }
    println!("{schedules} schedules, {answered} operations answered, {unknown} of unknown outcome");
    assert!(answered > 0, "nothing was ever answered");
}
