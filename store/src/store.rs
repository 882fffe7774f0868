//! The store as a library: what the gRPC services and the embedded apiserver call. Opens the data directory, runs raft
//! on it, and answers requests in etcd's own types.

mod audience;
mod auth;
mod bootstrap;
mod caller;
mod cluster;
mod founding;
mod kv;
mod lease;
pub(crate) mod peer_urls;
mod peers;
mod prune;
mod quota;
mod snapshot;
mod status;
mod tally;
mod tokens;
mod upkeep;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pintle_proto::etcdserverpb as pb;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use self::audience::{Audience, Past};
pub use self::auth::AuthConfig;
pub use self::bootstrap::{BootstrapError, ClusterConfig, InitialState};
pub use self::caller::{Caller, Client, Presented};
pub use self::founding::FoundingError;
pub use self::snapshot::SnapshotChunks;
pub use self::status::Status;
pub use self::tokens::TokenKind;
use self::tokens::Tokens;
pub use self::upkeep::Upkeep;
use self::write::Write;
use crate::apply::{Command, Entry, Proposal, Response};
use crate::auth::Author;
use crate::data_dir::{DataDir, DataDirError};
use crate::engine::rocks::{self, Memory, RocksEngine};
use crate::engine::{Engine, EngineError};
use crate::error::StoreError;
use crate::lease::{Leases, expiry};
use crate::limits;
use crate::metrics::METRICS;
use crate::mvcc::Mvcc;
use crate::raft::LogDisk;
use crate::raft::Member;
use crate::raft::log_store::LogBounds;
use crate::raft::node::{self, Founding, Node, StartConfig, StartError};
use crate::raft::peer;
use crate::tls::{ClientTls, TlsError};
use crate::watch::Watches;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where everything is kept. Made when it does not exist.
    pub data_dir: PathBuf,
    /// Where the raft log is kept, if not in there (`--wal-dir`).
    pub wal_dir: Option<PathBuf>,
    /// This member's human-readable name.
    pub name: String,
    /// The members around this one.
    pub cluster: ClusterConfig,
    /// Tells clusters apart that would otherwise begin alike.
    pub cluster_token: String,
    /// Where other members reach this one; with the token it determines the member's id when the directory is made.
    pub peer_urls: Vec<String>,
    /// Where clients reach this member, as `MemberList` tells them.
    pub client_urls: Vec<String>,
    /// Bytes of memory for cached blocks and unflushed writes, of both databases together.
    pub cache_bytes: usize,
    /// Bytes of data at which writes are refused and the NOSPACE alarm is raised.
    pub quota_bytes: u64,
    /// Bytes of one request.
    pub max_request_bytes: usize,
    /// Operations in one transaction.
    pub max_txn_ops: usize,
    /// Milliseconds between heartbeats.
    pub heartbeat_millis: u64,
    /// Milliseconds without a heartbeat after which an election begins.
    pub election_millis: u64,
    /// How clients are recognised.
    pub auth: AuthConfig,
    /// What to do by itself.
    pub upkeep: Upkeep,
}

impl StoreConfig {
    /// For a store inside another program.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            wal_dir: None,
            name: "default".to_owned(),
            cluster: ClusterConfig::alone(),
            cluster_token: "etcd-cluster".to_owned(),
            peer_urls: vec!["http://localhost:2380".to_owned()],
            client_urls: Vec::new(),
            cache_bytes: limits::EMBEDDED_CACHE_BYTES,
            quota_bytes: limits::DEFAULT_QUOTA_BYTES,
            max_request_bytes: limits::MAX_REQUEST_BYTES,
            max_txn_ops: limits::MAX_TXN_OPS,
            heartbeat_millis: 100,
            election_millis: 1000,
            auth: AuthConfig::default(),
            upkeep: Upkeep::default(),
        }
    }

    /// What this member says of itself.
    fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            peer_urls: self.peer_urls.clone(),
            client_urls: self.client_urls.clone(),
            is_learner: false,
        }
    }

    /// How other members are reached.
    fn peers(&self) -> Result<peer::client::Settings, TlsError> {
        let encrypted = self.peer_urls.iter().any(|url| url.starts_with("https://") || url.starts_with("unixs://"));
        let tls = &self.cluster.peer_tls;
        let tls = if encrypted || !tls.is_empty() { Some(ClientTls::load(tls)?) } else { None };
        Ok(peer::client::Settings {
            tls,
            patience: Duration::from_millis(self.election_millis),
            heartbeat: Duration::from_millis(self.heartbeat_millis),
            max_message_bytes: self.max_request_bytes + limits::PEER_MESSAGE_BYTES,
        })
    }

    /// For a program that is nothing but the store.
    pub fn standalone(data_dir: impl Into<PathBuf>) -> Self {
        Self { cache_bytes: limits::STANDALONE_CACHE_BYTES, ..Self::embedded(data_dir) }
    }
}

