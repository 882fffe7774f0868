//! The members of the cluster: who they are, how they change, who leads them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use pintle_proto::etcdserverpb as pb;
use pintle_proto::peerpb;
use pintle_proto::peerpb::call_request::Call;
use pintle_proto::peerpb::call_response::Answer;
use pintle_proto::peerpb::change_members::Change as ChangeMessage;

use super::{Store, peer_urls};
use crate::error::StoreError;
use crate::limits::LEADER_RETRY;
use crate::metrics::METRICS;
use crate::raft::reconfigure::{Change, Rules};
use crate::raft::{Member, members, membership};

impl Store {
    /// The members, by id, as of what this node has applied.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn member_list(&self) -> Result<Vec<pb::Member>, StoreError> {
        Ok(messages(members::applied(&**self.0.mvcc.engine())?))
    }

    /// Adds a member, which need not run yet. It takes part once it does and has caught up; unless it is to stay a
    /// learner, it has a vote from then on.
    ///
    /// # Errors
    /// What etcd answers to a member that cannot be added.
    pub async fn member_add(&self, request: pb::MemberAddRequest) -> Result<pb::MemberAddResponse, StoreError> {
        let peer_urls = peer_urls::checked(&request.peer_ur_ls)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = membership::member_id(&peer_urls, "", Some(now.as_secs()));
        let member = Member { peer_urls, is_learner: request.is_learner, ..Member::default() };
        let members = self.change_members(Change::Add(id, member.clone())).await?;
        Ok(pb::MemberAddResponse { header: Some(self.header(0)), member: Some(message(id, member)), members })
    }

    /// Removes a member, dead or alive; this one and the leader too.
    ///
    /// # Errors
    /// What etcd answers when a member must stay.
    pub async fn member_remove(
        &self,
        request: pb::MemberRemoveRequest,
    ) -> Result<pb::MemberRemoveResponse, StoreError> {
        let members = self.change_members(Change::Remove(request.id)).await?;
        Ok(pb::MemberRemoveResponse { header: Some(self.header(0)), members })
    }

    /// Changes where other members reach one.
    ///
    /// # Errors
    /// What etcd answers to URLs that a member cannot have.
    pub async fn member_update(
        &self,
        request: pb::MemberUpdateRequest,
    ) -> Result<pb::MemberUpdateResponse, StoreError> {
        let Ok(peer_urls) = peer_urls::checked(&request.peer_ur_ls) else {
            // etcd takes any text. No other member could reach this one there, so that is refused, but not before
            // everything that etcd refuses.
            let known = self.member_list()?.iter().any(|member| member.id == request.id);
            return Err(if known { StoreError::MemberBadUrls } else { StoreError::MemberNotFound });
        };
        let members = self.change_members(Change::Update(request.id, peer_urls)).await?;
        Ok(pb::MemberUpdateResponse { header: Some(self.header(0)), members })
    }

    /// Gives a learner its vote.
    ///
    /// # Errors
    /// What etcd answers to one that is no learner or not ready.
    pub async fn member_promote(
        &self,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, StoreError> {
        let members = self.change_members(Change::Promote(request.id)).await?;
        Ok(pb::MemberPromoteResponse { header: Some(self.header(0)), members })
    }

    /// Hands leadership to another member.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`], [`StoreError::BadLeaderTransferee`], [`StoreError::LeaderTransferTimeout`].
    pub async fn move_leader(&self, request: pb::MoveLeaderRequest) -> Result<pb::MoveLeaderResponse, StoreError> {
        if self.standing().leader_id != self.0.node.identity().member_id {
            return Err(StoreError::NotLeader);
        }
        let moved = tokio::time::timeout(self.request_timeout(), self.0.node.move_leader(request.target_id));
        moved.await.map_err(|_| StoreError::LeaderTransferTimeout)??;
        Ok(pb::MoveLeaderResponse::default())
    }

    /// Before a leader stops: hands over, so that the others need not miss it first.
    pub async fn hand_over(&self) {
        let Some(successor) = self.0.node.successor() else { return };
        let moved = tokio::time::timeout(self.request_timeout(), self.0.node.move_leader(successor));
        if !matches!(moved.await, Ok(Ok(()))) {
            tracing::warn!(successor = format!("{successor:x}"), "leadership was not taken over");
        }
    }

    /// Says this member's name and where clients reach it, until all know.
    pub(super) async fn publish(&self) {
        let config = self.config();
        let change = || Change::Publish {
            id: self.0.node.identity().member_id,
            name: config.name.clone(),
            client_urls: config.client_urls.clone(),
        };
        loop {
            match self.change_members(change()).await {
                // Not a member any more: whoever looks after that will see.
                Ok(_) | Err(StoreError::MemberNotFound | StoreError::Stopped) => return,
                Err(error) => tracing::warn!(%error, "cannot publish this member's name; trying again"),
            }
        }
    }

    /// Returns when this member was removed from its cluster. Nobody tells one that was, so it asks.
    pub(super) async fn removed(&self) {
        let id = self.0.node.identity().member_id;
        loop {
            tokio::time::sleep(crate::limits::REMOVED_CHECK_INTERVAL).await;
            if self.standing().leader_id == id {
                continue;
            }
            // By the log, not by what is applied: a member that starts applies nothing before a leader speaks to it.
            for (other, ..) in self.0.node.members().into_iter().filter(|(other, ..)| *other != id) {
                let Ok(Answer::MemberList(list)) =
                    self.ask_member(other, Call::MemberList(pb::MemberListRequest { linearizable: true })).await
                else {
                    continue;
                };
                if !list.members.iter().any(|member| member.id == id) {
                    return;
                }
                break;
            }
        }
    }

    /// Changes the members, wherever the leader is, and returns them as they are afterwards.
    async fn change_members(&self, change: Change) -> Result<Vec<pb::Member>, StoreError> {
        let changed = tokio::time::timeout(self.request_timeout(), self.until_led(|| self.try_change(&change)));
        changed.await.map_err(|_| StoreError::Timeout)?
    }

    /// Repeats what only a leader does until there is one.
    pub(super) async fn until_led<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match attempt().await {
                Err(StoreError::NoLeader | StoreError::NotLeader) => tokio::time::sleep(LEADER_RETRY).await,
                done => return done,
            }
        }
    }

    async fn try_change(&self, change: &Change) -> Result<Vec<pb::Member>, StoreError> {
        if self.leads()? {
            return self.change_members_here(change.clone()).await;
        }
        match self.ask_leader(Call::ChangeMembers(to_message(change))).await? {
            Answer::ChangeMembers(list) => {
                // Who asks this member next is to see the change, unless that has made it a stranger.
                if *change != Change::Remove(self.0.node.identity().member_id) {
                    self.read_index().await?;
                }
                Ok(list.members)
            }
            _ => Err(StoreError::MalformedPeerMessage),
        }
    }

    /// Answers another member that wants the members changed.
    pub(super) async fn answer_change_members(
        &self,
        request: peerpb::ChangeMembers,
    ) -> Result<pb::MemberListResponse, StoreError> {
        let members = self.change_members_here(from_message(request).ok_or(StoreError::MalformedPeerMessage)?).await?;
        Ok(pb::MemberListResponse { header: Some(self.header(0)), members })
    }

    /// Changes the members as the leader that this node should be.
    async fn change_members_here(&self, change: Change) -> Result<Vec<pb::Member>, StoreError> {
        let node = &self.0.node;
        let cluster = &self.config().cluster;
        let rules = Rules { strict: cluster.strict_reconfig_check, max_learners: cluster.max_learners };
        if change == Change::Remove(node.identity().member_id) {
            node.check_change(change.clone(), rules)?;
            // The next leader removes this one, which could not see the change through to its end.
            let successor = node.successor().ok_or(StoreError::Unhealthy)?;
            node.move_leader(successor).await?;
            return Err(StoreError::NotLeader);
        }
        let promotes = matches!(change, Change::Promote(_));
        let changed = node.change_members(change, rules).await.map(messages);
        match &changed {
            Ok(_) if promotes => METRICS.learners_promoted.inc(),
            Err(error) if promotes => METRICS.promotions_failed.inc([&error.to_string()]),
            Ok(_) | Err(_) => {}
        }
        changed
    }
}

