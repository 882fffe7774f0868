//! Gathers proposals into batches: what queued while the last batch was on its way to disk is the next batch. On the
//! leader a batch becomes a log entry; elsewhere it is forwarded to the leader.
//!
//! A batch is proposed at most once, as far as anybody can tell: only when it certainly was not, it is tried again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::Raft;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep};

use super::leader::LeaderWatch;
use super::links::Links;
use super::network::{Link, LinkError, Proposed};
use super::responder::Responder;
use super::state_machine::StateMachine;
use super::{Batch, TypeConfig, read_index};
use crate::apply::Reply;
use crate::apply::command::{self, Proposal};
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

impl Client {
    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn answer(mut self, reply: Reply) {
        let (unused, _) = oneshot::channel();
        // A client that is gone needs no answer.
        let _ = std::mem::replace(&mut self.answer, unused).send(reply);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Proposer {
    /// Starts proposing to `raft`. The task ends when the last clone of the proposer is gone.
    pub fn start<E: Engine>(
        raft: Raft<TypeConfig, StateMachine<E>>,
        leader: LeaderWatch,
        links: Links,
        applied: watch::Receiver<u64>,
    ) -> Self {
        let (queue, proposals) = mpsc::channel(limits::PROPOSAL_QUEUE_COMMANDS);
        let (give_back, returned) = mpsc::unbounded_channel();
        let run = Run {
            queue: Queue { arriving: proposals, waiting: VecDeque::new() },
            raft,
            leader,
            links,
            applied,
            give_back,
            given_back: returned,
            in_flight: Arc::new(Semaphore::new(limits::PROPOSED_BATCHES)),
            gathering: Box::pin(tokio::time::sleep(limits::BATCH_GATHERING)),
        };
        tokio::spawn(run.run());
        Self { queue, queued_bytes: Arc::default() }
    }

    /// Replicates a command and returns what applying it gave. Waits for a leader while there is none, so it has to be
    /// given a deadline: if the returned future is dropped before the command was proposed, it never is.
    ///
    /// # Errors
    /// [`StoreError::TooManyRequests`] when the queue is full; [`StoreError::LeaderChanged`] when the entry was lost
    /// with its leader; [`StoreError::TimeoutConnectionLost`] when the leader's answer was lost, and
    /// [`StoreError::Stopped`] when this node is shutting down or has halted: then the command may yet be applied.
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

/// Proposes commands that another member gathered, as one entry, on a node that leads.
///
/// # Errors
/// [`StoreError::NotLeader`] when they were not proposed.
pub async fn propose_entry<E: Engine>(
    raft: &Raft<TypeConfig, StateMachine<E>>,
    entry: command::Entry,
) -> Result<Proposed, StoreError> {
    let (answer, answered) = oneshot::channel();
    let responder = Responder::new(
        || {},
        move |result: ClientWriteResult<TypeConfig>| {
            // Whoever asked may be gone.
            let _ = answer.send(result);
        },
    );
    let batch = Batch::new(entry.proposals);
    raft.client_write_ff(batch, Some(responder)).await.map_err(|_| StoreError::Stopped)?;
    match answered.await.map_err(|_| StoreError::Stopped)? {
        Ok(response) => Ok(Proposed { index: response.log_id.index, replies: response.data }),
        Err(ClientWriteError::ForwardToLeader(_)) => Err(StoreError::NotLeader),
        Err(error) => Err(refusal(&error)),
    }
}

/// Commands that share an entry, and who waits for them.
struct Bundle {
    batch: Batch,
    clients: Vec<Client>,
}

impl Bundle {
    fn answer(self, replies: Vec<Reply>) {
        for (client, reply) in self.clients.into_iter().zip(replies) {
            client.answer(reply);
        }
    }

    fn refuse(self, error: &StoreError) {
        for client in self.clients {
            client.answer(Err(error.clone()));
        }
    }

    /// What somebody still waits for; `None` if nobody waits for anything.
    fn without_gone(self) -> Option<Self> {
        if !self.clients.iter().any(Client::is_gone) {
            return Some(self);
        }
        let proposals = self.batch.proposals().iter().cloned();
        let (proposals, clients): (Vec<_>, Vec<_>) =
            proposals.zip(self.clients).filter(|(_, client)| !client.is_gone()).unzip();
        (!proposals.is_empty()).then(|| Self { batch: Batch::new(proposals), clients })
    }
}

/// Proposals that wait.
struct Queue {
    arriving: mpsc::Receiver<Queued>,
    /// Taken out of the channel, but not proposed yet.
    waiting: VecDeque<Queued>,
}

impl Queue {
    /// Returns when something waits; false when nothing ever will again.
    async fn is_filled(&mut self) -> bool {
        while self.waiting.is_empty() {
            let Some(queued) = self.arriving.recv().await else { return false };
            if !queued.client.is_gone() {
                self.waiting.push_back(queued);
            }
        }
        true
    }

    /// Takes what waits, up to the batch limit but at least one.
    fn gather(&mut self) -> Bundle {
        let (mut bytes, mut proposals, mut clients) = (0_usize, Vec::new(), Vec::new());
        while let Some(next) = self.waiting.pop_front().or_else(|| self.arriving.try_recv().ok()) {
            bytes = bytes.saturating_add(next.client.bytes);
            if bytes > limits::MAX_ENTRY_BYTES && !proposals.is_empty() {
                self.waiting.push_front(next);
                break;
            }
            proposals.push(next.proposal);
            clients.push(next.client);
        }
        Bundle { batch: Batch::new(proposals), clients }
    }

    /// Forgets what nobody waits for any more, so that it does not keep others out. What still arrives stays bounded by
    /// the queue's bytes and commands.
    fn forget_gone(&mut self) {
        while self.waiting.len() < limits::PROPOSAL_QUEUE_COMMANDS
            && let Ok(queued) = self.arriving.try_recv()
        {
            self.waiting.push_back(queued);
        }
        self.waiting.retain(|queued| !queued.client.is_gone());
    }
}

/// The task that proposes.
struct Run<E: Engine> {
    queue: Queue,
    raft: Raft<TypeConfig, StateMachine<E>>,
    leader: LeaderWatch,
    links: Links,
    /// The index of the last entry applied here.
    applied: watch::Receiver<u64>,
    /// What was certainly not proposed, to be tried again; bounded by `in_flight`.
    give_back: mpsc::UnboundedSender<Bundle>,
    given_back: mpsc::UnboundedReceiver<Bundle>,
    in_flight: Arc<Semaphore>,
    /// Until when commands gather. Kept, since it costs less to put a timer off than to make one.
    gathering: Pin<Box<Sleep>>,
}

impl<E: Engine> Run<E> {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                Some(bundle) = self.given_back.recv() => {
                    // Whoever refused it needs a moment to learn who leads.
                    tokio::time::sleep(limits::PROPOSE_AGAIN_AFTER).await;
                    if !self.propose(bundle).await { return }
                }
                filled = self.queue.is_filled() => {
                    if !filled { return }
                    // Before gathering: what queues while nobody leads shall share batches.
                    if !self.leader_known().await { return }
                    let bundle = self.queue.gather();
                    if !self.propose(bundle).await { return }
                }
            }
        }
    }

