//! The simulator: many schedules of faults, each from a seed that a failure prints.
//!
//! `PINTLE_SIMULATIONS` says how many schedules to run (as many as fit in a few seconds, unless given),
//! `PINTLE_SIMULATION_SEED` the first one's seed, `RUST_LOG` what the members tell of themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "how much was tried is what a run is for")]

mod cluster;
mod disk;
mod schedule;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pintle_loadtest::history::Tally;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How long schedules are begun for when nobody says how many.
const A_WHILE: Duration = Duration::from_secs(5);

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn nothing_is_lost_whatever_happens() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
    // Another test may have said it already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
    let schedules = setting("PINTLE_SIMULATIONS");
    let first = setting("PINTLE_SIMULATION_SEED").unwrap_or_else(rand::random);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let done = Mutex::new((0_u64, Tally::default()));
    let run = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !schedules.map_or_else(|| began.elapsed() < A_WHILE, |schedules| number < schedules) {
                break;
            }
            let tally = run_one(first.wrapping_add(number));
            let mut done = done.lock().unwrap();
            done.0 += 1;
            done.1 += tally;
        }
    };
    // Each schedule lives on one thread.
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    let (schedules, tally) = done.into_inner().unwrap();
    let a_minute = schedules * 60_000 / u64::try_from(began.elapsed().as_millis()).unwrap().max(1);
    let Tally { answered, unknown, .. } = tally;
    println!(
        "{schedules} schedules from seed {first}, {a_minute} a minute: {answered} operations answered, {unknown} of unknown outcome"
    );
    assert!(answered > 0, "nothing was ever answered");
}

/// Runs the schedule of a seed, and names the seed if anything is wrong.
fn run_one(seed: u64) -> Tally {
    let again = format!("run it again with: PINTLE_SIMULATION_SEED={seed} PINTLE_SIMULATIONS=1");
    match catch_unwind(AssertUnwindSafe(|| schedule::run(seed))) {
        Ok(Ok(tally)) => tally,
        Ok(Err(violation)) => panic!("{violation}\n{again}"),
        Err(panic) => {
            println!("{again}");
            resume_unwind(panic)
        }
    }
}
