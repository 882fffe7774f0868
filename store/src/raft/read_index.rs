//! Consistent reads: before one is served, this node makes sure that it still leads and has applied every write that
//! was acknowledged. One such round is in flight at a time; reads that arrive meanwhile share the next.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{Raft, ReadPolicy};
use parking_lot::Mutex;

use super::TypeConfig;
use super::state_machine::StateMachine;
use crate::engine::Engine;
use crate::error::StoreError;

type Round = Shared<BoxFuture<'static, Result<(), StoreError>>>;

/// Hands out rounds. Clones share them.
pub struct ReadIndex<E: Engine> {
    raft: Raft<TypeConfig, StateMachine<E>>,
    rounds: Arc<Rounds>,
}

#[derive(Default)]
struct Rounds {
    /// The round that has not begun and can still be joined.
    next: Mutex<Option<Round>>,
    /// Held by the round in flight.
    turn: tokio::sync::Mutex<()>,
}

impl<E: Engine> ReadIndex<E> {
    /// Rounds of `raft`.
    pub fn new(raft: Raft<TypeConfig, StateMachine<E>>) -> Self {
        Self { raft, rounds: Arc::default() }
    }

    /// Returns once what this node has applied includes everything acknowledged before the call.
    pub async fn wait(&self) -> Result<(), StoreError> {
        let round = self.rounds.next.lock().get_or_insert_with(|| self.round()).clone();
        round.await
    }

    fn round(&self) -> Round {
        let (raft, rounds) = (self.raft.clone(), self.rounds.clone());
        async move {
            let _turn = rounds.turn.lock().await;
            // From here on it is too late to join: an acknowledgement might fall between.
            rounds.next.lock().take();
            raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map(drop).map_err(|error| refusal(&error))
        }
        .boxed()
        .shared()
    }
}

fn refusal(error: &RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> StoreError {
    match error {
        RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) if forward.leader_id.is_none() => {
            StoreError::NoLeader
        }
        RaftError::APIError(LinearizableReadError::ForwardToLeader(_)) => StoreError::NotLeader,
        RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => StoreError::Timeout,
        RaftError::Fatal(_) => StoreError::Stopped,
    }
}