    /// Waits until somebody leads; false when the node stops.
    async fn leader_known(&mut self) -> bool {
        while *self.leader.borrow_and_update() == 0 {
            self.queue.forget_gone();
            tokio::select! {
                changed = self.leader.changed() => if changed.is_err() { return false },
                () = tokio::time::sleep(limits::LEADER_WAIT_TICK) => {}
            }
        }
        true
    }

    /// Proposes a bundle here or at the leader; false when the node stops.
    async fn propose(&mut self, bundle: Bundle) -> bool {
        if !self.leader_known().await {
            return false;
        }
        let Some(bundle) = bundle.without_gone() else { return true };
        let Ok(permit) = self.in_flight.clone().acquire_owned().await else { return false };
        let leader = *self.leader.borrow();
        if leader == *self.raft.node_id() {
            return self.propose_here(bundle, permit).await;
        }
        match read_index::member(&self.raft, leader) {
            Some(member) => self.forward(bundle, permit, self.links.to(leader, &member)),
            // It led, and was removed.
            None => give_back(&self.give_back, bundle),
        }
        true
    }

    async fn propose_here(&mut self, bundle: Bundle, permit: OwnedSemaphorePermit) -> bool {
        let batch = bundle.batch.clone();
        let again = self.give_back.clone();
        let (committed, on_disk) = oneshot::channel::<()>();
        let responder = Responder::new(
            // Dropped unsent when the batch is refused, which frees the way just as well.
            move || {
                let _ = committed.send(());
            },
            move |result: ClientWriteResult<TypeConfig>| {
                match result {
                    Ok(response) => bundle.answer(response.data),
                    Err(ClientWriteError::ForwardToLeader(_)) => give_back(&again, bundle),
                    Err(error) => bundle.refuse(&refusal(&error)),
                }
                drop(permit);
            },
        );
        if let Err(error) = self.raft.client_write_ff(batch, Some(responder)).await {
            // The clients were dropped with the responder: each hears that the server has stopped.
            tracing::debug!(%error, "raft has stopped");
            return false;
        }
        // The next batch gathers while this one is replicated and synced, and is proposed while this one is applied;
        // where members are far apart, it does not wait for their answers.
        self.gathering.as_mut().reset(Instant::now() + limits::BATCH_GATHERING);
        tokio::select! {
            biased;
            _ = on_disk => {}
            () = self.gathering.as_mut() => {}
        }
        true
    }

    fn forward(&self, bundle: Bundle, permit: OwnedSemaphorePermit, leader: Arc<dyn Link>) {
        let again = self.give_back.clone();
        let mut applied = self.applied.clone();
        tokio::spawn(async move {
            match leader.propose(bundle.batch.encode()).await {
                Ok(Proposed { index, replies }) => {
                    // Whoever is answered reads here what it wrote.
                    let here = applied.wait_for(|applied| *applied >= index);
                    if matches!(tokio::time::timeout(limits::FORWARD_TIMEOUT, here).await, Ok(Ok(_))) {
                        bundle.answer(replies);
                    } else {
                        bundle.refuse(&StoreError::Timeout);
                    }
                }
                Err(LinkError::Unreachable(_) | LinkError::Refused(StoreError::NotLeader | StoreError::NoLeader)) => {
                    give_back(&again, bundle);
                }
                Err(LinkError::Refused(error)) => bundle.refuse(&error),
                Err(LinkError::Lost(_)) => bundle.refuse(&StoreError::TimeoutConnectionLost),
            }
            drop(permit);
        });
    }
}

fn give_back(again: &mpsc::UnboundedSender<Bundle>, bundle: Bundle) {
    // If nobody proposes any more, the clients hear that the server has stopped.
    let _ = again.send(bundle);
}

fn refusal(error: &ClientWriteError<TypeConfig>) -> StoreError {
    match error {
        ClientWriteError::ForwardToLeader(forward) if forward.leader_id.is_none() => StoreError::NoLeader,
        ClientWriteError::ForwardToLeader(_) => StoreError::NotLeader,
        ClientWriteError::LogEntryDiscarded(_) => StoreError::LeaderChanged,
        ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => StoreError::Unhealthy,
    }
}
