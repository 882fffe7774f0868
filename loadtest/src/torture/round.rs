//! One round: a cluster of its own, faults one after the other while clients work, then everything healed and judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use super::client::{Client, Shared};
use super::cluster::Cluster;
use super::error::TortureError;
use super::fault::{self, Fault};
use super::watcher::{self, Watcher, Watching, Wish};
use crate::history::replay::Replay;
use crate::history::watch::{self, Watched};
use crate::history::{History, Tally, linearizable};

/// Revisions that a compaction leaves of what the recording watcher was told.
const KEPT_REVISIONS: i64 = 100;
/// How long the faults of one step may wait for the members to serve again before the next come.
const QUIET: Duration = Duration::from_millis(800);
/// How long clients and watchers may take to come to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a round does.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The server.
    pub program: &'a Path,
    /// What faults, their order and the clients' requests come of.
    pub seed: u64,
    /// How long faults are done.
    pub duration: Duration,
    /// How many members.
    pub members: usize,
    /// How many clients.
    pub clients: u32,
    /// What is done.
    pub faults: &'a [Fault],
}

/// What a round came to when all was well.
#[derive(Debug, Clone, Default)]
pub struct Survived {
    /// How often each fault was done.
    pub faults: BTreeMap<Fault, usize>,
    /// What became of the clients' operations, all of them checked.
    pub operations: Tally,
    /// Responses and events that watchers were told, all of them checked.
    pub watched: usize,
    /// Revisions that were made.
    pub revisions: i64,
}

/// What a round left to judge.
struct Record {
    history: History,
    /// The watcher of everything that no compaction cut off.
    recorded: Watched,
    watched: Vec<Watched>,
    /// Each watcher was to be told everything through this revision,
    revision: i64,
    /// and the recorder through this one.
    last: i64,
}

/// Runs a round and tells each fault to `tell`.
///
/// # Errors
/// What was lost or broken.
pub async fn run(plan: &Plan<'_>, tell: impl Fn(&str)) -> Result<Survived, TortureError> {
    let mut cluster = Cluster::found(plan.program, plan.members).await?;
    let shared = Shared::new();
    let channels = cluster.channels().to_vec();
    let watchers = Watchers::start(&channels);
    let clients: Vec<JoinHandle<History>> = (0..plan.clients)
        .map(|number| tokio::spawn(Client::new(plan.seed, number, channels.clone(), shared.clone()).run()))
        .collect();

    let mut faults = BTreeMap::new();
    let disturbed = disturb(plan, &mut cluster, &shared, &watchers.recorder, &mut faults, &tell).await;
    shared.finished.store(true, Ordering::Relaxed);
    disturbed?;
    let record = conclude(&mut cluster, clients, watchers).await?;
    judge(&cluster, &record).await?;
    Ok(Survived {
        faults,
        operations: Tally::of(&record.history),
        watched: record.watched.iter().chain([&record.recorded]).map(|watched| watched.notes.len()).sum(),
        revisions: record.last,
    })
}

/// The watchers of a round.
struct Watchers {
    /// Is told everything: what it was not told yet is not compacted.
    recorder: Watching,
    /// May be cut off by compactions.
    others: Vec<Watching>,
}

impl Watchers {
    /// Of everything, at each member; and of parts.
    fn start(channels: &[Channel]) -> Self {
        let mut wishes = vec![Wish::everything(); channels.len()];
        wishes.push(Wish { key: "key/03".into(), range_end: "key/11".into(), prev_kv: false });
        wishes.push(Wish { key: "key/07".into(), range_end: Bytes::new(), prev_kv: true });
        wishes.push(Wish { key: "nothing/".into(), range_end: "nothing0".into(), prev_kv: true });
        let start = |member, wish| Watching::start(Watcher::new(wish, channels.to_vec(), member));
        let others =
            wishes.into_iter().enumerate().map(|(number, wish)| start(number % channels.len(), wish)).collect();
        Self { recorder: start(0, Wish::everything()), others }
    }
}

/// Does faults, one or two at a time, and heals them, until time is over.
async fn disturb(
    plan: &Plan<'_>,
    cluster: &mut Cluster,
    shared: &Shared,
    recorder: &Watching,
    done: &mut BTreeMap<Fault, usize>,
    tell: &impl Fn(&str),
) -> Result<(), TortureError> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let deadline = Instant::now() + plan.duration;
    let mut untried: Vec<Fault> = Vec::new();
    while Instant::now() < deadline {
        sleep(QUIET.mul_f64(random.random_range(0.5..1.5))).await;
        let mut may_end = Vec::new();
        let together = if random.random_ratio(1, 3) { 2 } else { 1 };
        for _ in 0..together {
            // Each once before any comes again.
            if untried.is_empty() {
                untried = plan.faults.to_vec();
            }
            let Some(&fault) = untried.choose(&mut random) else { return Ok(()) };
            untried.retain(|untried| *untried != fault);
            let compactable = recorder.next() - KEPT_REVISIONS;
            let injected = fault::inject(fault, cluster, &mut random, compactable).await?;
            if fault == Fault::Compact {
                shared.compacted.fetch_max(compactable, Ordering::Relaxed);
            }
            tell(&format!("{:6.1} s  {fault}: {}", seconds(shared), injected.what));
            may_end.extend(injected.may_end);
            *done.entry(fault).or_default() += 1;
            sleep(fault.duration(&mut random)).await;
        }
        for (number, member) in cluster.members.iter_mut().enumerate() {
            if member.has_ended() && !may_end.contains(&number) {
                return Err(TortureError::Ended { member: number, said: member.said() });
            }
        }
        fault::heal(cluster, &may_end)?;
        cluster.recovered().await?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
fn seconds(shared: &Shared) -> f64 {
    shared.nanos() as f64 / 1e9
}

/// Lets clients and watchers come to an end, and collects what they remember. The recorder ends last, so that it was told
/// whatever another was.
async fn conclude(
    cluster: &mut Cluster,
    clients: Vec<JoinHandle<History>>,
    watchers: Watchers,
) -> Result<Record, TortureError> {
    let stuck = |who: &str| TortureError::NotRecovered(format!("{who} came to no end"));
    let mut history = History::new();
    for client in clients {
        let remembered = timeout(PATIENCE, client).await;
        history.extend(remembered.ok().and_then(Result::ok).ok_or_else(|| stuck("a client"))?);
    }
    let Watchers { recorder, others } = watchers;
    let revision = cluster.recovered().await?;
    let mut watched = Vec::new();
    for watching in others {
        watched.push(watching.end(revision).await.ok_or_else(|| stuck("a watcher"))?);
    }
    let last = cluster.recovered().await?;
    let recorded = recorder.end(last).await.ok_or_else(|| stuck("the recorder"))?;
    Ok(Record { history, recorded, watched, revision, last })
}

/// Whether everything that was promised was kept.
async fn judge(cluster: &Cluster, record: &Record) -> Result<(), TortureError> {
    let replay = Replay::of(watcher::events(&record.recorded).cloned())?;
    watch::check(&record.recorded, &replay, record.last)?;
    for watched in &record.watched {
        watch::check(watched, &replay, record.revision)?;
    }
    linearizable::check(&record.history, Some(&replay))?;
    cluster.agree(record.last).await
}
