//! What carries the members' words to each other. Raft and the store speak through [`Transport`] and [`Link`] alone:
//! `peer/` implements them over gRPC, a simulation in memory.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::alias::SnapshotOf;
use openraft::base::{BoxFuture, BoxStream as RaftStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{SnapshotResponse, StreamAppendResult};
use openraft::{AnyError, OptionalSend};
use pintle_proto::peerpb;

use super::node::Identity;
use super::snapshot::{SnapshotData, SnapshotMeta};
use super::{Member, TypeConfig, Vote};
use crate::apply::Reply;
use crate::engine::Engine;
use crate::error::StoreError;

/// Raft's `AppendEntries`.
pub type AppendRequest = openraft::raft::AppendEntriesRequest<TypeConfig>;
/// What it is answered with.
pub type AppendResult = StreamAppendResult<TypeConfig>;
/// Raft's `RequestVote`.
pub type VoteRequest = openraft::raft::VoteRequest<TypeConfig>;
/// What it is answered with.
pub type VoteResponse = openraft::raft::VoteResponse<TypeConfig>;
/// The leader asks a member to take over.
pub type TransferRequest = openraft::raft::TransferLeaderRequest<TypeConfig>;
/// What it is answered with.
pub type TransferResponse = openraft::raft::TransferLeaderResponse<TypeConfig>;

/// Why a call to a member came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The member was not reached, so it has not acted.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// There is no answer; the member may have acted.
    #[error("no answer: {0}")]
    Lost(String),
    /// The member refused, and has not acted.
    #[error(transparent)]
    Refused(#[from] StoreError),
}

/// What a leader made of forwarded commands.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// The log index at which they were applied.
    pub index: u64,
    /// One reply a command, in their order.
    pub replies: Vec<Reply>,
}

/// A snapshot as files, with what it covers.
#[derive(Debug, Clone)]
pub struct SnapshotFiles {
    /// The last entry applied in it and the membership then.
    pub meta: SnapshotMeta,
    /// The directory, as [`Engine::checkpoint`] made it.
    pub directory: PathBuf,
}

/// Connects to members.
pub trait Transport: Send + Sync + 'static {
    /// The connection of one member to another. Made at once; it connects when it is used, and again when it was lost.
    fn connect(&self, from: Identity, to: u64, member: &Member) -> Arc<dyn Link>;

    /// A member of the cluster, which may have new addresses: connections to it that are made again go there. Raft keeps
    /// its links as long as a member stays.
    fn locate(&self, _id: u64, _member: &Member) {}
}

/// The connection to one member. Every call ends within a bounded time once the member has gone silent.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Sends appends one after the other without waiting for answers; these come in the same order. Ends after the
    /// first refusal or failure.
    fn append(
        &self,
        requests: BoxStream<'static, AppendRequest>,
    ) -> BoxStream<'static, Result<AppendResult, LinkError>>;

    /// Asks for a vote or, if `pre_vote`, whether one would be granted.
    async fn vote(&self, request: VoteRequest, pre_vote: bool) -> Result<VoteResponse, LinkError>;

    /// Asks the member to stand for election.
    async fn transfer_leader(&self, request: TransferRequest) -> Result<TransferResponse, LinkError>;

    /// Sends a snapshot and has it installed; returns the member's vote.
    async fn snapshot(&self, vote: Vote, snapshot: SnapshotFiles) -> Result<Vote, LinkError>;

    /// Has the member, which should lead, propose the commands in an encoded [`Entry`](crate::apply::Entry).
    async fn propose(&self, entry: Bytes) -> Result<Proposed, LinkError>;

    /// The log index that the member, which should lead, says a consistent read has to wait for.
    async fn read_index(&self) -> Result<u64, LinkError>;

    /// Anything else: what the store of one member asks of another's.
    async fn call(&self, request: peerpb::CallRequest) -> Result<peerpb::CallResponse, LinkError>;
}

