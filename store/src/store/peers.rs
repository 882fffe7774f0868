//! What stores of one cluster ask of each other, beside raft.

use std::path::PathBuf;
use std::sync::Arc;

use pintle_proto::etcdserverpb as pb;
use pintle_proto::peerpb::call_request::Call;
use pintle_proto::peerpb::call_response::Answer;
use pintle_proto::peerpb::{CallRequest, CallResponse};

use super::Store;
use crate::engine::rocks::RocksEngine;
use crate::error::StoreError;
use crate::limits;
use crate::raft::network::LinkError;
use crate::raft::node::Node;

impl Store {
    /// The raft node.
    pub(crate) fn node(&self) -> &Arc<Node<RocksEngine>> {
        &self.0.node
    }

    /// Where a snapshot lies while another member sends it.
    pub(crate) fn incoming_snapshot(&self) -> PathBuf {
        self.0.directory.snapshots().join("incoming")
    }

    /// Bytes that a message between members may have.
    pub(crate) fn peer_message_bytes(&self) -> usize {
        self.config().max_request_bytes + limits::PEER_MESSAGE_BYTES
    }

    /// Answers what another member asks.
    pub(crate) async fn answer_peer(&self, request: CallRequest) -> Result<CallResponse, StoreError> {
        let answer = match request.call.ok_or(StoreError::MalformedPeerMessage)? {
            Call::LeaseKeepAlive(request) => Answer::LeaseKeepAlive(self.leader_lease_keep_alive(request).await?),
            Call::LeaseTimeToLive(request) => Answer::LeaseTimeToLive(self.leader_lease_time_to_live(request).await?),
            Call::MemberList(request) => {
                if request.linearizable {
                    self.read_index().await?;
                }
                let members = self.member_list()?;
                Answer::MemberList(pb::MemberListResponse { header: Some(self.header(0)), members })
            }
            Call::ChangeMembers(request) => Answer::ChangeMembers(self.answer_change_members(request).await?),
            Call::HashKv(request) => Answer::HashKv(self.hash_kv(request).await?),
        };
        Ok(CallResponse { answer: Some(answer) })
    }

    /// Whether this node leads; who does otherwise.
    pub(crate) fn leads(&self) -> Result<bool, StoreError> {
        match self.standing().leader_id {
            0 => Err(StoreError::NoLeader),
            leader => Ok(leader == self.0.node.identity().member_id),
        }
    }

    /// Has the leader answer, which is another member.
    pub(crate) async fn ask_leader(&self, call: Call) -> Result<Answer, StoreError> {
        self.ask_member(self.standing().leader_id, call).await
    }

    /// Has another member answer.
    pub(crate) async fn ask_member(&self, id: u64, call: Call) -> Result<Answer, StoreError> {
        let link = self.0.node.link(id).ok_or(StoreError::NoLeader)?;
        let response = link.call(CallRequest { call: Some(call) }).await.map_err(|error| match error {
            LinkError::Refused(error) => error,
            LinkError::Unreachable(_) | LinkError::Lost(_) => {
                tracing::debug!(member = format!("{id:x}"), %error, "a member does not answer");
                StoreError::Timeout
            }
        })?;
        response.answer.ok_or(StoreError::MalformedPeerMessage)
    }
}
