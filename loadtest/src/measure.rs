//! One case: many workers repeat an operation while the server's processor time is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::error::{BenchError, During};
use crate::histogram::Histogram;
use crate::proc_stat::{Memory, Processes};

/// A case ends after this time even if its operations are not done.
pub const LONGEST_CASE: Duration = Duration::from_secs(300);

/// When a case is over.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many operations.
    Operations(u64),
    /// After so long; operations in flight are completed.
    Elapsed(Duration),
}

/// What one operation is told.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Which worker does it, from 0.
    pub worker: usize,
    /// How many operations began before it, on all workers.
    pub index: u64,
}

/// What came of a case's operations.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Of those that succeeded.
    pub latency: Histogram,
    /// Bytes of their answers, where counted.
    pub bytes: u64,
    /// Operations that failed.
    pub errors: u64,
    /// What one of them said.
    pub error: Option<String>,
}

impl Tally {
    /// Counts one operation.
    pub fn count(&mut self, latency: Duration, result: Result<u64, String>) {
        match result {
            Ok(bytes) => {
                self.latency.record(latency);
                self.bytes += bytes;
            }
            Err(error) => {
                self.errors += 1;
                self.error.get_or_insert(error);
            }
        }
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
    }
}

/// The figures of a case.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Of the operations.
    pub tally: Tally,
    /// From first to last.
    pub elapsed: Duration,
    /// What the server used meanwhile.
    pub cpu: Duration,
    /// The server's, at the end.
    pub memory: Memory,
}

impl Sample {
    /// Adds what came of more of the same.
    pub fn add(&mut self, other: Self) {
        self.tally.merge(other.tally);
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.memory = other.memory;
    }

    /// Operations a second.
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub fn throughput(&self) -> f64 {
        self.tally.latency.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time of the server for one operation; none if none succeeded.
    pub fn cpu_per_operation(&self) -> Option<Duration> {
        let nanos = self.cpu.as_nanos().checked_div(u128::from(self.tally.latency.count()))?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }
}

/// Counts the server's processor time from its making to [`Stopwatch::stop`].
pub struct Stopwatch<'a> {
    processes: &'a Processes,
    cpu: Duration,
    begun: Instant,
}

impl<'a> Stopwatch<'a> {
    /// Begins to count.
    pub fn start(processes: &'a Processes) -> Result<Self, BenchError> {
        Ok(Self { cpu: processes.cpu()?, processes, begun: Instant::now() })
    }

    /// The figures since the start.
    pub fn stop(self, tally: Tally) -> Result<Sample, BenchError> {
        let elapsed = self.begun.elapsed();
        let cpu = self.processes.cpu()?.saturating_sub(self.cpu);
        Ok(Sample { tally, elapsed, cpu, memory: self.processes.memory()? })
    }
}

/// Runs `operation` on `workers` at a time. It returns the bytes of its answer, or what went wrong.
pub async fn drive<O, F>(
    processes: &Processes,
    workers: usize,
    until: Until,
    operation: O,
) -> Result<Sample, BenchError>
where
    O: Fn(Turn) -> F + Clone + Send + 'static,
    F: Future<Output = Result<u64, String>> + Send + 'static,
{
    let stopwatch = Stopwatch::start(processes)?;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        tasks.spawn(work(worker, until, Arc::clone(&next), operation.clone()));
    }
    let mut tally = Tally::default();
    while let Some(result) = tasks.join_next().await {
        tally.merge(result.during("a worker failed")?);
    }
    stopwatch.stop(tally)
}

async fn work<O, F>(worker: usize, until: Until, next: Arc<AtomicU64>, operation: O) -> Tally
where
    O: Fn(Turn) -> F,
    F: Future<Output = Result<u64, String>>,
{
    let begun = Instant::now();
    let (operations, time) = match until {
        Until::Operations(count) => (count, LONGEST_CASE),
        Until::Elapsed(time) => (u64::MAX, time),
    };
    let mut tally = Tally::default();
    while begun.elapsed() < time {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= operations {
            break;
        }
        let start = Instant::now();
        let result = timeout_at(begun + time + LONGEST_CASE, operation(Turn { worker, index })).await;
        tally.count(start.elapsed(), result.unwrap_or_else(|_| Err("no answer in time".to_owned())));
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Processes {
        Processes::new(vec![std::process::id()])
    }

    #[tokio::test]
    async fn operations_are_counted() {
        let every_tenth_fails =
            |turn: Turn| async move { if turn.index % 10 == 9 { Err(format!("no {}", turn.index)) } else { Ok(2) } };
        let sample = drive(&own(), 4, Until::Operations(100), every_tenth_fails).await.unwrap();
        assert_eq!((sample.tally.latency.count(), sample.tally.errors, sample.tally.bytes), (90, 10, 180));
        assert!(sample.tally.error.unwrap().starts_with("no "));
    }

    #[tokio::test]
    async fn time_ends_a_case() {
        let yields = |_| async {
            tokio::task::yield_now().await;
            Ok(0)
        };
        let sample = drive(&own(), 2, Until::Elapsed(Duration::from_millis(20)), yields).await.unwrap();
        assert!(sample.tally.latency.count() > 0 && sample.elapsed >= Duration::from_millis(20));
    }

    #[test]
    fn nothing_done_costs_nothing_that_can_be_said() {
        let sample = Sample { tally: Tally::default(), elapsed: TIME, cpu: TIME, memory: Memory::default() };
        assert_eq!(sample.cpu_per_operation(), None);
        let mut tally = Tally::default();
        tally.count(TIME, Ok(0));
        tally.count(TIME, Ok(0));
        assert_eq!(Sample { tally, ..sample }.cpu_per_operation(), Some(TIME / 2));
    }

    const TIME: Duration = Duration::from_secs(1);
}
