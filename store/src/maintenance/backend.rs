//! What etcd keeps in which bucket of its database, and how (`server/storage/schema`, `server/storage/mvcc`).

use pintle_proto::mvccpb::KeyValue;
use prost::Message;
use serde::Serialize;

use crate::engine::schema::Change;
use crate::mvcc::Revision;
use crate::raft::ClusterState;

/// Raised alarms: an `etcdserverpb.AlarmMember` -> nothing.
pub const ALARM: &[u8] = b"alarm";
/// Whether authentication is on, and the auth revision.
pub const AUTH: &[u8] = b"auth";
/// Name -> `authpb.Role`.
pub const AUTH_ROLES: &[u8] = b"authRoles";
/// Name -> `authpb.User`.
pub const AUTH_USERS: &[u8] = b"authUsers";
/// The version that all members speak.
pub const CLUSTER: &[u8] = b"cluster";
/// Revision -> `mvccpb.KeyValue`: the history.
pub const KEY: &[u8] = b"key";
/// Id -> `leasepb.Lease`.
pub const LEASE: &[u8] = b"lease";
/// Id in hexadecimal -> the member as JSON.
pub const MEMBERS: &[u8] = b"members";
/// Ids of members that were removed.
pub const MEMBERS_REMOVED: &[u8] = b"members_removed";
/// Where raft and compaction stand.
pub const META: &[u8] = b"meta";

/// In [`AUTH`]: one byte, 1 or 0.
pub const AUTH_ENABLED: &[u8] = b"authEnabled";
/// In [`AUTH`]: 8 bytes, big-endian.
pub const AUTH_REVISION: &[u8] = b"authRevision";
/// In [`CLUSTER`].
pub const CLUSTER_VERSION: &[u8] = b"clusterVersion";
/// In [`META`]: the members as raft knows them, as JSON.
pub const CONF_STATE: &[u8] = b"confState";
/// In [`META`]: the index of the last applied entry, 8 bytes, big-endian.
pub const CONSISTENT_INDEX: &[u8] = b"consistent_index";
/// In [`META`]: the term of that entry, 8 bytes, big-endian.
pub const TERM: &[u8] = b"term";
/// In [`META`]: the revision up to which what was compacted is gone.
pub const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
/// In [`META`]: the compacted revision.
pub const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";
/// In [`META`]: the version of etcd that this layout is of.
pub const STORAGE_VERSION: &[u8] = b"storageVersion";

/// Bytes of a revision in a key.
const REVISION_BYTES: usize = 17;
/// Parts `main` from `sub`.
const SEPARATOR: u8 = b'_';
/// Follows the revision of a deletion.
const TOMBSTONE: u8 = b't';

/// A revision as a key of [`KEY`], or as a value of [`META`].
pub fn revision_key(revision: Revision, is_deletion: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(REVISION_BYTES + 1);
    key.extend(revision.main.to_be_bytes());
    key.push(SEPARATOR);
    key.extend(u64::from(revision.sub).to_be_bytes());
    if is_deletion {
        key.push(TOMBSTONE);
    }
    key
}

/// Reads what [`revision_key`] wrote: the revision, and whether it deleted its key. None of anything else.
pub fn parse_revision_key(key: &[u8]) -> Option<(Revision, bool)> {
    let (main, rest) = key.split_first_chunk()?;
    let (separator, rest) = rest.split_first()?;
    let (sub, mark) = rest.split_first_chunk()?;
    let revision = Revision {
        main: Some(i64::from_be_bytes(*main)).filter(|main| *main >= 0)?,
        sub: u32::try_from(u64::from_be_bytes(*sub)).ok()?,
    };
    match (*separator, mark) {
        (SEPARATOR, []) => Some((revision, false)),
        (SEPARATOR, [TOMBSTONE]) => Some((revision, true)),
        _ => None,
    }
}

/// A change as a value of [`KEY`].
pub fn encode_change(key: bytes::Bytes, change: Change) -> Vec<u8> {
    let kv = match change {
        Change::Put(record) => record.into_key_value(key),
        Change::Delete => KeyValue { key, ..KeyValue::default() },
    };
    kv.encode_to_vec()
}

/// A value of [`LEASE`]: etcd's `leasepb.Lease`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LeaseValue {
    /// The lease's id.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Seconds it was granted for.
    #[prost(int64, tag = "2")]
    pub granted_ttl_seconds: i64,
    /// Seconds left at the last checkpoint; 0 is all of them.
    #[prost(int64, tag = "3")]
    pub remaining_ttl_seconds: i64,
}

/// A value of [`MEMBERS`].
#[derive(Serialize)]
pub struct MemberValue<'a> {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: &'a [String],
    #[serde(rename = "isLearner", skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(rename = "clientURLs", skip_serializing_if = "<[_]>::is_empty")]
    client_urls: &'a [String],
}

/// The members as [`MEMBERS`] holds them.
pub fn members(cluster: &ClusterState) -> impl Iterator<Item = (String, MemberValue<'_>)> {
    cluster.members.iter().map(|(id, member, is_learner)| {
        let value = MemberValue {
            id: *id,
            peer_urls: &member.peer_urls,
            is_learner: *is_learner,
            name: &member.name,
            client_urls: &member.client_urls,
        };
        (format!("{id:x}"), value)
    })
}

/// The value of [`CONF_STATE`].
#[derive(Serialize)]
pub struct ConfState {
    voters: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learners: Vec<u64>,
    auto_leave: bool,
}

impl From<&ClusterState> for ConfState {
    fn from(cluster: &ClusterState) -> Self {
        let ids = |learners| {
            let members = cluster.members.iter().filter(move |(_, _, is_learner)| *is_learner == learners);
            members.map(|(id, _, _)| *id).collect()
        };
        Self { voters: ids(false), learners: ids(true), auto_leave: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_written_as_etcd_does() {
        let revision = Revision { main: 0x37, sub: 2 };
        assert_eq!(revision_key(revision, true), b"\0\0\0\0\0\0\0\x37_\0\0\0\0\0\0\0\x02t");
        for is_deletion in [false, true] {
            assert_eq!(parse_revision_key(&revision_key(revision, is_deletion)), Some((revision, is_deletion)));
        }
        for bad in [&b""[..], b"\0\0\0\0\0\0\0\x37", b"\0\0\0\0\0\0\0\x37-\0\0\0\0\0\0\0\x02", &[0xff; 17]] {
            assert_eq!(parse_revision_key(bad), None);
        }
        assert_eq!(parse_revision_key(b"\0\0\0\0\0\0\0\x37_\0\0\0\0\0\0\0\x02x"), None);
    }
}
