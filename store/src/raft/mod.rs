//! Raft: the replicated log, proposals and the state machine. The only module that names openraft.
//!
//! A write goes [`proposer`] -> raft core -> [`log_store`] (appended, synced by `log_writer`) -> committed ->
//! [`state_machine`] (applied, answered). A consistent read goes [`read_index`] -> the state the machine has applied.

mod batch;
mod cluster_state;
#[cfg(test)]
mod conformance;
pub mod leader;
mod links;
mod log_progress;
mod log_sizes;
pub mod log_store;
mod log_tail;
mod log_writer;
pub mod members;
pub mod membership;
pub mod network;
pub mod node;
pub mod peer;
pub mod proposer;
pub mod read_index;
mod receive;
pub mod reconfigure;
mod record;
mod responder;
pub mod snapshot;
pub mod state_machine;

use openraft::RaftTypeConfig;

pub use batch::Batch;
pub use cluster_state::{ClusterState, found, inspect};
pub use log_writer::LogDisk;
pub use membership::Member;

use crate::apply::Reply;

/// What openraft is instantiated with: at most one leader a term, as the Raft paper has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Batch;
    /// One reply a command of the batch, in its order.
    type R = Vec<Reply>;
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Batch, u64, Member>;
    type Entry = openraft::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    type Responder<T>
        = responder::Responder<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A log entry: its id and a batch of commands, a membership, or nothing.
pub type Entry = openraft::alias::EntryOf<TypeConfig>;
/// Term and index.
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// For whom this node voted, in which term, and whether that candidate won.
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
/// The members, and the log entry that made them so.
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
