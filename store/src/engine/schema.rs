//! What is stored where: the columns of both databases and the encoding of their keys and values.
//!
//! Integers in keys are big-endian so that byte order is numeric order; integers in values are big-endian too, for one
//! rule. Keys of clients may hold any byte.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pintle_proto::mvccpb::KeyValue;

use crate::error::{Result, StoreError};
use crate::mvcc::revision::Revision;

/// A column family. The first group belongs to the `state/` database, the second to `raft/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// key -> create, mod, version, lease, value: the present state.
    Live,
    /// (main, sub) -> event: what happened, in order.
    History,
    /// escaped key, inverted revision -> kind: where a key's past is found in `History`.
    Versions,
    /// lease id -> granted and remaining TTL.
    Leases,
    /// lease id, key -> nothing: which keys a lease holds.
    Attachments,
    /// first key of a block of live keys -> how many it has: the directory of counts.
    Counts,
    /// Members of the cluster.
    Members,
    /// Alarms that are raised.
    Alarms,
    /// Users, roles, and whether they count.
    Auth,
    /// Revision, watermarks, sizes, applied index.
    Meta,
    /// Raft log entries.
    Log,
    /// Raft vote and log bounds.
    Vote,
}

impl Column {
    /// How many columns there are.
    pub const COUNT: usize = 12;
    /// The columns of the `state/` database.
    pub const STATE: &'static [Column] = &[
        Column::Live,
        Column::History,
        Column::Versions,
        Column::Leases,
        Column::Attachments,
        Column::Counts,
        Column::Members,
        Column::Alarms,
        Column::Auth,
        Column::Meta,
    ];
    /// The columns of the `raft/` database.
    pub const RAFT: &'static [Column] = &[Column::Log, Column::Vote];

    /// The column's name on disk. Never change one.
    pub fn name(self) -> &'static str {
        match self {
            Column::Live => "live",
            Column::History => "history",
            Column::Versions => "versions",
            Column::Leases => "leases",
            Column::Attachments => "attachments",
            Column::Counts => "counts",
            Column::Members => "members",
            Column::Alarms => "alarms",
            Column::Auth => "auth",
            Column::Meta => "meta",
            Column::Log => "log",
            Column::Vote => "vote",
        }
    }
}

/// A key's present state, as [`Column::Live`] holds it under the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRecord {
    /// Main revision at which the key was created.
    pub created: i64,
    /// Main revision of the last change.
    pub modified: i64,
    /// Changes since it was created, from 1.
    pub version: i64,
    /// The lease that holds the key; 0 is none.
    pub lease: i64,
    /// The value.
    pub value: Bytes,
}

impl LiveRecord {
    /// The bytes [`Self::decode`] reads.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4 * size_of::<i64>() + self.value.len());
        out.put_i64(self.created);
        out.put_i64(self.modified);
        out.put_i64(self.version);
        out.put_i64(self.lease);
        out.put_slice(&self.value);
        out.freeze()
    }

    /// Reads a record; the value shares memory with `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self> {
        let damaged = |_| StoreError::CorruptData("live record is cut short");
        Ok(Self {
            created: bytes.try_get_i64().map_err(damaged)?,
            modified: bytes.try_get_i64().map_err(damaged)?,
            version: bytes.try_get_i64().map_err(damaged)?,
            lease: bytes.try_get_i64().map_err(damaged)?,
            value: bytes,
        })
    }

    /// The main revision of the last change, read from an encoded record.
    pub fn modified(bytes: &[u8]) -> Option<i64> {
        bytes.get(size_of::<i64>()..)?.first_chunk().map(|field| i64::from_be_bytes(*field))
    }

    /// The part of an encoded record that precedes its value; itself the record of an empty value.
    pub fn without_value(bytes: &[u8]) -> &[u8] {
        bytes.get(..4 * size_of::<i64>()).unwrap_or(bytes)
    }

    /// As clients see it.
    pub fn into_key_value(self, key: Bytes) -> KeyValue {
        KeyValue {
            key,
            create_revision: self.created,
            mod_revision: self.modified,
            version: self.version,
            value: self.value,
            lease: self.lease,
        }
    }
}

/// What one change did to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this state now.
    Put(LiveRecord),
    /// The key is gone.
    Delete,
}

/// One change, as [`Column::History`] holds it under its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRecord {
    /// The key that changed.
    pub key: Bytes,
    /// What happened to it.
    pub change: Change,
    /// Bytes of history that no reader at this revision or later needs: what all changes up to and including this one
    /// superseded, since the store began. Compacting to a revision frees what its last change says.
    pub superseded_bytes: u64,
}

