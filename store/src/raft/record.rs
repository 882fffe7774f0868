//! How raft's own facts look on disk: protobuf messages, so that fields can be added without a new format version.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::vote::RaftLeaderIdExt;
use openraft::{EntryPayload, Membership};
use prost::Message;

use super::{Batch, Entry, LogId, Member, StoredMembership, Vote};
use crate::engine::EngineError;

/// Term and index of a log entry.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

/// A vote given, or won.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct VoteRecord {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(fixed64, tag = "2")]
    pub candidate: u64,
    #[prost(bool, tag = "3")]
    pub won: bool,
}

/// One entry of the raft log.
#[derive(Clone, PartialEq, Message)]
pub struct EntryRecord {
    #[prost(message, optional, tag = "1")]
    pub id: Option<LogIdRecord>,
    /// None: the blank entry with which a leader begins its term.
    #[prost(oneof = "PayloadRecord", tags = "2, 3")]
    pub payload: Option<PayloadRecord>,
}

/// What an entry carries.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum PayloadRecord {
    /// Commands, encoded by `apply::command`.
    #[prost(bytes = "bytes", tag = "2")]
    Batch(Bytes),
    #[prost(message, tag = "3")]
    Membership(MembershipRecord),
}

/// A configuration of the cluster: one set of voters, or two while it changes; who is in neither is a learner.
#[derive(Clone, PartialEq, Message)]
pub struct MembershipRecord {
    /// The entry that made it so; absent inside that entry itself.
    #[prost(message, optional, tag = "1")]
    pub id: Option<LogIdRecord>,
    #[prost(message, repeated, tag = "2")]
    pub configs: Vec<VotersRecord>,
    #[prost(message, repeated, tag = "3")]
    pub members: Vec<MemberRecord>,
}

/// One set of voters.
#[derive(Clone, PartialEq, Message)]
pub struct VotersRecord {
    #[prost(fixed64, repeated, tag = "1")]
    pub ids: Vec<u64>,
}

/// One member.
#[derive(Clone, PartialEq, Message)]
pub struct MemberRecord {
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

impl MemberRecord {
    fn new(id: u64, member: &Member) -> Self {
        let Member { name, peer_urls, client_urls, is_learner } = member.clone();
        Self { id, name, peer_urls, client_urls, is_learner }
    }

    fn into_member(self) -> (u64, Member) {
        let Self { id, name, peer_urls, client_urls, is_learner } = self;
        (id, Member { name, peer_urls, client_urls, is_learner })
    }
}

/// Decodes a record, naming it in the error.
pub fn decode<T: Message + Default>(what: &str, bytes: &[u8]) -> Result<T, EngineError> {
    T::decode(bytes).map_err(|error| EngineError(format!("{what} is corrupt: {error}")))
}

impl From<&LogId> for LogIdRecord {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(record: LogIdRecord) -> Self {
        // The node is not part of a committed leader's identity: a term has one leader.
        LogId::new(openraft::impls::leader_id_std::LeaderId::new_committed(record.term, 0), record.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, candidate: vote.leader_id.voted_for, won: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        if record.won {
            Vote::new_committed(record.term, record.candidate)
        } else {
            Vote::new(record.term, record.candidate)
        }
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(batch) => Some(PayloadRecord::Batch(batch.encode())),
            EntryPayload::Membership(membership) => Some(PayloadRecord::Membership(membership.into())),
        };
        Self { id: Some((&entry.log_id).into()), payload }
    }
}

impl EntryRecord {
    /// The entry that this is the record of.
    pub fn into_entry(self) -> Result<Entry, EngineError> {
        let id = self.id.ok_or_else(|| EngineError("a raft log entry has no id".to_owned()))?;
        let payload = match self.payload {
            None => EntryPayload::Blank,
            Some(PayloadRecord::Batch(bytes)) => EntryPayload::Normal(Batch::decode(bytes)?),
            Some(PayloadRecord::Membership(membership)) => EntryPayload::Membership(membership.try_into()?),
        };
        Ok(Entry { log_id: id.into(), payload })
    }
}

impl From<&Membership<u64, Member>> for MembershipRecord {
    fn from(membership: &Membership<u64, Member>) -> Self {
        let configs = membership.get_joint_config().iter();
        Self {
            id: None,
            configs: configs.map(|voters| VotersRecord { ids: voters.iter().copied().collect() }).collect(),
            members: membership.nodes().map(|(id, member)| MemberRecord::new(*id, member)).collect(),
        }
    }
}

impl TryFrom<MembershipRecord> for Membership<u64, Member> {
    type Error = EngineError;

    fn try_from(record: MembershipRecord) -> Result<Self, EngineError> {
        let configs: Vec<BTreeSet<u64>> = record.configs.into_iter().map(|v| v.ids.into_iter().collect()).collect();
        let members: BTreeMap<u64, Member> = record.members.into_iter().map(MemberRecord::into_member).collect();
        if configs.is_empty() {
            return Ok(Self::default());
        }
        Self::new(configs, members).map_err(|error| EngineError(format!("the stored membership is corrupt: {error}")))
    }
}

impl From<&StoredMembership> for MembershipRecord {
    fn from(stored: &StoredMembership) -> Self {
        Self { id: stored.log_id().as_ref().map(Into::into), ..stored.membership().into() }
    }
}

impl TryFrom<MembershipRecord> for StoredMembership {
    type Error = EngineError;

    fn try_from(record: MembershipRecord) -> Result<Self, EngineError> {
        let id = record.id.map(Into::into);
        Ok(Self::new(id, record.try_into()?))
    }
}
