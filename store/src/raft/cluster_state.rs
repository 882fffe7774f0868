//! Raft's part of a state database: how far it has come and whose it is. What is taken into a backup, and what a data
//! directory made of a backup begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use openraft::vote::RaftLeaderIdExt;
use openraft::{Membership, Vote};
use prost::Message;

use super::log_store::{LogBounds, LogStore};
use super::log_writer::{LogDisk, PURGED, VOTE};
use super::membership::{Member, cluster_id};
use super::node::{IDENTITY, Identity, StartError, check_log};
use super::record::{LogIdRecord, VoteRecord};
use super::state_machine::Applied;
use super::{LogId, StoredMembership};
use crate::engine::{Column, Durability, Engine, EngineError, Reader, WriteBatch};

/// The term in which a cluster made of a backup begins; etcd's, too.
const FIRST_TERM: u64 = 1;

/// How far a state has come, and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// Index of the last applied entry.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The members by id, each with whether it is a learner.
    pub members: Vec<(u64, Member, bool)>,
}

impl ClusterState {
    /// Reads it from a state database.
    pub fn read(reader: &impl Reader) -> Result<Self, EngineError> {
        let Applied { last, membership } = Applied::read(reader)?;
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let members = membership.nodes().map(|(id, member)| (*id, member.clone(), !voters.contains(id))).collect();
        Ok(Self { index: last.map_or(0, |last| last.index), term: last.map_or(0, |last| last.leader_id.term), members })
    }
}

/// Makes the two databases those of a member of a new cluster, whose state has come from elsewhere: as if the entries
/// that brought it there had been applied and purged. So whoever joins later is sent the state, too.
///
/// Every member of the cluster must begin with the same state and the same `members`.
pub fn found<E: Engine>(log: &E, state: &E, member: u64, members: &BTreeMap<u64, Member>) -> Result<(), EngineError> {
    let leader = openraft::impls::leader_id_std::LeaderId::new_committed(FIRST_TERM, 0);
    // As if each member had been added by an entry, as etcd has it.
    let last = LogId::new(leader, members.len() as u64);
    let voters = vec![members.keys().copied().collect()];
    let membership = Membership::new(voters, members.clone())
        .map_err(|error| EngineError(format!("these members make no cluster: {error}")))?;
    let applied = Applied { last: Some(last), membership: StoredMembership::new(Some(last), membership) };
    let mut batch = WriteBatch::new();
    applied.store(&mut batch);
    state.write(&batch, Durability::Buffered)?;
    state.flush()?;

    let identity = Identity { cluster_id: cluster_id(members), member_id: member };
    let vote: super::Vote = Vote::new(FIRST_TERM, member);
    let mut batch = WriteBatch::new();
    batch.put(Column::Vote, IDENTITY, identity.encode_to_vec());
    batch.put(Column::Vote, VOTE, VoteRecord::from(&vote).encode_to_vec());
    batch.put(Column::Vote, PURGED, LogIdRecord::from(&last).encode_to_vec());
    log.write(&batch, Durability::Synced)
}

/// Checks that a stopped member's log is whole, and that log and state belong together. Returns the indexes of the
/// first entry in the log and of the one after the last.
///
/// # Errors
/// What [`Node::start`](super::node::Node::start) would refuse to start with.
pub fn inspect<E: Engine>(log: Arc<E>, state: &E) -> Result<Range<u64>, StartError> {
    let log = LogStore::open(log, LogBounds::default(), LogDisk::default())?;
    check_log(&log, &Applied::load(state)?)?;
    let after = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
    Ok(after(log.purged())..after(log.last()))
}
