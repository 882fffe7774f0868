//! One member: the log, the state machine and openraft between them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use openraft::metrics::RaftServerMetrics;
use openraft::{Config, Raft, SnapshotPolicy};
use prost::Message;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::leader::{Heard, LeaderWatch};
use super::links::Links;
use super::log_store::{LogBounds, LogStore};
use super::log_writer::LogDisk;
use super::network::{Link, Network, Transport};
use super::proposer::Proposer;
use super::read_index::ReadIndex;
use super::snapshot::Source;
use super::state_machine::{Applied, Observer, StateMachine};
use super::{LogId, Member, TypeConfig, leader, members, membership, record};
use crate::apply::Reply;
use crate::apply::command::Proposal;
use crate::engine::{Column, Durability, Engine, EngineError, Reader, WriteBatch};
use crate::error::StoreError;
use crate::limits;
use crate::metrics::METRICS;
use crate::mvcc::Mvcc;

/// Where this node's identity lies in [`Column::Vote`].
pub(super) const IDENTITY: &[u8] = b"identity";

/// Who this node is. Decided once, when the data directory is made.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Identity {
    /// The cluster it belongs to.
    #[prost(fixed64, tag = "1")]
    pub cluster_id: u64,
    /// The member it is.
    #[prost(fixed64, tag = "2")]
    pub member_id: u64,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log or the state cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state has reached an entry that the log does not have: acknowledged entries are gone.
    #[error(
        "the raft log ends at entry {log_ends_at}, but entry {applied} was applied: the log has lost entries; restore this \
         node from a snapshot or, in a cluster, remove its data directory and add it again as a new member"
    )]
    LogLost {
        /// Index of the last entry in the log.
        log_ends_at: u64,
        /// Index of the last entry that was applied.
        applied: u64,
    },
    /// The log was purged of entries that the state does not have.
    #[error(
        "the state ends at entry {applied}, but the raft log was cut up to entry {purged}: the state has lost entries; restore \
         this node from a snapshot or, in a cluster, remove its data directory and add it again as a new member"
    )]
    StateLost {
        /// Index of the last entry that the log has forgotten.
        purged: u64,
        /// Index of the last entry that was applied.
        applied: u64,
    },
    /// The directory of snapshots cannot be used.
    #[error("cannot use the directory of snapshots: {0}; check that it is writable")]
    Snapshots(std::io::Error),
    /// openraft refused.
    #[error("raft did not start: {0}; if a file is damaged, restore this node from a snapshot")]
    Raft(String),
}

/// How a node begins.
pub struct StartConfig {
    /// What this member says of itself: written to the membership when it differs from what is there.
    pub member: Member,
    /// Names the cluster while its members do not know each other's ids yet.
    pub cluster_token: String,
    /// What a node does whose log is empty.
    pub founding: Founding,
    /// Makes this node the only member of its cluster, which has lost its majority for good.
    pub force_new_cluster: bool,
    /// Carries what members say to each other.
    pub transport: Arc<dyn Transport>,
    /// Where snapshots lie on their way to and from other members; on the file system of the state.
    pub snapshots: PathBuf,
    /// How long the log may grow.
    pub log_bounds: LogBounds,
    /// How the log comes to disk.
    pub log_disk: LogDisk,
    /// Milliseconds between heartbeats (etcd's `--heartbeat-interval`).
    pub heartbeat_millis: u64,
    /// Milliseconds without a heartbeat after which an election begins (etcd's `--election-timeout`).
    pub election_millis: u64,
}

/// What a node does on its first start. Later ones take no notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Founding {
    /// It has started before.
    Restart,
    /// Founds a cluster of these members, of which it is one. All of them say the same, and compute the same ids.
    New(Vec<Member>),
    /// Joins a cluster that knows it as this member, and waits to be told the rest.
    Join(Identity),
}

/// How the node stands, for `Status` and response headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The current term.
    pub term: u64,
    /// The member that leads; 0 when none is known.
    pub leader_id: u64,
    /// Index of the newest entry in the log.
    pub last_index: u64,
    /// Index of the newest entry that was applied.
    pub applied_index: u64,
    /// Whether this member has no vote.
    pub is_learner: bool,
}

