//! What a member does with what other members say: the receiving end of [`Link`](super::network::Link).

use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::storage::Snapshot;

use super::Vote;
use super::network::{
    AppendRequest, AppendResult, Proposed, SnapshotFiles, TransferRequest, TransferResponse, VoteRequest, VoteResponse,
};
use super::node::Node;
use super::proposer::propose_entry;
use super::snapshot::SnapshotData;
use crate::apply::Entry;
use crate::engine::Engine;
use crate::error::StoreError;

impl<E: Engine> Node<E> {
    /// Takes appends as they come and answers them in order; ends after the first refusal.
    pub fn append(
        &self,
        requests: BoxStream<'static, AppendRequest>,
    ) -> BoxStream<'static, Result<AppendResult, StoreError>> {
        let heard = self.heard.clone();
        let requests = requests.inspect(move |_| heard.now());
        self.raft.stream_append(requests).map(|answer| answer.map_err(|_| StoreError::Stopped)).boxed()
    }

    /// Votes or, if `pre_vote`, says whether it would.
    pub async fn vote(&self, request: VoteRequest, pre_vote: bool) -> Result<VoteResponse, StoreError> {
        let voted = if pre_vote { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        voted.map_err(|_| StoreError::Stopped)
    }

    /// Stands for election because the leader wants it.
    pub async fn transfer_leader(&self, request: TransferRequest) -> Result<TransferResponse, StoreError> {
        self.raft.handle_transfer_leader(request).await.map_err(|_| StoreError::Stopped)
    }

    /// Replaces the state by a snapshot, unless it is older, and returns this node's vote. The files are used up.
    pub async fn install_snapshot(&self, vote: Vote, files: SnapshotFiles) -> Result<Vote, StoreError> {
        let Some(last) = files.meta.last_log_id else { return Err(StoreError::CorruptData("an empty snapshot")) };
        if last.leader_id.term > vote.leader_id.term {
            return Err(StoreError::CorruptData("a snapshot that is newer than its leader"));
        }
        self.log.announce_snapshot(last)?;
        let snapshot = Snapshot { meta: files.meta.clone(), snapshot: SnapshotData::Received(files) };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        installed.map(|response| response.vote).map_err(|_| StoreError::Stopped)
    }

    /// Proposes commands that another member's clients gave it. Only a leader does.
    pub async fn propose_entry(&self, entry: Entry) -> Result<Proposed, StoreError> {
        propose_entry(&self.raft, entry).await
    }

    /// The log index that a consistent read has to wait for. Only a leader knows.
    pub async fn confirm_read_index(&self) -> Result<u64, StoreError> {
        self.reads.confirm().await
    }
}
