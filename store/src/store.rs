//! The store as a library: what the gRPC services and the embedded apiserver call. Opens the data directory, runs raft
//! on it, and answers requests in etcd's own types.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle_proto::etcdserverpb as pb;

use crate::apply::Response;
use crate::apply::command::Command;
use crate::data_dir::{DataDir, DataDirError};
use crate::engine::Engine;
use crate::engine::rocks::{self, RocksEngine};
use crate::error::StoreError;
use crate::limits;
use crate::raft::Member;
use crate::raft::node::{Node, Standing, StartError};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where everything is kept. Made when it does not exist.
    pub data_dir: PathBuf,
    /// This member's human-readable name.
    pub name: String,
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
    /// Milliseconds between heartbeats.
    pub heartbeat_millis: u64,
    /// Milliseconds without a heartbeat after which an election begins.
    pub election_millis: u64,
}

impl StoreConfig {
    /// For a store inside another program.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            name: "default".to_owned(),
            cluster_token: "etcd-cluster".to_owned(),
            peer_urls: vec!["http://localhost:2380".to_owned()],
            client_urls: Vec::new(),
            cache_bytes: limits::EMBEDDED_CACHE_BYTES,
            quota_bytes: limits::DEFAULT_QUOTA_BYTES,
            max_request_bytes: limits::MAX_REQUEST_BYTES,
            heartbeat_millis: 100,
            election_millis: 1000,
        }
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
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The raft node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// An open store. Clones are handles of the same one; the data directory is let go of when the last is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    node: Node<RocksEngine>,
    state: Arc<RocksEngine>,
    config: StoreConfig,
    // Dropped last, after the databases in it.
    _directory: DataDir,
}

/// How the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The cluster.
    pub cluster_id: u64,
    /// This member.
    pub member_id: u64,
    /// Term, leader and indexes.
    pub standing: Standing,
}

impl Store {
    /// How the node stands.
    pub fn status(&self) -> Status {
        let identity = self.0.node.identity();
        Status { cluster_id: identity.cluster_id, member_id: identity.member_id, standing: self.0.node.standing() }
    }

    /// Stops taking requests, brings everything to disk so that the next start has nothing to replay, and lets go of the
    /// data directory if this was the last handle.
    ///
    /// # Errors
    /// When flushing fails. Nothing acknowledged is lost even then: it is in the raft log.
    pub async fn shutdown(self) -> Result<(), StoreError> {
        self.0.node.shutdown().await;
        let state = self.0.state.clone();
        let flushed = tokio::task::spawn_blocking(move || state.flush()).await;
        let databases = Arc::downgrade(&self.0.state);
        if Arc::into_inner(self.0).is_some() {
            // The tasks that still hold the database end by themselves now that raft has stopped.
            let deadline = Instant::now() + Duration::from_secs(5);
            while databases.strong_count() > 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        flushed.map_err(|_| StoreError::Stopped)?.map_err(StoreError::Engine)
    }

    /// Returns when the store has stopped, with the reason if it halted by itself: a disk that fails, damaged data. The
    /// process should then end.
    pub async fn stopped(&self) -> Option<String> {
        self.0.node.stopped().await
    }

    /// The members by id, each with whether it is a learner.
    pub fn members(&self) -> Vec<(u64, Member, bool)> {
        self.0.node.members()
    }

    /// Stores a key.
    pub async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, StoreError> {
        self.write(request).await
    }

    /// Deletes a range of keys.
    pub async fn delete_range(&self, request: pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, StoreError> {
        self.write(request).await
    }

    /// Forgets what was superseded up to a revision.
    pub async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, StoreError> {
        self.write(request).await
    }

    /// Creates a lease. An id of 0 lets the store choose one.
    pub async fn lease_grant(&self, mut request: pb::LeaseGrantRequest) -> Result<pb::LeaseGrantResponse, StoreError> {
        while request.id == 0 {
            // Positive, as etcd's are.
            request.id = rand::random::<i64>() & i64::MAX;
        }
        self.write(request).await
    }

    /// Ends a lease and deletes its keys.
    pub async fn lease_revoke(&self, request: pb::LeaseRevokeRequest) -> Result<pb::LeaseRevokeResponse, StoreError> {
        self.write(request).await
    }

    /// Raises, clears or lists alarms.
    pub async fn alarm(&self, request: pb::AlarmRequest) -> Result<pb::AlarmResponse, StoreError> {
        self.write(request).await
    }

    async fn write<W: Write>(&self, request: W) -> Result<W::Response, StoreError> {
        let command = request.into_command();
        if command.encoded_len() > self.0.config.max_request_bytes {
            return Err(StoreError::RequestTooLarge);
        }
        let response = self.0.node.propose(command).await?;
        let mut response =
            W::response(response).ok_or(StoreError::CorruptData("a command was answered as if it were another"))?;
        self.complete(W::header(&mut response));
        Ok(response)
    }

    /// Fills in what a response header says of this node.
    fn complete(&self, header: &mut Option<pb::ResponseHeader>) {
        let identity = self.0.node.identity();
        let header = header.get_or_insert_default();
        header.cluster_id = identity.cluster_id;
        header.member_id = identity.member_id;
        header.raft_term = self.0.node.standing().term;
    }
}

/// A request that goes through the log.
trait Write {
    /// What it is answered with.
    type Response;

    fn into_command(self) -> Command;
    fn response(response: Response) -> Option<Self::Response>;
    fn header(response: &mut Self::Response) -> &mut Option<pb::ResponseHeader>;
}

macro_rules! writes {
    ($($kind:ident: $request:ty => $response:ty;)*) => {
        $(impl Write for $request {
            type Response = $response;

            fn into_command(self) -> Command {
                Command::$kind(self)
            }

            fn response(response: Response) -> Option<$response> {
                if let Response::$kind(response) = response { Some(response) } else { None }
            }

            fn header(response: &mut $response) -> &mut Option<pb::ResponseHeader> {
                &mut response.header
            }
        })*
    };
}

writes! {
    Put: pb::PutRequest => pb::PutResponse;
    DeleteRange: pb::DeleteRangeRequest => pb::DeleteRangeResponse;
    Txn: pb::TxnRequest => pb::TxnResponse;
    Compact: pb::CompactionRequest => pb::CompactionResponse;
    LeaseGrant: pb::LeaseGrantRequest => pb::LeaseGrantResponse;
    LeaseRevoke: pb::LeaseRevokeRequest => pb::LeaseRevokeResponse;
    LeaseCheckpoint: pb::LeaseCheckpointRequest => pb::LeaseCheckpointResponse;
    Alarm: pb::AlarmRequest => pb::AlarmResponse;
}