/// A running member.
pub struct Node<E: Engine> {
    identity: Identity,
    pub(super) raft: Raft<TypeConfig, StateMachine<E>>,
    pub(super) log: LogStore<E>,
    proposer: Proposer,
    pub(super) reads: ReadIndex<E>,
    leader: LeaderWatch,
    pub(super) heard: Heard,
    links: Links,
    keeper: AbortHandle,
    /// Held while the members are being changed.
    pub(super) changing: Arc<Mutex<()>>,
    tender: AbortHandle,
    is_learner: Arc<AtomicBool>,
    herald: AbortHandle,
}

impl<E: Engine> Drop for Node<E> {
    fn drop(&mut self) {
        self.keeper.abort();
        self.tender.abort();
        self.herald.abort();
    }
}

impl<E: Engine> Node<E> {
    /// Starts a member on its two databases. It takes part at once, but serves nobody before it is [ready](Node::ready).
    pub async fn start(
        log_engine: Arc<E>,
        mvcc: Arc<Mvcc<E>>,
        observer: Box<dyn Observer>,
        config: StartConfig,
    ) -> Result<Self, StartError> {
        let identity = identify(&*log_engine, &config)?;
        let log = LogStore::open(log_engine, config.log_bounds, config.log_disk.clone())?;
        let applied = Applied::load(&**mvcc.engine())?;
        check_log(&log, &applied)?;
        if config.force_new_cluster && config.founding == Founding::Restart {
            tracing::warn!("forcing a new cluster: this node is its only member now");
            log.append_alone(identity.member_id, config.member.clone())?;
        }

        let followed = log.clone();
        let source = Source::new(mvcc, &config.snapshots, move |last| last >= followed.purged());
        let source = source.map_err(StartError::Snapshots)?;
        let state_machine = StateMachine::open(source, log.progress().clone(), observer)?;
        let applied_index = state_machine.applied_index();
        let alone = applied.membership.voter_ids().all(|voter| voter == identity.member_id);
        let raft_config = raft_config(&config, alone)?;
        let network = Network::new(identity, config.transport.clone());
        let raft = Raft::new(identity.member_id, raft_config, network, log.clone(), state_machine)
            .await
            .map_err(raft_error)?;
        let keeper = tokio::spawn(keep_log_short(raft.clone(), log.clone())).abort_handle();
        let changing = Arc::<Mutex<()>>::default();
        let tender = tokio::spawn(members::tend(raft.clone(), changing.clone())).abort_handle();
        let is_learner = Arc::<AtomicBool>::default();
        let herald = {
            let made_known = members::make_known(raft.clone(), config.transport.clone(), is_learner.clone());
            tokio::spawn(made_known).abort_handle()
        };

        let election_timeout = Duration::from_millis(config.election_millis);
        let heard = Heard::default();
        let leader = leader::watch(&raft, identity.member_id, heard.clone(), election_timeout);
        let links = Links::new(identity, config.transport);
        let proposer = Proposer::start(raft.clone(), leader.clone(), links.clone(), applied_index.clone());
        let timeout = request_timeout(election_timeout);
        let reads = ReadIndex::new(raft.clone(), leader.clone(), links.clone(), applied_index, timeout);
        let node = Self {
            identity,
            raft,
            log,
            proposer,
            reads,
            leader,
            heard,
            links,
            keeper,
            changing,
            tender,
            is_learner,
            herald,
        };
        node.found(&config.founding, &config.cluster_token).await?;
        Ok(node)
    }

    /// Founds the cluster on the first start; leads it when alone.
    async fn found(&self, founding: &Founding, cluster_token: &str) -> Result<(), StartError> {
        if self.raft.is_initialized().await.map_err(raft_error)? {
            if self.raft.voter_ids().eq([self.identity.member_id]) {
                // Nobody else can lead: waiting for the election timeout would only delay.
                self.raft.trigger().elect(false).await.map_err(raft_error)?;
            }
        } else if let Founding::New(members) = founding {
            match self.raft.initialize(first_members(members, cluster_token)).await {
                // Another founder was faster, and has told this one.
                Err(RaftError::APIError(InitializeError::NotAllowed(_))) | Ok(()) => {}
                Err(error) => return Err(raft_error(error)),
            }
        }
        Ok(())
    }

    /// Returns once the cluster has a leader, and everything that was acknowledged before the start is applied here.
    pub async fn ready(&self) -> Result<(), StartError> {
        loop {
            match self.reads.wait().await {
                Ok(()) => break,
                Err(StoreError::Stopped) => return Err(raft_error("it has stopped")),
                Err(error) => tracing::warn!(%error, "waiting for a majority of the members"),
            }
        }
        Ok(())
    }