/// Why a store did not open. Each text is one line that says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A database did not open.
    #[error(transparent)]
    Database(#[from] rocks::OpenError),
    /// The raft node did not start.
    #[error(transparent)]
    Start(StartError),
    /// The cluster can be neither founded nor joined.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The certificates for other members cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The state cannot be read.
    #[error(transparent)]
    State(StoreError),
    /// The other members have other data.
    #[error(
        "found data inconsistency with peers: remove this member's data directory and add it again as a new member"
    )]
    Corrupt,
    /// A thread did not start.
    #[error("cannot start a thread: {0}; check the limits on processes and memory")]
    Thread(std::io::Error),
}

/// An open store. Clones are handles of the same one; the data directory is let go of when the last is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    node: Arc<Node<RocksEngine>>,
    mvcc: Arc<Mvcc<RocksEngine>>,
    watches: Arc<Watches>,
    leases: Arc<Leases>,
    tokens: Arc<Tokens>,
    /// Permits to hash or compare a password.
    passwords: Semaphore,
    /// Turns for reading what may be much.
    reads: Arc<Semaphore>,
    config: StoreConfig,
    /// What runs beside the requests.
    tasks: Mutex<JoinSet<()>>,
    /// A permit a backup that is being sent.
    snapshots: Arc<Semaphore>,
    databases: [Arc<RocksEngine>; 2],
    // Dropped last, after the databases in it.
    directory: DataDir,
}

