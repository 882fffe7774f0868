//! Reading the store at one moment.

use std::sync::Arc;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};

use super::directory::{Directories, Directory};
use super::hash::{self, KeysHash};
use super::head::Head;
use super::range::Source;
use super::{past, txn};
use crate::engine::schema::{self, Change, LeaseRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};

/// A consistent view: data and revision come from the same snapshot, so header and contents agree without a lock.
pub struct View<'a, R> {
    reader: R,
    head: Head,
    directory: Option<Arc<Directory>>,
    directories: &'a Directories,
}

/// A lease and what is known of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The lease's id.
    pub id: i64,
    /// Seconds it was granted for.
    pub granted_ttl_seconds: i64,
    /// Seconds left at the last checkpoint; 0 is all of them.
    pub remaining_ttl_seconds: i64,
}

/// A piece of history.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The selected events of whole transactions, in order.
    pub events: Vec<Event>,
    /// The revision to go on from; one after the view's when all of it was seen.
    pub next: i64,
}

impl<'a, R: Reader> View<'a, R> {
    /// Looks through `reader`, whose head may be known.
    pub fn new(reader: R, head: Option<Head>, directories: &'a Directories) -> Result<Self> {
        let head = head.map_or_else(|| Head::read(&reader), Ok)?;
        Ok(Self { directory: directories.at(head.revision), reader, head, directories })
    }

    /// Where the store stood.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The main revision of the last change.
    pub fn revision(&self) -> i64 {
        self.head.revision
    }

    /// The revision below which nothing can be read; -1 before the first compaction.
    pub fn compacted(&self) -> i64 {
        self.head.compacted
    }

    /// Answers a range request. Check it first ([`check::range`](super::check::range)).
    pub fn range(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse> {
        self.source().range(request)
    }

    /// Answers a transaction that only reads ([`txn::is_read_only`]). Check it first
    /// ([`check::txn`](super::check::txn)).
    pub fn txn(&self, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
        txn::read(&self.source(), request)
    }

    /// The events of the keys that `select` names, from the revision `from` on, for a watcher to catch up. Looks at
    /// whole transactions until those seen have more than `max_bytes` of keys and values; call again from
    /// [`Replay::next`].
    ///
    /// An event that is not a creation carries the state before it if `with_previous` is set and compaction has left
    /// it, as in etcd.
    pub fn history(
        &self,
        from: i64,
        max_bytes: usize,
        with_previous: bool,
        mut select: impl FnMut(&[u8]) -> bool,
    ) -> Result<Replay> {
        if from < self.head.compacted {
            return Err(StoreError::Compacted);
        }
        let mut replay = Replay { events: Vec::new(), next: self.head.revision.saturating_add(1).max(from) };
        let mut bytes = 0;
        let mut last = from;
        past::changes(&self.reader, from, self.head.revision, |revision, record| {
            if bytes > max_bytes && revision.main > last {
                replay.next = revision.main;
                return Ok(false);
            }
            last = revision.main;
            bytes += record.key.len();
            if let Change::Put(state) = &record.change {
                bytes += state.value.len();
            }
            if select(&record.key) {
                let created = matches!(&record.change, Change::Put(state) if state.created == revision.main);
                let readable = with_previous && !created && revision.main > self.head.compacted;
                let previous =
                    if readable { past::state_before(&self.reader, &record.key, revision.main)? } else { None };
                let key = record.key;
                let prev_kv = previous.map(|state| state.into_key_value(key.clone()));
                let (kind, kv) = match record.change {
                    Change::Put(state) => (EventType::Put, state.into_key_value(key)),
                    Change::Delete => {
                        (EventType::Delete, KeyValue { key, mod_revision: revision.main, ..KeyValue::default() })
                    }
                };
                replay.events.push(Event { r#type: kind.into(), kv: Some(kv), prev_kv });
            }
            Ok(true)
        })?;
        Ok(replay)
    }

    /// All leases, by id.
    pub fn leases(&self) -> Result<Vec<Lease>> {
        let mut leases = Vec::new();
        let mut cursor = self.reader.scan(Column::Leases, &Span::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.entry() {
            leases.push(Lease::new(schema::parse_lease_key(key)?, LeaseRecord::decode(value)?));
            cursor.advance()?;
        }
        Ok(leases)
    }

    /// The keys a lease holds, in order.
    pub fn lease_keys(&self, id: i64) -> Result<Vec<Bytes>> {
        attached_keys(&self.reader, id)
    }

    /// The version that the cluster is to be downgraded to.
    pub fn downgrade_target(&self) -> Result<Option<String>> {
        let target = self.reader.get(Column::Meta, schema::meta::DOWNGRADE)?;
        Ok(target.map(|version| String::from_utf8_lossy(&version).into_owned()))
    }

    /// The alarms that members raised.
    pub fn alarms(&self) -> Result<Vec<pb::AlarmMember>> {
        raised_alarms(&self.reader)
    }

    /// Hashes the keys at a revision; 0 is the present. Reads all of their history.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::FutureRevision`] if the revision cannot be read.
    pub fn hash_keys(&self, revision: i64) -> Result<KeysHash> {
        hash::keys(&self.reader, &self.head, revision)
    }

    /// Hashes everything that members share, at present.
    pub fn hash_everything(&self) -> Result<u32> {
        hash::everything(&self.reader, &self.head)
    }

    fn source(&self) -> Source<'_, R> {
        Source {
            reader: &self.reader,
            revision: self.head.revision,
            compacted: self.head.compacted,
            directory: self.directory.as_deref(),
            directories: self.directories,
        }
    }
}

impl Lease {
    fn new(id: i64, record: LeaseRecord) -> Self {
        let LeaseRecord { granted_ttl_seconds, remaining_ttl_seconds } = record;
        Self { id, granted_ttl_seconds, remaining_ttl_seconds }
    }
}

/// The keys a lease holds, in order.
pub(crate) fn attached_keys(reader: &impl Reader, lease: i64) -> Result<Vec<Bytes>> {
    let mut keys = Vec::new();
    let mut cursor = reader.scan(Column::Attachments, &Span::prefix(&schema::lease_key(lease)), Direction::Forward)?;
    while let Some((key, _)) = cursor.entry() {
        keys.push(Bytes::copy_from_slice(schema::parse_attachment_key(key)?));
        cursor.advance()?;
    }
    Ok(keys)
}

/// All raised alarms, by member.
pub(crate) fn raised_alarms(reader: &impl Reader) -> Result<Vec<pb::AlarmMember>> {
    let mut alarms = Vec::new();
    let mut cursor = reader.scan(Column::Alarms, &Span::all(), Direction::Forward)?;
    while let Some((key, _)) = cursor.entry() {
        let (member_id, alarm) = schema::parse_alarm_key(key)?;
        alarms.push(pb::AlarmMember { member_id, alarm });
        cursor.advance()?;
    }
    Ok(alarms)
}