    /// Who this node is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Replicates and applies a command. See [`Proposer::propose`].
    pub async fn propose(&self, proposal: impl Into<Proposal>) -> Reply {
        self.proposer.propose(proposal.into()).await
    }

    /// Returns once everything acknowledged before the call can be read here. See [`ReadIndex::wait`].
    pub async fn read_index(&self) -> Result<(), StoreError> {
        self.reads.wait().await.inspect_err(|error| {
            METRICS.read_indexes_failed.inc();
            if matches!(error, StoreError::Timeout) {
                METRICS.slow_read_indexes.inc();
            }
        })
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// How the node stands.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        Standing {
            term: metrics.current_term,
            leader_id: *self.leader.borrow(),
            last_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.map_or(0, |applied| applied.index),
            is_learner: metrics
                .membership_config
                .get_node(&self.identity.member_id)
                .is_some_and(|member| member.is_learner),
        }
    }

    /// Whether this member has no vote, and is not to get one by itself. Costs nothing.
    pub fn is_learner(&self) -> bool {
        self.is_learner.load(Ordering::Relaxed)
    }

    /// The members by id, each with whether it is a learner.
    pub fn members(&self) -> Vec<(u64, Member, bool)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let learners: Vec<u64> = membership.learner_ids().collect();
        membership.nodes().map(|(id, member)| (*id, member.clone(), learners.contains(id))).collect()
    }

    /// Bytes of the raft log.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Follows whether this node leads. Does not keep the node running.
    pub fn leadership(&self) -> Leadership {
        Leadership { metrics: self.raft.server_metrics(), id: self.identity.member_id, last: None }
    }

    /// Follows who leads.
    pub fn leader(&self) -> LeaderWatch {
        self.leader.clone()
    }

    /// The connection to another member; `None` if there is no such member.
    pub fn link(&self, id: u64) -> Option<Arc<dyn Link>> {
        super::read_index::member(&self.raft, id).map(|member| self.links.to(id, &member))
    }

    /// Returns when the node has stopped, with the reason if it halted by itself.
    pub async fn stopped(&self) -> Option<String> {
        // These change seldom, the others with every write; they end with raft.
        let mut server = self.raft.server_metrics();
        while server.changed().await.is_ok() {}
        match &self.raft.metrics().borrow_watched().running_state {
            Ok(()) | Err(openraft::errors::Fatal::Stopped) => None,
            Err(reason) => Some(reason.to_string()),
        }
    }

    /// Stops taking part. Proposals on their way are answered with [`StoreError::Stopped`].
    pub async fn shutdown(&self) {
        // The only error is that the core task panicked, which has been logged where it happened.
        let _ = self.raft.shutdown().await;
    }
}

/// Whether a node leads, as that changes.
pub struct Leadership {
    metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    id: u64,
    /// What was told last.
    last: Option<bool>,
}

impl Leadership {
    /// Whether the node leads now.
    pub fn leads(&mut self) -> bool {
        let leads = self.metrics.borrow_watched().current_leader == Some(self.id);
        self.last = Some(leads);
        leads
    }

    /// Returns when the node begins or ceases to lead; `None` when it has stopped.
    pub async fn changed(&mut self) -> Option<bool> {
        loop {
            let last = self.last;
            let leads = self.leads();
            if last != Some(leads) {
                return Some(leads);
            }
            self.metrics.changed().await.ok()?;
        }
    }
}

/// How long a request may take: a disk that syncs slowly and an election on the way (etcd's `ReqTimeout`).
pub fn request_timeout(election_timeout: Duration) -> Duration {
    limits::SLOW_WRITE + election_timeout * 2
}

fn raft_error(error: impl std::fmt::Display) -> StartError {
    StartError::Raft(error.to_string())
}

/// Whether a member has started on this log's database before.
pub fn has_identity<E: Engine>(engine: &E) -> Result<bool, EngineError> {
    Ok(engine.snapshot().get(Column::Vote, IDENTITY)?.is_some())
}