/// Byte that marks a put, in history records and in [`Column::Versions`].
const KIND_PUT: u8 = 1;
/// Byte that marks a deletion.
const KIND_DELETE: u8 = 2;

impl HistoryRecord {
    /// The bytes [`Self::decode`] reads, given the same revision.
    pub fn encode(&self) -> Bytes {
        let value_len = if let Change::Put(record) = &self.change { record.value.len() } else { 0 };
        let mut out = BytesMut::with_capacity(48 + self.key.len() + value_len);
        out.put_u8(if matches!(self.change, Change::Put(_)) { KIND_PUT } else { KIND_DELETE });
        out.put_u64(self.superseded_bytes);
        out.put_u64(self.key.len() as u64);
        out.put_slice(&self.key);
        if let Change::Put(record) = &self.change {
            out.put_i64(record.created);
            out.put_i64(record.version);
            out.put_i64(record.lease);
            out.put_slice(&record.value);
        }
        out.freeze()
    }

    /// Reads the record of `revision`; key and value share memory with `bytes`.
    pub fn decode(revision: Revision, mut bytes: Bytes) -> Result<Self> {
        let damaged = |_| StoreError::CorruptData("history record is cut short");
        let kind = bytes.try_get_u8().map_err(damaged)?;
        let superseded_bytes = bytes.try_get_u64().map_err(damaged)?;
        let key_len = usize::try_from(bytes.try_get_u64().map_err(damaged)?)
            .ok()
            .filter(|length| *length <= bytes.len())
            .ok_or(StoreError::CorruptData("history record has an impossible key"))?;
        let key = bytes.split_to(key_len);
        let change = match kind {
            KIND_PUT => Change::Put(LiveRecord {
                created: bytes.try_get_i64().map_err(damaged)?,
                modified: revision.main,
                version: bytes.try_get_i64().map_err(damaged)?,
                lease: bytes.try_get_i64().map_err(damaged)?,
                value: bytes,
            }),
            KIND_DELETE => Change::Delete,
            _ => return Err(StoreError::CorruptData("history record of an unknown kind")),
        };
        Ok(Self { key, change, superseded_bytes })
    }
}

/// Bytes of a revision in a key.
const REVISION_BYTES: usize = 12;

/// The key of a change in [`Column::History`].
pub fn history_key(revision: Revision) -> Bytes {
    let mut out = BytesMut::with_capacity(REVISION_BYTES);
    out.put_i64(revision.main);
    out.put_u32(revision.sub);
    out.freeze()
}

/// Reads what [`history_key`] wrote.
pub fn parse_history_key(mut key: &[u8]) -> Result<Revision> {
    let damaged = |_| StoreError::CorruptData("history key is cut short");
    Ok(Revision { main: key.try_get_i64().map_err(damaged)?, sub: key.try_get_u32().map_err(damaged)? })
}

/// Ends an escaped key. Within it a 0 is followed by [`ESCAPED_ZERO`], so that a key sorts before those it begins.
const TERMINATOR: [u8; 2] = [0, 1];
/// Follows a 0 that belongs to the key.
const ESCAPED_ZERO: u8 = 0xff;

/// What the entries of `key` in [`Column::Versions`] begin with; sorts as the keys themselves do.
pub fn versions_prefix(key: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(key.len() + TERMINATOR.len() + REVISION_BYTES);
    escape(key, &mut out);
    out.put_slice(&TERMINATOR);
    out
}

/// The least possible entry of [`Column::Versions`] that belongs to `key` or a later key: a bound for scans.
pub fn versions_bound(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len());
    escape(key, &mut out);
    out.freeze()
}

fn escape(key: &[u8], out: &mut BytesMut) {
    for byte in key {
        out.put_u8(*byte);
        if *byte == 0 {
            out.put_u8(ESCAPED_ZERO);
        }
    }
}

/// Reads the key out of a [`versions_prefix`] into `key`, which is overwritten.
pub fn unescape(prefix: &[u8], key: &mut Vec<u8>) -> Result<()> {
    let damaged = StoreError::CorruptData("escaped key is damaged");
    key.clear();
    let Some(mut rest) = prefix.strip_suffix(&TERMINATOR) else { return Err(damaged) };
    while let [byte, after @ ..] = rest {
        key.push(*byte);
        rest = match (byte, after) {
            (0, [ESCAPED_ZERO, after @ ..]) => after,
            (0, _) => return Err(damaged),
            _ => after,
        };
    }
    Ok(())
}

