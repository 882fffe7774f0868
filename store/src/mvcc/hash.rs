//! Hashes of the store's contents, by which members find out whether they agree.
//!
//! The hash of the keys is etcd's (`server/storage/mvcc/hash.go`): CRC-32C over the records of etcd's `key` bucket that
//! readers at the revision asked for may still need. It depends on what was written and compacted, not on how much of
//! the compacted history this node has dropped.

use prost::Message;

use super::head::Head;
use super::past;
use super::revision::Revision;
use crate::engine::schema::{Change, HistoryRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};

/// What etcd calls the bucket; its hash begins with it.
const BUCKET: &[u8] = b"key";

/// The columns besides the history whose contents all members share.
const SHARED: [Column; 3] = [Column::Leases, Column::Attachments, Column::Alarms];

/// The keys' hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysHash {
    /// CRC-32C.
    pub hash: u32,
    /// The revision up to which history was hashed.
    pub revision: i64,
    /// The compacted revision then. Hashes of the same revision agree only if this is the same.
    pub compacted: i64,
}

/// Hashes the keys at `revision`; 0 is the present.
///
/// # Errors
/// [`StoreError::Compacted`] and [`StoreError::FutureRevision`] if the revision cannot be read.
pub(super) fn keys(reader: &impl Reader, head: &Head, revision: i64) -> Result<KeysHash> {
    let compacted = head.compacted;
    if revision > head.revision {
        return Err(StoreError::FutureRevision);
    }
    if revision > 0 && revision < compacted {
        return Err(StoreError::Compacted);
    }
    if revision < 0 {
        // etcd hashes nothing then, and says so.
        return Ok(KeysHash { hash: crc32c::crc32c(BUCKET), revision, compacted });
    }
    let revision = if revision == 0 { head.revision } else { revision };
    // Of what precedes the compacted revision only the state at `revision` counts. Where no key is alive, etcd hashes
    // what its compaction left: the state at the compacted revision.
    let kept_at = if past::is_empty(reader, revision)? { compacted } else { revision };
    let mut hash = crc32c::crc32c(BUCKET);
    past::changes(reader, 0, revision, |at, record| {
        let counts = at.main > compacted
            || (matches!(record.change, Change::Put(_))
                && past::version_at(reader, &record.key, kept_at)? == Some((at, true)));
        if counts {
            hash = append(hash, at, record);
        }
        Ok(true)
    })?;
    Ok(KeysHash { hash, revision, compacted })
}

/// Hashes everything that members share: keys, leases, alarms.
pub(super) fn everything(reader: &impl Reader, head: &Head) -> Result<u32> {
    let mut hash = keys(reader, head, 0)?.hash;
    for column in SHARED {
        hash = crc32c::crc32c_append(hash, column.name().as_bytes());
        let mut cursor = reader.scan(column, &Span::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.entry() {
            hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value);
            cursor.advance()?;
        }
    }
    Ok(hash)
}

/// Goes on with one change, as etcd stores it: the revision, marked if it is a deletion, and the key-value message.
fn append(hash: u32, at: Revision, HistoryRecord { key, change, .. }: HistoryRecord) -> u32 {
    let mut revision = Vec::with_capacity(18);
    revision.extend_from_slice(&at.main.to_be_bytes());
    revision.push(b'_');
    revision.extend_from_slice(&u64::from(at.sub).to_be_bytes());
    let kv = match change {
        Change::Put(record) => record.into_key_value(key),
        Change::Delete => {
            revision.push(b't');
            pintle_proto::mvccpb::KeyValue { key, ..Default::default() }
        }
    };
    crc32c::crc32c_append(crc32c::crc32c_append(hash, &revision), &kv.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pintle_proto::etcdserverpb as pb;

    use super::super::Mvcc;
    use crate::apply::{Command, apply};
    use crate::engine::memory::MemoryEngine;
    use crate::error::StoreError;

    struct Script(Mvcc<MemoryEngine>);

    impl Script {
        fn new() -> Self {
            Self(Mvcc::open(Arc::new(MemoryEngine::new())).unwrap())
        }

        fn run(&self, command: Command) {
            self.0.write(|writer| apply(writer, &command.into()), |_| {}).unwrap().reply.unwrap();
        }

        fn put(&self, key: &str, value: &str) {
            let (key, value) = (key.to_owned().into(), value.to_owned().into());
            self.run(Command::Put(pb::PutRequest { key, value, ..Default::default() }));
        }

        fn delete(&self, key: &str, range_end: &str) {
            let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
            self.run(Command::DeleteRange(pb::DeleteRangeRequest { key, range_end, prev_kv: false }));
        }

        fn compact(&self, revision: i64) {
            self.run(Command::Compact(pb::CompactionRequest { revision, physical: false }));
        }

        fn hash(&self, revision: i64) -> u32 {
            self.0.view().unwrap().hash_keys(revision).unwrap().hash
        }
    }

    /// The values are those of etcd 3.7.1 after the same requests.
    #[test]
    fn hashes_are_etcds() {
        let store = Script::new();
        assert_eq!(store.hash(0), 1_084_519_789);
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "")] {
            store.put(key, value);
        }
        store.delete("b", "");
        store.put("b", "again");
        assert_eq!([store.hash(0), store.hash(3), store.hash(6)], [3_665_436_498, 1_827_592_406, 3_231_876_365]);
        store.compact(4);
        assert_eq!([store.hash(0), store.hash(6)], [1_428_155_764, 2_817_845_218]);
        store.compact(6);
        assert_eq!(store.hash(0), 420_757_209);
        store.delete("a", "z");
        assert_eq!(store.hash(0), 1_031_528_630);
    }

    #[test]
    fn what_was_dropped_from_disk_does_not_change_a_hash() {
        let store = Script::new();
        for round in 0..40 {
            for key in ["a", "b", "c", "d"] {
                store.put(key, &format!("{round}"));
            }
            store.delete(["a", "b", "c", "d"][round % 4], "");
        }
        store.compact(100);
        let revisions = [100, 101, 150, 0];
        let before = revisions.map(|revision| store.hash(revision));
        let everything = store.0.view().unwrap().hash_everything().unwrap();
        while !store.0.prune(7).unwrap().complete {
            assert_eq!(revisions.map(|revision| store.hash(revision)), before);
        }
        assert_eq!(revisions.map(|revision| store.hash(revision)), before);
        assert_eq!(store.0.view().unwrap().hash_everything().unwrap(), everything);
    }

    #[test]
    fn only_what_can_be_read_is_hashed() {
        let store = Script::new();
        for _ in 0..5 {
            store.put("a", "1");
        }
        store.compact(4);
        let view = store.0.view().unwrap();
        assert!(matches!(view.hash_keys(3), Err(StoreError::Compacted)));
        assert!(matches!(view.hash_keys(7), Err(StoreError::FutureRevision)));
        assert_eq!(view.hash_keys(6).unwrap(), view.hash_keys(0).unwrap());
        assert_eq!(view.hash_keys(4).unwrap().compacted, 4);
    }
}
