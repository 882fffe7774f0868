//! The fault harness: a cluster of real processes, each in a network namespace and on a disk of its own, to which everything
//! happens that can happen to a cluster, while clients work and remember; [`crate::history`] judges what they were told.
//!
//! A run is made of rounds, each with a cluster of its own and a seed that follows from the run's, so that what a round
//! leaves to judge has a bound, and a round that fails can be run again alone.

mod client;
mod cluster;
mod command;
mod disk;
pub mod error;
pub mod fault;
mod member;
mod network;
mod round;
mod watcher;

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};

pub use error::TortureError;
pub use fault::Fault;
use round::{Plan, Survived};

use crate::cli::TortureOptions;

/// The longest a round goes on before it is judged.
const ROUND: Duration = Duration::from_secs(60);
/// The shortest time that a round is begun for.
const SHORTEST_ROUND: Duration = Duration::from_secs(5);

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The run's seed, which is that of its first round.
    pub seed: u64,
    rounds: usize,
    survived: Survived,
}

impl Report {
    fn add(&mut self, round: Survived) {
        self.rounds += 1;
        for (fault, times) in round.faults {
            *self.survived.faults.entry(fault).or_default() += times;
        }
        self.survived.operations += round.operations;
        self.survived.watched += round.watched;
        self.survived.revisions += round.revisions;
    }

    /// Operations whose place in one order was found.
    pub fn operations_checked(&self) -> usize {
        self.survived.operations.answered + self.survived.operations.unknown
    }

    /// Faults that were done.
    pub fn faults_survived(&self) -> usize {
        self.survived.faults.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Survived { faults, operations, watched, revisions } = &self.survived;
        writeln!(f, "rounds                {}", self.rounds)?;
        let each = faults.iter().fold(String::new(), |mut text, (fault, times)| {
            let _ = write!(text, "{}{fault} {times}", if text.is_empty() { "" } else { ", " });
            text
        });
        writeln!(f, "faults survived       {} ({each})", self.faults_survived())?;
        writeln!(
            f,
            "operations checked    {} ({} answered, {} of unknown outcome; {} refused)",
            self.operations_checked(),
            operations.answered,
            operations.unknown,
            operations.refused
        )?;
        writeln!(f, "revisions             {revisions}")?;
        writeln!(f, "watch responses       {watched}")?;
        write!(f, "seed                  {}", self.seed)
    }
}

/// A round that failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{error}\nround with seed {seed}; run it again with: pintle-loadtest torture --seed {seed} --duration {seconds}"
)]
pub struct Failure {
    /// The seed of the round.
    pub seed: u64,
    /// How long its faults were to last, in seconds.
    pub seconds: u64,
    /// Why.
    pub error: TortureError,
}

/// Runs rounds until time is over, and tells of each fault.
///
/// # Errors
/// The first round that fails, with its seed.
pub async fn run(program: &Path, options: &TortureOptions, tell: impl Fn(&str)) -> Result<Report, Failure> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let began = Instant::now();
    let mut report = Report { seed, ..Report::default() };
    let faults = if options.faults.is_empty() { Fault::value_variants().to_vec() } else { options.faults.clone() };
    let mut round_seed = seed;
    loop {
        let duration = options.duration.saturating_sub(began.elapsed()).min(ROUND);
        if report.rounds > 0 && duration < SHORTEST_ROUND {
            return Ok(report);
        }
        tell(&format!("round {} with seed {round_seed}", report.rounds + 1));
        let plan = Plan {
            program,
            seed: round_seed,
            duration,
            members: usize::from(options.members),
            clients: options.clients.into(),
            faults: &faults,
        };
        let ended = tokio::select! {
            ended = round::run(&plan, &tell) => ended,
            () = interrupted() => Err(TortureError::Interrupted),
        };
        let seconds = duration.as_secs().max(1);
        report.add(ended.map_err(|error| Failure { seed: round_seed, seconds, error })?);
        round_seed = round_seed.wrapping_add(1);
    }
}

/// Returns when the program is asked to end, so that what it made is removed.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // It cannot be told, then.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