/// The transport of a node that has no peers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Link for Alone {
    fn append(&self, _: BoxStream<'static, AppendRequest>) -> BoxStream<'static, Result<AppendResult, LinkError>> {
        futures::stream::once(async { Err(alone()) }).boxed()
    }

    async fn vote(&self, _: VoteRequest, _: bool) -> Result<VoteResponse, LinkError> {
        Err(alone())
    }

    async fn transfer_leader(&self, _: TransferRequest) -> Result<TransferResponse, LinkError> {
        Err(alone())
    }

    async fn snapshot(&self, _: Vote, _: SnapshotFiles) -> Result<Vote, LinkError> {
        Err(alone())
    }

    async fn propose(&self, _: Bytes) -> Result<Proposed, LinkError> {
        Err(alone())
    }

    async fn read_index(&self) -> Result<u64, LinkError> {
        Err(alone())
    }

    async fn call(&self, _: peerpb::CallRequest) -> Result<peerpb::CallResponse, LinkError> {
        Err(alone())
    }
}

impl Transport for Alone {
    fn connect(&self, _: Identity, _: u64, _: &Member) -> Arc<dyn Link> {
        Arc::new(Self)
    }
}

fn alone() -> LinkError {
    LinkError::Unreachable("this node runs alone".to_owned())
}

/// openraft's view of a transport.
pub(super) struct Network<E> {
    identity: Identity,
    transport: Arc<dyn Transport>,
    snapshots_of: std::marker::PhantomData<fn() -> E>,
}

impl<E> Network<E> {
    pub fn new(identity: Identity, transport: Arc<dyn Transport>) -> Self {
        Self { identity, transport, snapshots_of: std::marker::PhantomData }
    }
}

/// openraft's view of a link.
pub(super) struct Peer<E> {
    link: Arc<dyn Link>,
    snapshots_of: std::marker::PhantomData<fn() -> E>,
}

impl<E: Engine> RaftNetworkFactory<TypeConfig> for Network<E> {
    type Network = Peer<E>;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer<E> {
        Peer { link: self.transport.connect(self.identity, target, member), snapshots_of: std::marker::PhantomData }
    }
}

/// Runs a call no longer than openraft lets it.
async fn within<T>(
    option: &RPCOption,
    call: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, RPCError<TypeConfig>> {
    let limit = option.hard_ttl();
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(|error| rpc_error(&error)),
        Err(_) => Err(rpc_error(&LinkError::Lost(format!("nothing within {limit:?}")))),
    }
}

fn rpc_error(error: &LinkError) -> RPCError<TypeConfig> {
    match error {
        LinkError::Lost(_) => RPCError::Network(NetworkError::new(&AnyError::new(error))),
        LinkError::Unreachable(_) | LinkError::Refused(_) => {
            RPCError::Unreachable(Unreachable::new(&AnyError::new(error)))
        }
    }
}

impl<E: Engine> RaftNetworkV2<TypeConfig> for Peer<E> {
    type SnapshotData = SnapshotData<E>;

    async fn append_entries(
        &mut self,
        request: AppendRequest,
        option: RPCOption,
    ) -> Result<openraft::raft::AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut answers = self.link.append(futures::stream::once(async { request }).boxed());
        let answer = within(&option, async {
            answers.next().await.unwrap_or_else(|| Err(LinkError::Lost("the stream ended".to_owned())))
        });
        Ok(answer.await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<RaftStream<'s, Result<AppendResult, RPCError<TypeConfig>>>, RPCError<TypeConfig>>>
    where
        S: futures::Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        let answers = self.link.append(input.boxed());
        let answers: RaftStream<'s, _> = Box::pin(answers.map(|answer| answer.map_err(|error| rpc_error(&error))));
        Box::pin(async move { Ok(answers) })
    }

    async fn vote(&mut self, request: VoteRequest, option: RPCOption) -> Result<VoteResponse, RPCError<TypeConfig>> {
        within(&option, self.link.vote(request, false)).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<TypeConfig>> {
        within(&option, self.link.vote(request, true)).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotData<E>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = async {
            let files = snapshot.snapshot.files(snapshot.meta.last_log_id).await.map_err(|error| {
                tracing::error!(%error, "cannot make a snapshot for a follower");
                LinkError::Unreachable(error.to_string())
            })?;
            self.link.snapshot(vote, files).await
        };
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => {
                    tracing::warn!(%error, "a snapshot did not reach its follower; it will be resumed");
                    Err(StreamingError::Unreachable(Unreachable::new(&AnyError::new(&error))))
                }
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferRequest,
        option: RPCOption,
    ) -> Result<TransferResponse, RPCError<TypeConfig>> {
        within(&option, self.link.transfer_leader(request)).await
    }
}
