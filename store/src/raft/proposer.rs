//! Gathers proposals into batches: what queued while the last batch was on its way to disk is the next batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::Raft;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::{mpsc, oneshot};

use super::responder::Responder;
use super::state_machine::StateMachine;
use super::{Batch, TypeConfig};
use crate::apply::Reply;
use crate::apply::command::Proposal;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::limits;

/// The way into the log. Clones share one queue.
#[derive(Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Queued>,
    /// Bytes of the commands that wait or are on their way.
    queued_bytes: Arc<AtomicUsize>,
}

/// A proposal, and who waits for what becomes of it.
struct Queued {
    proposal: Proposal,
    client: Client,
}

/// Who waits. Gives its share of the queue back when it is answered or forgotten.
struct Client {
    answer: oneshot::Sender<Reply>,
    bytes: usize,
    queued_bytes: Arc<AtomicUsize>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Proposer {
    /// Starts proposing to `raft`. The task ends when the last clone of the proposer is gone.
    pub fn start<E: Engine>(raft: Raft<TypeConfig, StateMachine<E>>) -> Self {
        let (queue, proposals) = mpsc::channel(limits::PROPOSAL_QUEUE_COMMANDS);
        tokio::spawn(run(raft, proposals));
        Self { queue, queued_bytes: Arc::default() }
    }

    /// Replicates a command and returns what applying it gave.
    ///
    /// # Errors
    /// [`StoreError::TooManyRequests`] when the queue is full; [`StoreError::NoLeader`] and the like when this node
    /// does not lead; [`StoreError::Stopped`] when it is shutting down or has halted: then the command may yet be
    /// applied.
    pub async fn propose(&self, proposal: Proposal) -> Reply {
        let bytes = proposal.encoded_len();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let client = Client { answer, bytes, queued_bytes: self.queued_bytes.clone() };
        // One request is always let in, however large.
        if before > 0 && before.saturating_add(bytes) > limits::PROPOSAL_QUEUE_BYTES {
            return Err(StoreError::TooManyRequests);
        }
        self.queue.try_send(Queued { proposal, client }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopped,
        })?;
        answered.await.unwrap_or(Err(StoreError::Stopped))
    }
}

async fn run<E: Engine>(raft: Raft<TypeConfig, StateMachine<E>>, mut proposals: mpsc::Receiver<Queued>) {
    let mut held = None;
    loop {
        let first = match held.take() {
            Some(queued) => queued,
            None => match proposals.recv().await {
                Some(queued) => queued,
                None => return,
            },
        };
        let (batch, clients) = gather(first, &mut proposals, &mut held);
        let (committed, on_disk) = oneshot::channel::<()>();
        let responder = Responder::new(
            // Dropped unsent when the batch is refused, which frees the way just as well.
            move || {
                let _ = committed.send(());
            },
            move |result: ClientWriteResult<TypeConfig>| answer(clients, result),
        );
        if let Err(error) = raft.client_write_ff(Batch::new(batch), Some(responder)).await {
            // The clients were dropped with the responder: each hears that the server has stopped.
            tracing::debug!(%error, "raft has stopped");
            return;
        }
        // The next batch gathers while this one is replicated and synced, and is proposed while this one is applied.
        let _ = on_disk.await;
    }
}

/// Takes what has queued, up to the batch limit. The first proposal that does not fit is `held` for the next batch.
fn gather(
    first: Queued,
    proposals: &mut mpsc::Receiver<Queued>,
    held: &mut Option<Queued>,
) -> (Vec<Proposal>, Vec<Client>) {
    let mut bytes = first.client.bytes;
    let mut batch = vec![first.proposal];
    let mut clients = vec![first.client];
    while let Ok(next) = proposals.try_recv() {
        bytes = bytes.saturating_add(next.client.bytes);
        if bytes > limits::MAX_ENTRY_BYTES {
            *held = Some(next);
            break;
        }
        batch.push(next.proposal);
        clients.push(next.client);
    }
    (batch, clients)
}

fn answer(clients: Vec<Client>, result: ClientWriteResult<TypeConfig>) {
    let replies = match result {
        Ok(response) => response.data,
        Err(error) => {
            let error = refusal(&error);
            clients.iter().map(|_| Err(error.clone())).collect()
        }
    };
    for (mut client, reply) in clients.into_iter().zip(replies) {
        let (unused, _) = oneshot::channel();
        // A client that is gone needs no answer.
        let _ = std::mem::replace(&mut client.answer, unused).send(reply);
    }
}

fn refusal(error: &ClientWriteError<TypeConfig>) -> StoreError {
    match error {
        ClientWriteError::ForwardToLeader(forward) if forward.leader_id.is_none() => StoreError::NoLeader,
        ClientWriteError::ForwardToLeader(_) => StoreError::NotLeader,
        ClientWriteError::LogEntryDiscarded(_) => StoreError::LeaderChanged,
        ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => StoreError::Unhealthy,
    }
}
