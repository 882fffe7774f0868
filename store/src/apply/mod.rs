//! The replicated commands and the pure function that applies them.

pub mod command;

use pintle_proto::etcdserverpb as pb;

use crate::error::StoreError;

/// What a command that took effect is answered with, one variant a [`command::Command`]. Headers carry the revision; what
/// depends on the node (cluster, member, term) is filled in where the answer leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To a put.
    Put(pb::PutResponse),
    /// To a deletion.
    DeleteRange(pb::DeleteRangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To a compaction.
    Compact(pb::CompactionResponse),
    /// To a lease's creation.
    LeaseGrant(pb::LeaseGrantResponse),
    /// To a lease's end.
    LeaseRevoke(pb::LeaseRevokeResponse),
    /// To a lease's checkpoint.
    LeaseCheckpoint(pb::LeaseCheckpointResponse),
    /// To raising, clearing or listing alarms.
    Alarm(pb::AlarmResponse),
}

/// A command's answer. An error here is deterministic: every node comes to the same one, and the command counts as applied.
pub type Reply = Result<Response, StoreError>;