/// The key of one version in [`Column::Versions`]: a key's newest version comes first.
pub fn versions_key(key: &[u8], revision: Revision) -> Bytes {
    let mut out = versions_prefix(key);
    out.put_slice(&inverted_revision(revision));
    out.freeze()
}

/// What ends a [`versions_key`]: the revision with every bit turned, so that newer sorts first.
pub fn inverted_revision(revision: Revision) -> [u8; REVISION_BYTES] {
    let mut out = [0; REVISION_BYTES];
    let (main, sub) = out.split_at_mut(size_of::<i64>());
    main.copy_from_slice(&(!revision.main).to_be_bytes());
    sub.copy_from_slice(&(!revision.sub).to_be_bytes());
    out
}

/// Turns a [`versions_prefix`] into a bound after every version of its key and before the next key's.
pub fn past_all_versions(prefix: &mut [u8]) {
    if let Some(last) = prefix.last_mut() {
        // Between the terminator's last byte and the escape that would continue the key.
        *last += 1;
    }
}

/// Splits a key of [`Column::Versions`] into its escaped key, terminator included, and the revision.
pub fn parse_versions_key(key: &[u8]) -> Result<(&[u8], Revision)> {
    let damaged = StoreError::CorruptData("versions key is cut short");
    let Some((prefix, mut revision)) = key.split_last_chunk::<REVISION_BYTES>().map(|(p, r)| (p, &r[..])) else {
        return Err(damaged);
    };
    Ok((prefix, Revision { main: !revision.get_i64(), sub: !revision.get_u32() }))
}

/// The value in [`Column::Versions`]: whether the change was a put.
pub fn versions_value(is_put: bool) -> Bytes {
    Bytes::from_static(if is_put { &[KIND_PUT] } else { &[KIND_DELETE] })
}

/// Reads what [`versions_value`] wrote: whether the change was a put.
pub fn parse_versions_value(value: &[u8]) -> Result<bool> {
    match value {
        [KIND_PUT] => Ok(true),
        [KIND_DELETE] => Ok(false),
        _ => Err(StoreError::CorruptData("version of an unknown kind")),
    }
}

/// A lease, as [`Column::Leases`] holds it under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Seconds it was granted for.
    pub granted_ttl_seconds: i64,
    /// Seconds that were left at the last checkpoint; 0 is all of them.
    pub remaining_ttl_seconds: i64,
}

impl LeaseRecord {
    /// The bytes [`Self::decode`] reads.
    pub fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(2 * size_of::<i64>());
        out.put_i64(self.granted_ttl_seconds);
        out.put_i64(self.remaining_ttl_seconds);
        out.freeze()
    }

    /// Reads a record.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let damaged = |_| StoreError::CorruptData("lease record is cut short");
        Ok(Self {
            granted_ttl_seconds: bytes.try_get_i64().map_err(damaged)?,
            remaining_ttl_seconds: bytes.try_get_i64().map_err(damaged)?,
        })
    }
}

