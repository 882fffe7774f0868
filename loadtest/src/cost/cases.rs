//! The cases: what is done to every server, and which figures of it count.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::report::{Goal, Row, Unit};
use super::subject::Subject;
use crate::cli::CostOptions;
use crate::error::{BenchError, During};
use crate::measure::{Sample, Stopwatch, Tally, Turn, Until, drive};
use crate::store::{Clients, load, watch};

/// How often the servers take turns in a case.
const SLICES: u32 = 3;
/// Keys that a transaction writes where only their being there matters.
const FILL_KEYS: u64 = 100;
/// Clients of cases in which one request is much work.
const FEW_CLIENTS: usize = 16;
/// Writers whose latency is taken while a compaction runs, and how often each writes: so seldom that neither server is busy, so that
/// what is seen is the compaction.
const PACED_WRITERS: usize = 16;
const PACE: Duration = Duration::from_millis(40);
/// A compaction may be over sooner than it can be seen in the latencies.
const SHORTEST_WATCH: Duration = Duration::from_secs(5);

/// The measurements so far.
pub struct Measuring<'a> {
    pub options: &'a CostOptions,
    pub bar: &'a ProgressBar,
    pub rows: Vec<Row>,
}

impl Measuring<'_> {
    /// New keys, and one client after them.
    pub async fn put(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let value = load::random_value(self.options.value_bytes);
        let share = self.options.keys / u64::from(SLICES);
        let clients = usize::from(self.options.clients);
        let samples = self
            .in_turns("put", subjects, async |subject, slice| {
                let first = u64::from(slice) * share;
                let last = if slice + 1 == SLICES { self.options.keys } else { first + share };
                let value = value.clone();
                let put = move |turn: Turn, clients: &Clients| {
                    load::put(clients.kv(turn.worker), load::key(first + turn.index), value.clone())
                };
                repeat(subject, clients, Until::Operations(last - first), put).await
            })
            .await?;
        self.cpu("put", &samples, Goal::AtMost(0.5));
        self.throughput("put", &samples, Goal::AtLeast(1.5));
        Ok(())
    }

    /// Reads and conditional writes, as an apiserver updates.
    pub async fn txn(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let title = "get + txn (optimistic update)";
        let value = load::random_value(self.options.value_bytes);
        let keys = self.options.keys;
        let samples = self
            .timed(title, subjects, usize::from(self.options.clients), move |turn, clients| {
                load::update(clients.kv(turn.worker), load::key(turn.index % keys), value.clone())
            })
            .await?;
        self.cpu(title, &samples, Goal::AtMost(0.5));
        self.throughput(title, &samples, Goal::AtLeast(1.5));
        Ok(())
    }

    /// One client that waits for every answer.
    pub async fn put_one(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let title = "one client, one put at a time";
        let value = load::random_value(self.options.value_bytes);
        let keys = self.options.keys;
        let samples = self
            .timed(title, subjects, 1, move |turn, clients| {
                load::put(clients.kv(0), load::key(turn.index % keys), value.clone())
            })
            .await?;
        self.percentile(title, "latency, p50", &samples, 50, Goal::AtMost(1.0));
        self.cpu(title, &samples, Goal::None);
        Ok(())
    }

    /// Single keys.
    pub async fn get(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let keys = self.options.keys;
        for (title, serializable) in [("get", false), ("get, serializable", true)] {
            let samples = self
                .timed(title, subjects, usize::from(self.options.clients), move |turn, clients| {
                    load::get(clients.kv(turn.worker), turn.index % keys, serializable)
                })
                .await?;
            self.cpu(title, &samples, Goal::AtMost(0.4));
            self.throughput(title, &samples, Goal::None);
        }
        Ok(())
    }

    /// Pages of a list of `keys` keys.
    pub async fn page(&mut self, subjects: &[Subject], keys: u64) -> Result<(), BenchError> {
        let title = format!("page of 500 of {keys} keys");
        let samples = self
            .timed(&title, subjects, FEW_CLIENTS, move |turn, clients| load::page(clients.kv(turn.worker), turn.index))
            .await?;
        self.cpu(&title, &samples, Goal::AtMost(if keys == self.options.many_keys { 0.02 } else { 0.25 }));
        self.memory(&title, subjects, Goal::None)
    }

    /// Counts of everything.
    pub async fn count(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let keys = self.options.many_keys;
        let title = format!("count of {keys} keys");
        let samples = self
            .timed(&title, subjects, FEW_CLIENTS, move |turn, clients| load::count(clients.kv(turn.worker), keys))
            .await?;
        self.cpu(&title, &samples, Goal::AtMost(0.001));
        Ok(())
    }

    /// Events to many watchers of one prefix.
    pub async fn watch(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let (watchers, value_bytes) = (usize::from(self.options.watchers), self.options.value_bytes);
        let title = format!("watch event, {watchers} watchers");
        let samples = self
            .in_turns(&title, subjects, async |subject, _| {
                watch::run(&subject.clients, &subject.processes, watchers, value_bytes).await
            })
            .await?;
        self.cpu(&title, &samples, Goal::AtMost(0.4));
        self.percentile(&title, "latency, p50", &samples, 50, Goal::None);
        Ok(())
    }

    /// Writes the keys of `places`, unmeasured.
    pub async fn fill(&self, subjects: &[Subject], places: Range<u64>) -> Result<(), BenchError> {
        let value = load::random_value(self.options.value_bytes);
        for subject in subjects {
            self.bar.set_message(format!("{}: writing {} keys", subject.clients.endpoint(), places.end - places.start));
            let batches = (places.end - places.start).div_ceil(FILL_KEYS);
            let (first, last, value) = (places.start, places.end, value.clone());
            let fill = move |turn: Turn, clients: &Clients| {
                let first = first + turn.index * FILL_KEYS;
                load::put_many(clients.kv(turn.worker), first..last.min(first + FILL_KEYS), value.clone())
            };
            let sample = repeat(subject, FEW_CLIENTS, Until::Operations(batches), fill).await?;
            complete(&sample).during("cannot fill a store")?;
        }
        Ok(())
    }

    /// From the start of the process to the first answer, and the memory it then has.
    pub async fn restart(&mut self, subjects: &mut Vec<Subject>) -> Result<(), BenchError> {
        let title = format!("restart with {} keys", self.options.many_keys);
        let mut samples = Vec::new();
        for subject in std::mem::take(subjects) {
            self.bar.set_message(format!("{}: {title}", subject.clients.endpoint()));
            subject.settle().await?;
            let (subject, sample) = subject.restart().await?;
            subjects.push(subject);
            samples.push(sample);
        }
        complete_all(&title, &samples)?;
        self.percentile(&title, "to the first read", &samples, 50, Goal::AtMost(0.2));
        self.memory(&title, subjects, Goal::AtMost(0.4))
    }

    /// How long writes take while all but the newest version of every key is dropped, against how long they take without.
    pub async fn compaction(&mut self, subjects: &[Subject]) -> Result<(), BenchError> {
        let title = format!("puts during a compaction of {} revisions", self.options.many_keys);
        let mut quiet = Vec::new();
        let mut during = Vec::new();
        for subject in subjects {
            self.bar.set_message(format!("{}: {title}", subject.clients.endpoint()));
            subject.settle().await?;
            quiet.push(self.paced(subject, async { tokio::time::sleep(2 * SHORTEST_WATCH).await }).await?);
            let kv = subject.clients.kv(0);
            let compacting = async {
                let watched = tokio::time::sleep(SHORTEST_WATCH);
                let (compacted, ()) = tokio::join!(load::compact(kv), watched);
                compacted
            };
            let mut compacted = Ok(0);
            during.push(self.paced(subject, async { compacted = compacting.await }).await?);
            compacted.during("the compaction failed")?;
        }
        self.percentile(&title, "p99, quiet", &quiet, 99, Goal::None);
        self.percentile(&title, "p99, compacting", &during, 99, Goal::None);
        let slowed = |sample: (&Sample, &Sample)| Some(seconds(sample.0, 99)? / seconds(sample.1, 99)?);
        let values = during.iter().zip(&quiet).map(slowed).collect();
        self.row(&title, "p99, compacting / quiet", Unit::Times, values, Goal::Itself(2.0));
        self.memory(&title, subjects, Goal::None)
    }

    /// Latencies of writes that are due at fixed times, whatever becomes of those before, until `until` is over.
    async fn paced(&self, subject: &Subject, until: impl Future<Output = ()>) -> Result<Sample, BenchError> {
        let stop = Arc::new(AtomicBool::new(false));
        let value = load::random_value(self.options.value_bytes);
        let stopwatch = Stopwatch::start(&subject.processes)?;
        let mut writers = tokio::task::JoinSet::new();
        for worker in 0..PACED_WRITERS {
            let (kv, value, stop, keys) = (subject.clients.kv(worker), value.clone(), stop.clone(), self.options.keys);
            writers.spawn(async move {
                let mut tally = Tally::default();
                let offset = PACE / u32::try_from(PACED_WRITERS).unwrap_or(1) * u32::try_from(worker).unwrap_or(0);
                tokio::time::sleep(offset).await;
                let mut due = interval(PACE);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let mut place = u64::try_from(worker).unwrap_or(0);
                while !stop.load(Ordering::Relaxed) {
                    // The time at which it was due, not at which this writer came to it.
                    let begun: Instant = due.tick().await;
                    let result = load::put(kv.clone(), load::key(place % keys), value.clone()).await;
                    tally.count(begun.elapsed(), result);
                    place += u64::try_from(PACED_WRITERS).unwrap_or(1);
                }
                tally
            });
        }
        until.await;
        stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        while let Some(part) = writers.join_next().await {
            tally.merge(part.during("a writer failed")?);
        }
        stopwatch.stop(tally)
    }

    /// Repeats `operation` on every server for the time that the options give a case.
    async fn timed<F>(
        &self,
        title: &str,
        subjects: &[Subject],
        clients: usize,
        operation: impl Fn(Turn, &Clients) -> F + Clone + Send + 'static,
    ) -> Result<Vec<Sample>, BenchError>
    where
        F: Future<Output = Result<u64, String>> + Send + 'static,
    {
        let time = self.options.duration() / SLICES;
        let slice =
            async |subject: &Subject, _| repeat(subject, clients, Until::Elapsed(time), operation.clone()).await;
        self.in_turns(title, subjects, slice).await
    }

    /// Runs the slices of a case on one server after the other. The samples are in the servers' order.
    async fn in_turns(
        &self,
        title: &str,
        subjects: &[Subject],
        run: impl AsyncFn(&Subject, u32) -> Result<Sample, BenchError>,
    ) -> Result<Vec<Sample>, BenchError> {
        let mut samples: Vec<Option<Sample>> = vec![None; subjects.len()];
        for slice in 0..SLICES {
            for (subject, sum) in subjects.iter().zip(&mut samples) {
                self.bar.set_message(format!("{}: {title}", subject.clients.endpoint()));
                let sample = run(subject, slice).await?;
                match sum {
                    Some(sum) => sum.add(sample),
                    None => *sum = Some(sample),
                }
            }
        }
        let samples: Vec<Sample> = samples.into_iter().flatten().collect();
        complete_all(title, &samples)?;
        Ok(samples)
    }

    fn cpu(&mut self, title: &str, samples: &[Sample], goal: Goal) {
        let values = samples.iter().map(|sample| Some(sample.cpu_per_operation()?.as_secs_f64())).collect();
        self.row(title, "server CPU/op", Unit::Seconds, values, goal);
    }

    fn throughput(&mut self, title: &str, samples: &[Sample], goal: Goal) {
        let values = samples.iter().map(|sample| Some(sample.throughput())).collect();
        self.row(title, "throughput", Unit::PerSecond, values, goal);
    }

    fn percentile(&mut self, title: &str, measure: &'static str, samples: &[Sample], percent: u64, goal: Goal) {
        let values = samples.iter().map(|sample| seconds(sample, percent)).collect();
        self.row(title, measure, Unit::Seconds, values, goal);
    }

    fn memory(&mut self, title: &str, subjects: &[Subject], goal: Goal) -> Result<(), BenchError> {
        let resident = subjects.iter().map(|subject| Ok(subject.processes.memory()?.resident_bytes));
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let values = resident.map(|bytes| bytes.map(|bytes| Some(bytes as f64))).collect::<Result<_, BenchError>>()?;
        self.row(title, "memory after", Unit::Bytes, values, goal);
        Ok(())
    }

    fn row(&mut self, title: &str, measure: &'static str, unit: Unit, values: Vec<Option<f64>>, goal: Goal) {
        self.rows.push(Row { case: title.to_owned(), measure, unit, values, goal });
    }
}

fn seconds(sample: &Sample, percent: u64) -> Option<f64> {
    sample.tally.latency.percentile(percent).map(|latency| latency.as_secs_f64())
}

/// Repeats an operation on one server.
async fn repeat<F>(
    subject: &Subject,
    clients: usize,
    until: Until,
    operation: impl Fn(Turn, &Clients) -> F + Clone + Send + 'static,
) -> Result<Sample, BenchError>
where
    F: Future<Output = Result<u64, String>> + Send + 'static,
{
    let connections = subject.clients.clone();
    drive(&subject.processes, clients, until, move |turn| operation(turn, &connections)).await
}

/// Figures of a case of which parts failed would compare different things.
fn complete(sample: &Sample) -> Result<(), String> {
    let Tally { errors, error, .. } = &sample.tally;
    if *errors == 0 {
        Ok(())
    } else {
        Err(format!("{errors} failed, such as: {}", error.as_deref().unwrap_or_default()))
    }
}

fn complete_all(title: &str, samples: &[Sample]) -> Result<(), BenchError> {
    samples
        .iter()
        .try_for_each(complete)
        .map_err(|reason| BenchError::request("a case failed", format!("{title}: {reason}")))
}