impl Store {
    /// Opens the store in a data directory, or makes one. Returns once everything that was acknowledged before can be
    /// read.
    pub async fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let store = Self::start(config).await?;
        store.ready().await?;
        Ok(store)
    }

    /// Opens the store in a data directory, or makes one. It takes part in its cluster once its peers are served, and
    /// serves clients once it is [ready](Store::ready).
    pub async fn start(config: StoreConfig) -> Result<Self, OpenError> {
        let peers = config.peers()?;
        let directory = DataDir::open(&config.data_dir)?;
        let memory = Memory::new(config.cache_bytes);
        let log_path = config.wal_dir.clone().unwrap_or_else(|| directory.raft());
        let log = Arc::new(RocksEngine::open_raft(&log_path, &memory)?);
        let state = Arc::new(RocksEngine::open_state(&directory.state(), &memory)?);
        let state_damaged = |error: StoreError| damaged(directory.state(), &error);
        let log_damaged = |error: EngineError| damaged(log_path.clone(), &error);
        let mvcc = Arc::new(Mvcc::open(state).map_err(state_damaged)?);
        let founding = if node::has_identity(&*log).map_err(log_damaged)? {
            Founding::Restart
        } else {
            founding::founding(&config, &peers).await?
        };
        let start = StartConfig {
            member: config.member(),
            cluster_token: config.cluster_token.clone(),
            founding,
            force_new_cluster: config.cluster.force_new,
            transport: Arc::new(peer::client::Grpc::new(peers)),
            snapshots: directory.snapshots(),
            log_bounds: LogBounds::default(),
            log_disk: LogDisk::default(),
            heartbeat_millis: config.heartbeat_millis,
            election_millis: config.election_millis,
        };
        let databases = [log.clone(), mvcc.engine().clone()];
        let watches = {
            let view = mvcc.view().map_err(state_damaged)?;
            Watches::start(view.revision(), view.compacted(), Past(mvcc.clone())).map_err(OpenError::Thread)?
        };
        let leases = Arc::new(Leases::default());
        leases.reset(mvcc.view().and_then(|view| view.leases()).map_err(state_damaged)?);
        let tokens = Arc::new(Tokens::new(&config.auth.tokens));
        let compacted = Arc::new(Notify::new());
        let audience = Audience {
            mvcc: mvcc.clone(),
            watches: watches.clone(),
            leases: leases.clone(),
            tokens: tokens.clone(),
            compacted: compacted.clone(),
        };
        let node = Node::start(log, mvcc.clone(), Box::new(audience), start).await.map_err(|error| match error {
            StartError::Engine(error) => log_damaged(error),
            error => OpenError::Start(error),
        })?;
        let node = Arc::new(node);
        let tasks = Mutex::default();
        let passwords = Semaphore::new(limits::PASSWORDS_AT_ONCE);
        let store = Self(Arc::new(Inner {
            node,
            mvcc,
            watches,
            leases,
            tokens,
            passwords,
            reads: Arc::new(Semaphore::new(limits::READS_AT_ONCE)),
            config,
            tasks,
            snapshots: Arc::new(Semaphore::new(limits::SNAPSHOTS_AT_ONCE)),
            databases,
            directory,
        }));
        store.start_tasks(compacted);
        Ok(store)
    }

    /// Returns once the cluster has a leader, and everything acknowledged before the start can be read here.
    pub async fn ready(&self) -> Result<(), OpenError> {
        self.0.node.ready().await.map_err(OpenError::Start)?;
        // Tokens in the log may have ended long ago.
        self.0.tokens.clear();
        if self.config().upkeep.initial_corrupt_check && !self.agrees_with_others().await.map_err(OpenError::State)? {
            return Err(OpenError::Corrupt);
        }
        self.publish().await;
        Ok(())
    }

    /// Starts what runs beside the requests: ending leases while this node leads, dropping what was compacted.
    fn start_tasks(&self, compacted: Arc<Notify>) {
        let mut tasks = self.0.tasks.lock();
        let mut leadership = self.0.node.leadership();
        let leases = self.0.leases.clone();
        let extension = Duration::from_millis(self.0.config.election_millis);
        let follow = move |leads| if leads { leases.promote(extension) } else { leases.demote() };
        // At once, so that leases can be kept as soon as the store is open.
        follow(leadership.leads());
        tasks.spawn(async move {
            while let Some(leads) = leadership.changed().await {
                follow(leads);
            }
        });
        let store = Arc::downgrade(&self.0);
        tasks.spawn(expiry::run(Arc::downgrade(&self.0.leases), move |due| {
            let store = store.upgrade().map(Store);
            async move {
                match store {
                    Some(store) => store.do_due(due).await,
                    None => Ok(()),
                }
            }
        }));
        let upkeep = self.0.config.upkeep;
        if let Some(retention) = upkeep.retention {
            tasks.spawn(upkeep::compact_by_itself(Arc::downgrade(&self.0), retention));
        }
        if let Some(interval) = upkeep.corrupt_check_interval {
            tasks.spawn(upkeep::compare_present(Arc::downgrade(&self.0), interval));
        }
        if let Some(interval) = upkeep.compact_hash_check_interval {
            tasks.spawn(upkeep::compare_compacted(Arc::downgrade(&self.0), interval));
        }
        tasks.spawn(prune::whenever_compacted(Arc::downgrade(&self.0.mvcc), compacted));
    }

    /// Stops taking requests, brings everything to disk so that the next start has nothing to replay, and lets go of
    /// the data directory if this was the last handle.
    ///
    /// # Errors
    /// When flushing fails. Nothing acknowledged is lost even then: it is in the raft log.
    pub async fn shutdown(self) -> Result<(), StoreError> {
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        tasks.shutdown().await;
        self.0.node.shutdown().await;
        let mvcc = self.0.mvcc.clone();
        let flushed = tokio::task::spawn_blocking(move || mvcc.engine().flush()).await;
        if let Some(Inner { node, mvcc, watches, databases, directory, .. }) = Arc::into_inner(self.0) {
            drop((node, mvcc, watches));
            // The tasks and the thread that still hold a database end by themselves now that raft has stopped.
            let deadline = Instant::now() + limits::CLOSE_TIMEOUT;
            while databases.iter().any(|database| Arc::strong_count(database) > 1) && Instant::now() < deadline {
                tokio::time::sleep(limits::CLOSE_TICK).await;
            }
            drop((databases, directory));
        }
        flushed.map_err(|_| StoreError::Stopped)?.map_err(StoreError::Engine)
    }

    /// Returns when the store has stopped, with the reason if it halted by itself: a disk that fails, damaged data. The
    /// process should then end.
    pub async fn stopped(&self) -> Option<String> {
        tokio::select! {
            reason = self.0.node.stopped() => reason,
            () = self.removed() => Some(
                "the member has been permanently removed from the cluster; to bring it back, empty its data directory \
                 and add it again"
                    .to_owned(),
            ),
        }
    }

    /// The watches: what was applied, as it is applied and from any revision that is not compacted.
    pub fn watches(&self) -> &Arc<Watches> {
        &self.0.watches
    }

    /// The revision of what this node has applied. Not a consistent read.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn revision(&self) -> Result<i64, StoreError> {
        Ok(self.0.mvcc.head().revision)
    }

    /// How the store was opened.
    pub fn config(&self) -> &StoreConfig {
        &self.0.config
    }

    /// A response header of this member that tells `revision`.
    pub fn header(&self, revision: i64) -> pb::ResponseHeader {
        let mut header = Some(pb::ResponseHeader { revision, ..pb::ResponseHeader::default() });
        self.complete(&mut header);
        header.unwrap_or_default()
    }

    /// Returns once this node has applied everything that was acknowledged before the call.
    pub async fn read_index(&self) -> Result<(), StoreError> {
        self.0.node.read_index().await
    }

    /// The members by id, each with whether it is a learner.
    pub fn members(&self) -> Vec<(u64, Member, bool)> {
        self.0.node.members()
    }

    /// Gives back to the file system what this member's databases no longer need. Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// When the databases cannot be written.
    pub async fn defragment(&self) -> Result<(), StoreError> {
        let databases = self.0.databases.clone();
        let _inflight = METRICS.defrags.hold();
        let began = Instant::now();
        let done = tokio::task::spawn_blocking(move || databases.iter().try_for_each(|database| database.defragment()));
        let done = done.await.map_err(|_| StoreError::Stopped)?;
        METRICS.defrag_seconds.observe_since(began);
        done.map_err(StoreError::Engine)
    }

    /// Raises, clears or lists alarms.
    pub async fn alarm(&self, request: pb::AlarmRequest) -> Result<pb::AlarmResponse, StoreError> {
        self.write(Author::Server, request).await
    }

    async fn write<W: Write>(&self, author: Author, request: W) -> Result<W::Response, StoreError> {
        let command = request.into_command();
        if command.encoded_len() > self.0.config.max_request_bytes {
            return Err(StoreError::RequestTooLarge);
        }
        self.check_quota(&command).await?;
        let response = self.propose(Proposal { author, command }).await?;
        let mut response =
            W::response(response).ok_or(StoreError::CorruptData("a command was answered as if it were another"))?;
        self.complete(W::header(&mut response));
        Ok(response)
    }

    async fn propose(&self, proposal: impl Into<Proposal>) -> Result<Response, StoreError> {
        let _pending = METRICS.proposals_pending.hold();
        let proposed = self.0.node.propose(proposal);
        let reply = tokio::time::timeout(self.request_timeout(), proposed).await.unwrap_or(Err(StoreError::Timeout));
        if reply.as_ref().is_err_and(StoreError::is_of_replication) {
            METRICS.proposals_failed.inc();
        }
        reply
    }

    /// Has this node propose what the server wants for itself. If it does not lead, nothing happens.
    async fn propose_here(&self, command: Command) -> Result<(), StoreError> {
        let proposed = self.0.node.propose_entry(Entry { proposals: vec![command.into()] });
        let proposed = tokio::time::timeout(self.request_timeout(), proposed).await;
        proposed.map_err(|_| StoreError::Timeout)??.replies.into_iter().try_for_each(|reply| reply.map(drop))
    }

    /// How long a write may take: a disk that syncs slowly and an election on the way (etcd's `ReqTimeout`).
    fn request_timeout(&self) -> Duration {
        node::request_timeout(Duration::from_millis(self.0.config.election_millis))
    }

    /// Refuses what does not fit, and lets all members know that the store is full.
    async fn check_quota(&self, command: &Command) -> Result<(), StoreError> {
        let head = self.0.mvcc.head();
        if quota::fits(command, head.logical_bytes(), self.0.config.quota_bytes) {
            return Ok(());
        }
        if !head.is_raised(pb::AlarmType::Nospace) {
            let alarm = pb::AlarmRequest {
                action: pb::alarm_request::AlarmAction::Activate.into(),
                member_id: self.0.node.identity().member_id,
                alarm: pb::AlarmType::Nospace.into(),
            };
            self.0.node.propose(Command::Alarm(alarm)).await?;
        }
        Err(StoreError::NoSpace)
    }

    /// Runs what may take long outside of the async threads. Not all at once: a thread each would take more memory than
    /// what is read.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Mvcc<RocksEngine>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mvcc = self.0.mvcc.clone();
        let turn = self.0.reads.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let reading = move || {
            let read = work(&mvcc);
            drop(turn);
            read
        };
        tokio::task::spawn_blocking(reading).await.map_err(|_| StoreError::Stopped)?
    }

    /// Fills in what a response header says of this node.
    fn complete(&self, header: &mut Option<pb::ResponseHeader>) {
        let identity = self.0.node.identity();
        let header = header.get_or_insert_default();
        header.cluster_id = identity.cluster_id;
        header.member_id = identity.member_id;
        header.raft_term = self.0.node.term();
    }
}

/// What a database holds cannot be what was written there.
fn damaged(path: PathBuf, cause: &dyn std::error::Error) -> OpenError {
    OpenError::Database(rocks::OpenError::Damaged { path, cause: cause.to_string() })
}