/// The key of a lease in [`Column::Leases`], and what its keys in [`Column::Attachments`] begin with.
pub fn lease_key(id: i64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// Reads what [`lease_key`] wrote.
pub fn parse_lease_key(mut key: &[u8]) -> Result<i64> {
    key.try_get_i64().map_err(|_| StoreError::CorruptData("lease key is cut short"))
}

/// The key in [`Column::Attachments`] that says that `lease` holds `key`.
pub fn attachment_key(lease: i64, key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(size_of::<i64>() + key.len());
    out.put_i64(lease);
    out.put_slice(key);
    out.freeze()
}

/// The key that an [`attachment_key`] names.
pub fn parse_attachment_key(key: &[u8]) -> Result<&[u8]> {
    key.get(size_of::<i64>()..).ok_or(StoreError::CorruptData("attachment key is cut short"))
}

/// The value in [`Column::Counts`]: live keys in a block.
pub fn counts_value(keys: u32) -> Bytes {
    Bytes::copy_from_slice(&keys.to_be_bytes())
}

/// Reads what [`counts_value`] wrote.
pub fn parse_counts_value(mut value: &[u8]) -> Result<u32> {
    value.try_get_u32().map_err(|_| StoreError::CorruptData("block count is cut short"))
}

/// The key in [`Column::Alarms`] of an alarm of one member; its value is empty.
pub fn alarm_key(member: u64, alarm: i32) -> Bytes {
    let mut out = BytesMut::with_capacity(12);
    out.put_u64(member);
    out.put_i32(alarm);
    out.freeze()
}

/// Reads what [`alarm_key`] wrote.
pub fn parse_alarm_key(mut key: &[u8]) -> Result<(u64, i32)> {
    let damaged = |_| StoreError::CorruptData("alarm key is cut short");
    Ok((key.try_get_u64().map_err(damaged)?, key.try_get_i32().map_err(damaged)?))
}

/// Keys of [`Column::Auth`].
pub mod auth {
    use bytes::{BufMut, Bytes, BytesMut};

    use crate::error::{Result, StoreError};

    /// What is kept under a key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Record<'a> {
        /// Whether authentication is on: one byte, 1 or 0, as in etcd's bucket `auth`. Absent: off.
        Enabled,
        /// The auth revision, 8 bytes big-endian, as in etcd's bucket `auth`. Absent: 1.
        Revision,
        /// The user of this name: an `authpb.User`, as in etcd's bucket `authUsers`.
        User(&'a [u8]),
        /// The role of this name: an `authpb.Role`, as in etcd's bucket `authRoles`.
        Role(&'a [u8]),
    }

    /// The key of a record.
    pub fn key(record: Record<'_>) -> Bytes {
        let (kind, name): (u8, &[u8]) = match record {
            Record::Enabled => (1, &[]),
            Record::Revision => (2, &[]),
            Record::User(name) => (3, name),
            Record::Role(name) => (4, name),
        };
        let mut out = BytesMut::with_capacity(1 + name.len());
        out.put_u8(kind);
        out.put_slice(name);
        out.freeze()
    }

    /// Reads what [`key`] wrote.
    pub fn parse_key(key: &[u8]) -> Result<Record<'_>> {
        match key {
            [1] => Ok(Record::Enabled),
            [2] => Ok(Record::Revision),
            [3, name @ ..] => Ok(Record::User(name)),
            [4, name @ ..] => Ok(Record::Role(name)),
            _ => Err(StoreError::CorruptData("auth record of an unknown kind")),
        }
    }
}

/// Keys of [`Column::Meta`].
pub mod meta {
    /// The replicated [`Head`](crate::mvcc::head::Head).
    pub const HEAD: &[u8] = b"head";
    /// The version that the cluster is to be downgraded to; absent otherwise.
    pub const DOWNGRADE: &[u8] = b"downgrade";
    /// How far this node has dropped what compaction made obsolete: a main revision.
    pub const PRUNED: &[u8] = b"pruned";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Keys over few bytes, so that zeros, terminators and common prefixes meet.
    fn awkward_key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xfe), Just(0xff)], 0..6)
    }

    proptest! {
        #[test]
        fn versions_sort_by_key_then_newest_first(a in awkward_key(), b in awkward_key(), x in 0..9_i64, y in 0..9_i64) {
            let (x, y) = (Revision { main: x, sub: 3 }, Revision { main: y, sub: 3 });
            let stored = versions_key(&a, x).cmp(&versions_key(&b, y));
            prop_assert_eq!(stored, a.cmp(&b).then(y.cmp(&x)));
            let bound = versions_bound(&a);
            prop_assert_eq!(versions_key(&b, y) >= bound, b >= a);
        }

        #[test]
        fn versions_keys_come_apart_as_they_were_put_together(key in awkward_key(), main in any::<i64>(), sub in any::<u32>()) {
            let revision = Revision { main, sub };
            let stored = versions_key(&key, revision);
            let (prefix, parsed) = parse_versions_key(&stored).unwrap();
            prop_assert_eq!(prefix, &versions_prefix(&key)[..]);
            prop_assert_eq!(parsed, revision);
            let mut unescaped = Vec::new();
            unescape(prefix, &mut unescaped).unwrap();
            prop_assert_eq!(unescaped, key);
        }

        #[test]
        fn history_survives(key in awkward_key(), value in awkward_key(), numbers in any::<(i64, i64, i64, u64)>(), put in any::<bool>()) {
            let revision = Revision { main: 7, sub: 1 };
            let record = LiveRecord { created: numbers.0, modified: 7, version: numbers.1, lease: numbers.2, value: value.into() };
            let change = if put { Change::Put(record) } else { Change::Delete };
            let written = HistoryRecord { key: key.into(), change, superseded_bytes: numbers.3 };
            prop_assert_eq!(HistoryRecord::decode(revision, written.encode()).unwrap(), written);
        }

        #[test]
        fn damaged_records_are_errors_not_panics(bytes in vec(any::<u8>(), 0..40)) {
            let bytes = Bytes::from(bytes);
            let _ = LiveRecord::decode(bytes.clone());
            let _ = HistoryRecord::decode(Revision::default(), bytes.clone());
            let _ = LeaseRecord::decode(&bytes);
            let _ = parse_versions_key(&bytes);
            let _ = parse_history_key(&bytes);
        }
    }
}
