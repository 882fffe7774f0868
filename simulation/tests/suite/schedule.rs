//! One schedule: faults that come of a seed, clients that remember, and the judgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pintle_loadtest::history::replay::Replay;
use pintle_loadtest::history::workload::Workload;
use pintle_loadtest::history::{Guarantee, History, Operation, Outcome, Request, Tally, Violation, linearizable};
use pintle_proto::etcdserverpb as pb;
use pintle_store::apply::Command;
use pintle_store::error::StoreError;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::world::{Weather, World};

/// Simulated time of the faults.
const DURATION: Duration = Duration::from_secs(8);
/// How long clients go on when everything is healed.
const AFTERWARDS: Duration = Duration::from_secs(1);
const CLIENTS: u32 = 4;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Requests for which a client keeps one lease.
const LEASE_REQUESTS: i64 = 40;

/// Runs a schedule. The same seed gives the same faults at the same times, delays and requests drawn alike.
pub fn run(seed: u64) -> Result<Tally, Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed))
}

async fn simulate(seed: u64) -> Result<Tally, Violation> {
    let world = World::new(seed);
    let size = world.draw(|random| if random.random_ratio(1, 4) { 5 } else { 3 });
    let mut cluster = Cluster::found(world.clone(), size).await;
    let finished = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let ids: Vec<u64> = (0..size).map(|number| cluster.id(number)).collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let workload = Workload::new(seed, number);
            let (world, ids, finished) = (world.clone(), ids.clone(), finished.clone());
            let client = Client { number, world, ids, began, workload, history: History::new(), count: 0 };
            tokio::spawn(client.run(finished))
        })
        .collect();
    while began.elapsed() < DURATION {
        disturb(&mut cluster, &world).await;
    }
    heal(&mut cluster, &world).await;
    let recovered = recover(&cluster).await;
    // What clients find now is judged, too.
    sleep(AFTERWARDS).await;
    finished.store(true, Ordering::Relaxed);
    let mut history = History::new();
    for client in clients {
        history.extend(client.await.unwrap());
    }
    let judged = match recovered {
        Ok(()) => judge(&cluster, &world, &history).await,
        Err(violation) => Err(violation),
    };
    // A machine knows its world, and would never be freed.
    (0..size).for_each(|number| cluster.stop(number));
    judged.map(|()| Tally::of(&history))
}

/// Does something and waits for a while, in which more may be done before it is undone.
async fn disturb(cluster: &mut Cluster, world: &World) {
    let size = cluster.size();
    let one = |random: &mut StdRng| random.random_range(0..size);
    let (victim, other) = world.draw(|random| (one(random), one(random)));
    let (id, ids): (u64, Vec<u64>) = (cluster.id(victim), (0..size).map(|number| cluster.id(number)).collect());
    match world.draw(|random| random.random_range(0..13)) {
        0 | 1 => cluster.stop(victim),
        2 => (0..size).for_each(|number| cluster.stop(number)),
        3 => world.weather.lock().cut.extend(ids.iter().flat_map(|other| [(id, *other), (*other, id)])),
        4 => world.weather.lock().cut.extend(ids.iter().map(|other| (id, *other))),
        5 => world.weather.lock().cut.extend(ids.iter().map(|other| (*other, id))),
        6 => world.weather.lock().cut.extend([(id, cluster.id(other)), (cluster.id(other), id)]),
        7 => world.weather.lock().loses_one_in = 8,
        8 => world.weather.lock().slowest_millis = 80,
        9 => *world.slowest_sync_millis.lock() = 400,
        // Often enough that there is something left to be disturbed.
        _ => heal(cluster, world).await,
    }
    sleep(Duration::from_millis(world.draw(|random| random.random_range(100..1500)))).await;
}

/// Undoes everything: the network is fair, the disks are quick, and all members run.
async fn heal(cluster: &mut Cluster, world: &World) {
    *world.weather.lock() = Weather { slowest_millis: 4, ..Weather::default() };
    *world.slowest_sync_millis.lock() = 3;
    for number in 0..cluster.size() {
        cluster.start(number).await;
    }
}

/// Waits until all members serve.
async fn recover(cluster: &Cluster) -> Result<(), Violation> {
    if cluster.recovers().await {
        return Ok(());
    }
    let standing: Vec<_> =
        (0..cluster.size()).filter_map(|number| cluster.machine(number)).map(|one| one.describe()).collect();
    let text = format!("the cluster does not serve again though nothing stands in its way:\n{}", standing.join("\n"));
    Err(Guarantee::Durable.broken(text))
}

async fn judge(cluster: &Cluster, world: &World, history: &[Operation]) -> Result<(), Violation> {
    let replay = Replay::of(world.account()?)?;
    linearizable::check(history, Some(&replay))?;
    // What clients had given up waiting for may still come.
    let agreed = async {
        loop {
            let standing: Vec<_> =
                (0..cluster.size()).map(|number| cluster.machine(number).unwrap().standing()).collect();
            if standing.iter().all(|one| *one == standing[0] && one.0 >= replay.last()) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let differ = || Guarantee::Consistent.broken("the members' hashes differ");
    timeout(Duration::from_secs(60), agreed).await.map_err(|_| differ())
}

struct Client {
    number: u32,
    world: Arc<World>,
    ids: Vec<u64>,
    began: Instant,
    workload: Workload,
    history: History,
    /// Requests so far.
    count: i64,
}

impl Client {
    async fn run(mut self, finished: Arc<AtomicBool>) -> History {
        let mut lease = 0;
        while !finished.load(Ordering::Relaxed) {
            if self.count % LEASE_REQUESTS == 0 {
                if lease != 0 {
                    self.take(Request::LeaseRevoke(pb::LeaseRevokeRequest { id: lease })).await;
                }
                lease = i64::from(self.number + 1) * 1_000_000 + self.count + 1;
                let grant = Command::LeaseGrant(pb::LeaseGrantRequest { ttl: 1000, id: lease });
                let granted = match self.world.machine(self.member()) {
                    Some(machine) => timeout(PATIENCE, machine.node.propose(grant)).await,
                    None => Ok(Err(StoreError::Stopped)),
                };
                if !matches!(granted, Ok(Ok(_))) {
                    lease = 0;
                }
                self.workload.bind(lease);
            }
            let request = self.workload.next_request();
            self.take(request).await;
            sleep(Duration::from_millis(self.world.draw(|random| random.random_range(1..60)))).await;
        }
        self.history
    }

    /// Whom it talks to: somebody else now and then.
    fn member(&self) -> u64 {
        let turn = usize::try_from(self.count / 10).unwrap() + self.number as usize;
        self.ids[turn % self.ids.len()]
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    async fn take(&mut self, request: Request) {
        let id = self.member();
        self.count += 1;
        let Some(machine) = self.world.machine(id) else { return };
        let invoked_nanos = self.nanos();
        let answer = timeout(PATIENCE, machine.ask(request.clone())).await;
        // One that was stopped meanwhile has answered nobody.
        let same = self.world.machine(id).is_some_and(|now| Arc::ptr_eq(&now, &machine));
        let outcome = match answer {
            Ok(Ok(response)) if same => {
                self.workload.learn(&response);
                Outcome::Answered(Box::new(response))
            }
            Ok(Err(error)) if same && took_no_effect(&error) => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        let (client, returned_nanos) = (self.number, self.nanos());
        self.history.push(Operation { client, invoked_nanos, returned_nanos, request, outcome });
    }
}

/// Whether an error says that the request took no effect.
fn took_no_effect(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::LeaseNotFound | StoreError::Compacted | StoreError::FutureRevision | StoreError::TooManyRequests
    )
}
