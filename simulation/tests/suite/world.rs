//! What the members live in: a network that delays, loses, repeats and overtakes, and their memory of what was applied.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use pintle_loadtest::history::{Guarantee, Violation};
use pintle_proto::mvccpb::Event;
use pintle_proto::peerpb;
use pintle_store::apply::Entry;
use pintle_store::error::StoreError;
use pintle_store::raft::network::{
    AppendRequest, AppendResult, Link, LinkError, Proposed, SnapshotFiles, TransferRequest, TransferResponse,
    Transport, VoteRequest, VoteResponse,
};
use pintle_store::raft::node::Identity;
use pintle_store::raft::{Member, Vote};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::cluster::Machine;

/// How long a member waits for an answer that was lost.
const SILENCE: Duration = Duration::from_secs(1);

/// How the network is at present.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// What the first of each pair sends to the second is lost.
    pub cut: HashSet<(u64, u64)>,
    /// One in so many messages is lost; 0 for none.
    pub loses_one_in: u32,
    /// Milliseconds that a message takes at most.
    pub slowest_millis: u64,
}

/// One simulation's world.
pub struct World {
    random: Mutex<StdRng>,
    /// The network.
    pub weather: Mutex<Weather>,
    /// Milliseconds that a disk takes to sync at most.
    pub slowest_sync_millis: Mutex<u64>,
    /// The machines that run, by member id.
    machines: Mutex<HashMap<u64, Arc<Machine>>>,
    applied: Mutex<Applied>,
}

/// What members told that they applied.
#[derive(Default)]
struct Applied {
    revisions: BTreeMap<i64, Vec<Event>>,
    broken: Option<Violation>,
}

impl World {
    /// A world whose chances come of a seed.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            weather: Mutex::new(Weather { slowest_millis: 4, ..Weather::default() }),
            slowest_sync_millis: Mutex::new(3),
            machines: Mutex::default(),
            applied: Mutex::default(),
        })
    }

    /// Draws.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.random.lock())
    }

    /// How long a sync takes this time.
    pub fn sync_time(&self) -> Duration {
        let slowest = *self.slowest_sync_millis.lock() * 1000;
        Duration::from_micros(self.draw(|random| random.random_range(100..=slowest.max(101))))
    }

    /// Adds a machine that runs, or takes it away.
    pub fn set_machine(&self, id: u64, machine: Option<Arc<Machine>>) {
        let mut machines = self.machines.lock();
        match machine {
            Some(machine) => machines.insert(id, machine),
            None => machines.remove(&id),
        };
    }

    /// A machine that runs.
    pub fn machine(&self, id: u64) -> Option<Arc<Machine>> {
        self.machines.lock().get(&id).cloned()
    }

    /// Carries one message. None if it is lost, after the time in which an answer is waited for.
    async fn carry(&self, from: u64, to: u64) -> Option<()> {
        let (lost, micros) = {
            let weather = self.weather.lock();
            let mut random = self.random.lock();
            let lost = weather.cut.contains(&(from, to))
                || weather.loses_one_in > 0 && random.random_ratio(1, weather.loses_one_in);
            // Now and then one is overtaken by many.
            let slowness = if random.random_ratio(1, 40) { 20 } else { 1 };
            (lost, random.random_range(100..=weather.slowest_millis * 1000 * slowness))
        };
        sleep(Duration::from_micros(micros)).await;
        if lost {
            sleep(SILENCE).await;
            return None;
        }
        Some(())
    }

    /// A member has applied these events.
    pub fn applied(&self, events: Vec<Event>) {
        let mut revisions: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
        for event in events {
            let revision = event.kv.as_ref().unwrap().mod_revision;
            revisions.entry(revision).or_default().push(event);
        }
        let mut applied = self.applied.lock();
        for (revision, events) in revisions {
            let known = applied.revisions.entry(revision).or_insert_with(|| events.clone());
            if *known != events {
                let text = format!("revision {revision} is {events:?} for one member and {known:?} for another");
                applied.broken = Some(Guarantee::Consistent.broken(text));
            }
        }
    }

    /// All events that were applied, if all members had the same.
    pub fn account(&self) -> Result<Vec<Event>, Violation> {
        let applied = self.applied.lock();
        applied.broken.clone().map_or_else(|| Ok(applied.revisions.values().flatten().cloned().collect()), Err)
    }
}

