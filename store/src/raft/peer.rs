//! The network between members. A cluster of one has no peers: whatever raft would send to another member is
//! unreachable, and raft keeps trying.

use std::future::Future;

use openraft::OptionalSend;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};

use super::snapshot::SnapshotData;
use super::{Member, TypeConfig, Vote};
use crate::engine::Engine;

/// Connects to members.
pub struct Network<E>(std::marker::PhantomData<fn() -> E>);

impl<E> Default for Network<E> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

/// The connection to one member.
pub struct Peer<E> {
    id: u64,
    _snapshots_of: std::marker::PhantomData<fn() -> E>,
}

impl<E> Peer<E> {
    fn unreachable(&self) -> Unreachable<TypeConfig> {
        Unreachable::from_string(format!("member {:x} cannot be reached: this node runs alone", self.id))
    }
}

impl<E: Engine> RaftNetworkFactory<TypeConfig> for Network<E> {
    type Network = Peer<E>;

    async fn new_client(&mut self, target: u64, _member: &Member) -> Peer<E> {
        Peer { id: target, _snapshots_of: std::marker::PhantomData }
    }
}

impl<E: Engine> RaftNetworkV2<TypeConfig> for Peer<E> {
    type SnapshotData = SnapshotData<E>;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: SnapshotOf<TypeConfig, SnapshotData<E>>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(self.unreachable().into())
    }
}