fn messages(members: BTreeMap<u64, Member>) -> Vec<pb::Member> {
    members.into_iter().map(|(id, member)| message(id, member)).collect()
}

fn message(id: u64, member: Member) -> pb::Member {
    let Member { name, peer_urls, client_urls, is_learner } = member;
    pb::Member { id, name, peer_ur_ls: peer_urls, client_ur_ls: client_urls, is_learner }
}

fn to_message(change: &Change) -> peerpb::ChangeMembers {
    let change = match change.clone() {
        Change::Add(id, member) => ChangeMessage::Add(message(id, member)),
        Change::Remove(id) => ChangeMessage::Remove(pb::MemberRemoveRequest { id }),
        Change::Update(id, peer_ur_ls) => ChangeMessage::Update(pb::MemberUpdateRequest { id, peer_ur_ls }),
        Change::Promote(id) => ChangeMessage::Promote(pb::MemberPromoteRequest { id }),
        Change::Publish { id, name, client_urls } => {
            ChangeMessage::Publish(pb::Member { id, name, client_ur_ls: client_urls, ..pb::Member::default() })
        }
    };
    peerpb::ChangeMembers { change: Some(change) }
}

fn from_message(message: peerpb::ChangeMembers) -> Option<Change> {
    Some(match message.change? {
        ChangeMessage::Add(pb::Member { id, name, peer_ur_ls, client_ur_ls, is_learner }) => {
            Change::Add(id, Member { name, peer_urls: peer_ur_ls, client_urls: client_ur_ls, is_learner })
        }
        ChangeMessage::Remove(request) => Change::Remove(request.id),
        ChangeMessage::Update(request) => Change::Update(request.id, request.peer_ur_ls),
        ChangeMessage::Promote(request) => Change::Promote(request.id),
        ChangeMessage::Publish(member) => {
            Change::Publish { id: member.id, name: member.name, client_urls: member.client_ur_ls }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_survive_the_way_to_the_leader() {
        let member =
            Member { name: "n".into(), peer_urls: vec!["u".into()], client_urls: vec!["c".into()], is_learner: true };
        for change in [
            Change::Add(1, member),
            Change::Remove(2),
            Change::Update(3, vec!["u".into()]),
            Change::Promote(4),
            Change::Publish { id: 5, name: "n".into(), client_urls: vec!["c".into()] },
        ] {
            assert_eq!(from_message(to_message(&change)), Some(change));
        }
        assert_eq!(from_message(peerpb::ChangeMembers::default()), None);
    }
}