/// The network as one member sees it.
pub struct Wires {
    /// The world.
    pub world: Arc<World>,
    /// The member.
    pub from: u64,
}

impl Transport for Wires {
    fn connect(&self, _from: Identity, id: u64, _member: &Member) -> Arc<dyn Link> {
        Arc::new(Wire { world: self.world.clone(), from: self.from, to: id })
    }
}

#[derive(Clone)]
struct Wire {
    world: Arc<World>,
    from: u64,
    to: u64,
}

impl Wire {
    /// Carries a question there and the answer back.
    async fn ask<T, F>(&self, act: impl Fn(Arc<Machine>) -> F) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let lost = || LinkError::Lost("the network".to_owned());
        self.world.carry(self.from, self.to).await.ok_or_else(lost)?;
        let stopped = || LinkError::Unreachable("it does not run".to_owned());
        let machine = self.world.machine(self.to).ok_or_else(stopped)?;
        let answer = act(machine.clone()).await;
        // One that was stopped meanwhile has answered nobody.
        if !self.world.machine(self.to).is_some_and(|now| Arc::ptr_eq(&now, &machine)) {
            return Err(lost());
        }
        self.world.carry(self.to, self.from).await.ok_or_else(lost)?;
        match answer {
            Err(StoreError::Stopped) => Err(lost()),
            answer => answer.map_err(LinkError::Refused),
        }
    }

    /// Whether the network repeats this message.
    fn repeats(&self) -> bool {
        self.world.draw(|random| random.random_ratio(1, 20))
    }
}

#[async_trait]
impl Link for Wire {
    fn append(
        &self,
        requests: BoxStream<'static, AppendRequest>,
    ) -> BoxStream<'static, Result<AppendResult, LinkError>> {
        let open = Some((self.clone(), requests));
        let answers = stream::unfold(open, |open| async move {
            let (wire, mut requests) = open?;
            let request = requests.next().await?;
            let repeats = wire.repeats();
            let answer = wire.ask(|machine| {
                let once = stream::iter(vec![request.clone(); if repeats { 2 } else { 1 }]);
                async move {
                    let mut answers = machine.node.append(once.boxed());
                    let mut last = Err(StoreError::Stopped);
                    while let Some(answer) = answers.next().await {
                        last = answer;
                    }
                    last
                }
            });
            let answer = answer.await;
            let goes_on = matches!(answer, Ok(Ok(_)));
            Some((answer, goes_on.then_some((wire, requests))))
        });
        answers.boxed()
    }

    async fn vote(&self, request: VoteRequest, pre_vote: bool) -> Result<VoteResponse, LinkError> {
        let repeats = self.repeats();
        let ask = |machine: Arc<Machine>| {
            let request = request.clone();
            async move {
                if repeats {
                    machine.node.vote(request.clone(), pre_vote).await?;
                }
                machine.node.vote(request, pre_vote).await
            }
        };
        self.ask(ask).await
    }

    async fn transfer_leader(&self, request: TransferRequest) -> Result<TransferResponse, LinkError> {
        let ask = |machine: Arc<Machine>| {
            let request = request.clone();
            async move { machine.node.transfer_leader(request).await }
        };
        self.ask(ask).await
    }

    async fn snapshot(&self, vote: Vote, snapshot: SnapshotFiles) -> Result<Vote, LinkError> {
        let ask = |machine: Arc<Machine>| {
            let SnapshotFiles { meta, directory } = snapshot.clone();
            async move {
                let copy = machine.receive(&directory);
                machine.node.install_snapshot(vote, SnapshotFiles { meta, directory: copy }).await
            }
        };
        self.ask(ask).await
    }

    async fn propose(&self, entry: Bytes) -> Result<Proposed, LinkError> {
        let ask = |machine: Arc<Machine>| {
            let entry = entry.clone();
            async move { machine.node.propose_entry(Entry::decode(entry)?).await }
        };
        self.ask(ask).await
    }

    async fn read_index(&self) -> Result<u64, LinkError> {
        self.ask(|machine| async move { machine.node.confirm_read_index().await }).await
    }

    async fn call(&self, _request: peerpb::CallRequest) -> Result<peerpb::CallResponse, LinkError> {
        Err(LinkError::Unreachable("nobody has anything else to ask".to_owned()))
    }
}