/// The identity in the log's database, made and stored first when there is none.
fn identify<E: Engine>(engine: &E, config: &StartConfig) -> Result<Identity, EngineError> {
    if let Some(bytes) = engine.snapshot().get(Column::Vote, IDENTITY)? {
        return record::decode("this node's identity", &bytes);
    }
    let identity = match &config.founding {
        Founding::New(members) => Identity {
            cluster_id: membership::cluster_id(&first_members(members, &config.cluster_token)),
            member_id: membership::member_id(&config.member.peer_urls, &config.cluster_token, None),
        },
        Founding::Join(identity) => *identity,
        Founding::Restart => {
            return Err(EngineError("the raft log's database does not say which member it is".to_owned()));
        }
    };
    let mut batch = WriteBatch::new();
    batch.put(Column::Vote, IDENTITY, identity.encode_to_vec());
    engine.write(&batch, Durability::Synced)?;
    Ok(identity)
}

/// The members that found a cluster, by their ids.
fn first_members(members: &[Member], cluster_token: &str) -> BTreeMap<u64, Member> {
    let id = |member: &Member| membership::member_id(&member.peer_urls, cluster_token, None);
    members.iter().map(|member| (id(member), member.clone())).collect()
}

/// Checks that log and state belong together: neither has lost what the other relies on.
pub(super) fn check_log<E: Engine>(log: &LogStore<E>, applied: &Applied) -> Result<(), StartError> {
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
    // Right after a snapshot was installed the log ends before it, which raft then makes good.
    let installed = applied.last.is_some() && log.installing()? == applied.last;
    if applied.last > log.last() && !installed {
        return Err(StartError::LogLost { log_ends_at: index(log.last()), applied: index(applied.last) });
    }
    if applied.last < log.purged() {
        return Err(StartError::StateLost { purged: index(log.purged()), applied: index(applied.last) });
    }
    Ok(())
}

fn raft_config(config: &StartConfig, alone: bool) -> Result<Arc<Config>, StartError> {
    // Heartbeats set how often raft wakes up. A node that leads nobody can sleep longer; should members join while it
    // runs, these are still frequent enough for them.
    let heartbeat_millis = if alone { config.election_millis / 3 } else { config.heartbeat_millis };
    let raft = Config {
        cluster_name: config.cluster_token.clone(),
        heartbeat_interval: heartbeat_millis,
        // Voters wait for the leader's lease, which is the maximum, on top of the timeout that they draw: one and a half
        // to two of etcd's timeouts pass before an election, as there.
        election_timeout_min: config.election_millis / 2,
        election_timeout_max: config.election_millis,
        enable_pre_vote: Some(true),
        backoff: "50ms 100ms 200ms ...500ms".to_owned(),
        // As in the paper: a leader that restarts stands for election again, in a new term.
        enable_leader_restore: Some(false),
        // Snapshots and purges are decided by bytes, in `keep_log_short`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    raft.validate().map(Arc::new).map_err(raft_error)
}

/// How far the log may be cut so that followers which lag find in it what they lack. When it has grown to twice its bounds
/// for their sake, they get a snapshot instead.
fn spare_laggards<E: Engine>(raft: &Raft<TypeConfig, StateMachine<E>>, log: &LogStore<E>, upto: u64) -> u64 {
    let metrics = raft.data_metrics();
    let metrics = metrics.borrow_watched();
    let Some(followers) = &metrics.replication else { return upto };
    let slowest = followers.values().map(|matched| matched.as_ref().map_or(0, |id| id.index)).min();
    slowest.filter(|_| !log.is_twice_too_long()).map_or(upto, |slowest| upto.min(slowest))
}

/// Flushes the state and purges the log below it whenever the log has grown too long.
async fn keep_log_short<E: Engine>(raft: Raft<TypeConfig, StateMachine<E>>, log: LogStore<E>) {
    /// A snapshot that takes longer is looked at again when the log has grown further.
    const PATIENCE: Duration = Duration::from_secs(60);
    loop {
        log.outgrown().await;
        let Some(upto) = log.purgeable().map(|upto| spare_laggards(&raft, &log, upto)) else { continue };
        if log.purged().is_some_and(|purged| purged.index >= upto) {
            // Every append tells that the log is too long.
            tokio::time::sleep(limits::RAFT_LOG_LAG_TICK).await;
            continue;
        }
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
        let flushed = raft
            .wait(Some(PATIENCE))
            .metrics(|metrics| metrics.snapshot.is_some_and(|snapshot| snapshot.index >= upto), "state flushed")
            .await;
        if flushed.is_ok() && raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}
