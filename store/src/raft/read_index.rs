//! Consistent reads: before one is served, the leader makes sure that it still leads, and this node that it has applied
//! every write that was acknowledged. One such round is in flight at a time; reads that arrive meanwhile share the next.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{Raft, RaftMetrics, ReadPolicy};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::leader::LeaderWatch;
use super::links::Links;
use super::network::LinkError;
use super::state_machine::StateMachine;
use super::{Member, TypeConfig};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::limits;

type Round<T> = Shared<BoxFuture<'static, Result<T, StoreError>>>;

/// Hands out rounds. Clones share them.
pub struct ReadIndex<E: Engine> {
    source: Source<E>,
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    /// How long a read may wait.
    timeout: Duration,
    /// For reads here.
    reads: Arc<Rounds<()>>,
    /// For other members, which wait themselves until they have applied what they are told.
    confirmations: Arc<Rounds<u64>>,
}

/// Rounds that follow one another.
struct Rounds<T> {
    /// The round that has not begun and can still be joined.
    next: Mutex<Option<Round<T>>>,
    /// Held by the round in flight.
    turn: tokio::sync::Mutex<()>,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self { next: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Rounds<T> {
    async fn join<F>(self: &Arc<Self>, round: impl FnOnce() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let joined = {
            let mut next = self.next.lock();
            next.get_or_insert_with(|| {
                let (rounds, round) = (self.clone(), round());
                async move {
                    let _turn = rounds.turn.lock().await;
                    // From here on it is too late to join: an acknowledgement might fall between.
                    rounds.next.lock().take();
                    round.await
                }
                .boxed()
                .shared()
            })
            .clone()
        };
        joined.await
    }
}

/// Where read indexes come from.
struct Source<E: Engine> {
    raft: Raft<TypeConfig, StateMachine<E>>,
    leader: LeaderWatch,
    links: Links,
    /// The index of the last entry applied here.
    applied: watch::Receiver<u64>,
}

impl<E: Engine> Clone for Source<E> {
    fn clone(&self) -> Self {
        Self {
            raft: self.raft.clone(),
            leader: self.leader.clone(),
            links: self.links.clone(),
            applied: self.applied.clone(),
        }
    }
}

impl<E: Engine> ReadIndex<E> {
    /// Rounds of `raft`.
    pub fn new(
        raft: Raft<TypeConfig, StateMachine<E>>,
        leader: LeaderWatch,
        links: Links,
        applied: watch::Receiver<u64>,
        timeout: Duration,
    ) -> Self {
        let metrics = raft.metrics();
        let source = Source { raft, leader, links, applied };
        Self { source, metrics, timeout, reads: Arc::default(), confirmations: Arc::default() }
    }

    /// Returns once what this node has applied includes everything acknowledged before the call.
    ///
    /// # Errors
    /// [`StoreError::Timeout`] when no leader that has a majority confirms it in time.
    pub async fn wait(&self) -> Result<(), StoreError> {
        if self.is_alone() {
            return Ok(());
        }
        let round = || self.source.clone().caught_up();
        tokio::time::timeout(self.timeout, self.reads.join(round)).await.unwrap_or(Err(StoreError::Timeout))
    }

    /// Whether this node is the only one that can acknowledge a write, and so knows all of them: it leads, it is the only
    /// voter, and it has applied what earlier terms left. Nobody else can become leader or voter without its vote. A
    /// write is acknowledged after it was applied, so what can be read now is all there is.
    fn is_alone(&self) -> bool {
        let metrics = self.metrics.borrow_watched();
        let [voters] = &metrics.membership_config.membership().get_joint_config()[..] else { return false };
        metrics.running_state.is_ok()
            && metrics.current_leader == Some(metrics.id)
            && metrics.last_applied.is_some_and(|applied| applied.leader_id.term == metrics.current_term)
            && voters.len() == 1
            && voters.contains(&metrics.id)
    }

    /// The log index that a consistent read has to wait for.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`] when this node does not lead.
    pub async fn confirm(&self) -> Result<u64, StoreError> {
        let round = || {
            let source = self.source.clone();
            async move {
                let confirmed = source.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
                confirmed.map(|confirmed| confirmed.read_log_id().index()).map_err(|error| refusal(&error))
            }
        };
        self.confirmations.join(round).await
    }
}

impl<E: Engine> Source<E> {
    /// Tries until somebody confirms; the caller sets the deadline.
    async fn caught_up(mut self) -> Result<(), StoreError> {
        loop {
            let leader = *self.leader.borrow_and_update();
            let tried = if leader == 0 {
                Err(StoreError::NoLeader)
            } else if leader == *self.raft.node_id() {
                self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map(drop).map_err(|error| refusal(&error))
            } else {
                self.ask(leader).await
            };
            match tried {
                Err(StoreError::NoLeader | StoreError::NotLeader | StoreError::Timeout) => {
                    tokio::select! {
                        changed = self.leader.changed() => changed.map_err(|_| StoreError::Stopped)?,
                        () = tokio::time::sleep(limits::READ_INDEX_AGAIN_AFTER) => {}
                    }
                }
                done => return done,
            }
        }
    }

    /// Asks the leader for the index, and waits until it is applied here.
    async fn ask(&self, leader: u64) -> Result<(), StoreError> {
        let member = member(&self.raft, leader).ok_or(StoreError::NoLeader)?;
        let index = self.links.to(leader, &member).read_index().await.map_err(|error| match error {
            LinkError::Refused(error) => error,
            LinkError::Unreachable(_) | LinkError::Lost(_) => StoreError::NoLeader,
        })?;
        let mut applied = self.applied.clone();
        applied.wait_for(|applied| *applied >= index).await.map(drop).map_err(|_| StoreError::Stopped)
    }
}

/// A member, as the newest membership has it.
pub fn member<E: Engine>(raft: &Raft<TypeConfig, StateMachine<E>>, id: u64) -> Option<Member> {
    use openraft::async_runtime::WatchReceiver;
    raft.server_metrics().borrow_watched().membership_config.get_node(&id).cloned()
}

fn refusal(error: &RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> StoreError {
    match error {
        RaftError::APIError(LinearizableReadError::ForwardToLeader(_)) => StoreError::NotLeader,
        RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => StoreError::Timeout,
        RaftError::Fatal(_) => StoreError::Stopped,
    }
}
