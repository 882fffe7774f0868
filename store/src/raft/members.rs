//! Changing who belongs to the cluster, and who leads it: the leader's part. What may be done [`super::reconfigure`] says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::Precondition;
use openraft::{Instant as _, Raft, ServerState};
use tokio::sync::Mutex;

use super::network::Transport;
use super::reconfigure::{Change, Cluster, Rules, Step};
use super::state_machine::{Applied, StateMachine};
use super::{LogId, Member, TypeConfig};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::limits::{MEMBER_CHANGE_RETRY, MEMBER_TEND_INTERVAL};
use crate::raft::node::Node;

impl<E: Engine> Node<E> {
    /// Changes the members and returns them as they are afterwards. Only the leader does; one change at a time.
    ///
    /// # Errors
    /// What etcd answers to a change that is not allowed; [`StoreError::NotLeader`] when nothing was done;
    /// [`StoreError::LeaderChanged`] when the change may yet be made.
    pub async fn change_members(&self, change: Change, rules: Rules) -> Result<BTreeMap<u64, Member>, StoreError> {
        loop {
            let turn = self.changing.lock().await;
            let (cluster, known_at) = observe(&self.raft)?;
            // A change that a former leader began is ended first, in `tend`.
            if !cluster.changing {
                let Some(step) = cluster.plan(change.clone(), rules)? else { return Ok(cluster.members) };
                match make(&self.raft, step, known_at).await {
                    Ok(members) => return Ok(members),
                    Err(Refusal::Retry) => {}
                    Err(Refusal::For(error)) => return Err(error),
                }
            }
            drop(turn);
            tokio::time::sleep(MEMBER_CHANGE_RETRY).await;
        }
    }

    /// Judges a change as [`Node::change_members`] does, without making it.
    pub fn check_change(&self, change: Change, rules: Rules) -> Result<(), StoreError> {
        observe(&self.raft)?.0.plan(change, rules).map(drop)
    }

    /// Who should lead when this node, the leader, goes; `None` if nobody can or it does not lead.
    pub fn successor(&self) -> Option<u64> {
        observe(&self.raft).ok()?.0.successor(self.identity().member_id)
    }

    /// Hands leadership to a voter and returns once it leads; nothing happens if it does already. Give it a deadline.
    ///
    /// # Errors
    /// [`StoreError::BadLeaderTransferee`] if the member has no vote.
    pub async fn move_leader(&self, to: u64) -> Result<(), StoreError> {
        if !self.raft.voter_ids().any(|voter| voter == to) {
            return Err(StoreError::BadLeaderTransferee);
        }
        if self.raft.server_metrics().borrow_watched().current_leader == Some(to) {
            // Raft would stop accepting writes and wait for itself.
            return Ok(());
        }
        self.raft.trigger().transfer_leader(to).await.map_err(|_| StoreError::Stopped)?;
        let mut metrics = self.raft.server_metrics();
        while metrics.borrow_watched().current_leader != Some(to) {
            metrics.changed().await.map_err(|_| StoreError::Stopped)?;
        }
        Ok(())
    }
}

/// The members of the last membership that was applied, by id.
pub fn applied<E: Engine>(engine: &E) -> Result<BTreeMap<u64, Member>, StoreError> {
    let applied = Applied::load(engine)?;
    Ok(applied.membership.nodes().map(|(id, member)| (*id, member.clone())).collect())
}

/// The cluster as its leader sees it, and the entry that made its membership.
fn observe<E: Engine>(raft: &Raft<TypeConfig, StateMachine<E>>) -> Result<(Cluster, Option<LogId>), StoreError> {
    let patience = Duration::from_millis(raft.config().election_timeout_max);
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    if metrics.state != ServerState::Leader {
        return Err(if metrics.current_leader.is_none() { StoreError::NoLeader } else { StoreError::NotLeader });
    }
    let membership = &metrics.membership_config;
    let answered = metrics.heartbeat.iter().flatten();
    let lately = answered.filter(|(_, at)| at.as_ref().is_some_and(|at| at.elapsed() <= patience));
    let last = metrics.last_log_index.unwrap_or(0);
    let mut matched: BTreeMap<u64, u64> =
        metrics.replication.iter().flatten().map(|(id, log)| (*id, log.map_or(0, |log| log.index))).collect();
    matched.insert(metrics.id, last);
    let cluster = Cluster {
        members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
        voters: membership.voter_ids().collect(),
        changing: membership.get_joint_config().len() > 1,
        connected: lately.map(|(id, _)| *id).chain([metrics.id]).collect(),
        matched,
        last,
    };
    Ok((cluster, *membership.log_id()))
}

/// Why a step was not made.
enum Refusal {
    /// The membership has changed since it was looked at, or a change is under way.
    Retry,
    For(StoreError),
}

/// Makes a step, if the membership still is the one that it was planned for. Returns the members afterwards.
async fn make<E: Engine>(
    raft: &Raft<TypeConfig, StateMachine<E>>,
    Step { change, retain }: Step,
    known_at: Option<LogId>,
) -> Result<BTreeMap<u64, Member>, Refusal> {
    let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: known_at };
    let made = raft.change_membership_if(change, retain, [unchanged]).await.map_err(|error| match error {
        RaftError::Fatal(_) => Refusal::For(StoreError::Stopped),
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Refusal::For(StoreError::NotLeader),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Refusal::For(StoreError::LeaderChanged),
        RaftError::APIError(
            ClientWriteError::PreconditionFailed(_)
            | ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ),
        ) => Refusal::Retry,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            tracing::error!(%error, "raft refuses a change of members that was found to be allowed");
            Refusal::For(StoreError::Unhealthy)
        }
    })?;
    let members = made.membership.iter().flat_map(openraft::Membership::nodes);
    Ok(members.map(|(id, member)| (*id, member.clone())).collect())
}

/// Does what the leader does by itself with the members, until raft stops: see [`Cluster::next_step`].
pub(super) async fn tend<E: Engine>(raft: Raft<TypeConfig, StateMachine<E>>, changing: Arc<Mutex<()>>) {
    let mut news = raft.server_metrics();
    loop {
        let mut unsettled = false;
        if let Ok(_turn) = changing.try_lock()
            && let Ok((cluster, known_at)) = observe(&raft)
        {
            unsettled = cluster.is_unsettled();
            if let Some(step) = cluster.next_step() {
                tracing::info!(change = %step.change, "completing a change of members");
                // Looked at again soon, whatever came of it.
                let _ = make(&raft, step, known_at).await;
            }
        } else if changing.try_lock().is_err() {
            unsettled = true;
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(MEMBER_TEND_INTERVAL), if unsettled => {}
        }
    }
}

/// Makes known, as the members change, where each is reached and whether this one is a learner, until raft stops.
pub(super) async fn make_known<E: Engine>(
    raft: Raft<TypeConfig, StateMachine<E>>,
    transport: Arc<dyn Transport>,
    is_learner: Arc<AtomicBool>,
) {
    let mut news = raft.server_metrics();
    loop {
        {
            let metrics = news.borrow_watched();
            for (id, member) in metrics.membership_config.nodes() {
                transport.locate(*id, member);
                if *id == metrics.id {
                    is_learner.store(member.is_learner, Ordering::Relaxed);
                }
            }
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}
