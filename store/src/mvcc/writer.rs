//! One batch of commands being applied: reads its own writes, takes back what a failing command did, and ends as one
//! write batch for the engine.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};

use super::directory::{Directories, Directory};
use super::head::Head;
use super::overlay::Overlay;
use super::past;
use super::range::Source;
use super::revision::Revision;
use crate::auth::Rules;
use crate::engine::schema::{self, Change, HistoryRecord, LiveRecord, meta};
use crate::engine::{Column, Cursor, Direction, Reader, Span, WriteBatch};
use crate::error::Result;
use crate::limits::CHANGE_OVERHEAD_BYTES;

/// A batch under way. Commands run between [`Writer::begin`] and [`Writer::commit`] or [`Writer::abort`]; each is a
/// transaction with a revision of its own.
pub struct Writer<'a, R> {
    overlay: Overlay<'a, R>,
    directories: &'a Directories,
    head: Head,
    directory: Directory,
    /// Keys created (true) and deleted (false) by the present command, to be taken back if it fails.
    counted: Vec<(Bytes, bool)>,
    /// A key of each block that a batch made too large or emptied.
    unbalanced: BTreeSet<Bytes>,
    /// Where the blocks start whose counts a batch changed.
    recounted: BTreeSet<Bytes>,
    events: Vec<Event>,
    /// The head when the present command began.
    before: Head,
    rules: Rules,
    /// Whether the batch has changed the rules.
    rules_changed: bool,
    /// The rules when the present command began, if it has changed them.
    rules_before: Option<Rules>,
}

/// What a batch of commands comes to.
pub struct Written {
    /// All changes, the new head among them.
    pub batch: WriteBatch,
    /// Where the store stands after them.
    pub head: Head,
    /// The counts after them.
    pub directory: Directory,
    /// Who may do what after them; `None` if that has not changed.
    pub rules: Option<Rules>,
}

impl<'a, R: Reader> Writer<'a, R> {
    /// Begins a batch on top of `base`, whose live keys `directory` counts and where `rules` hold.
    pub fn new(base: &'a R, directories: &'a Directories, directory: Directory, rules: Rules) -> Result<Self> {
        let head = Head::read(base)?;
        Ok(Self {
            overlay: Overlay::new(base),
            directories,
            head,
            directory,
            counted: Vec::new(),
            unbalanced: BTreeSet::new(),
            recounted: BTreeSet::new(),
            events: Vec::new(),
            before: head,
            rules,
            rules_changed: false,
            rules_before: None,
        })
    }

    /// Begins a command.
    pub fn begin(&mut self) {
        self.overlay.savepoint();
        self.before = self.head;
        self.counted.clear();
        self.events.clear();
        self.rules_before = None;
    }

    /// Ends a command that succeeded; the revision moves if it changed a key. Returns its events, in order.
    pub fn commit(&mut self) -> Vec<Event> {
        self.head.revision = self.revision();
        self.rules_changed |= self.rules_before.is_some();
        for (key, _) in self.counted.drain(..) {
            self.recounted.insert(self.directory.block_start(&key));
            if self.directory.is_unbalanced(&key) {
                self.unbalanced.insert(key);
            }
        }
        std::mem::take(&mut self.events)
    }

    /// Ends a command that failed, as if it had never begun.
    pub fn abort(&mut self) {
        self.overlay.rollback();
        self.head = self.before;
        if let Some(before) = self.rules_before.take() {
            self.rules = before;
        }
        for (key, created) in self.counted.drain(..).rev() {
            if created { self.directory.remove(&key) } else { self.directory.insert(&key) }
        }
        self.events.clear();
    }

    /// Ends the batch.
    pub fn finish(mut self) -> Result<Written> {
        for key in std::mem::take(&mut self.unbalanced) {
            self.recounted.extend(self.directory.rebalance(&key, &self.overlay)?);
        }
        let mut batch = self.overlay.into_batch();
        self.directory.store_blocks(self.recounted, &mut batch);
        batch.put(Column::Meta, meta::HEAD, self.head.encode());
        let rules = self.rules_changed.then_some(self.rules);
        Ok(Written { batch, head: self.head, directory: self.directory, rules })
    }

    /// Where the store stands; within a command, as of its beginning except for sizes, leases and alarms.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The head, for changes that are not changes of keys.
    pub(crate) fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    /// Who may do what.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules, for a command that changes them.
    pub(crate) fn rules_mut(&mut self) -> &mut Rules {
        self.rules_before.get_or_insert_with(|| self.rules.clone());
        &mut self.rules
    }

    /// The revision that the present command reads at: one more than before once it has changed a key.
    pub fn revision(&self) -> i64 {
        if self.events.is_empty() { self.head.revision } else { self.main() }
    }

    /// The main revision of changes that the present command makes.
    fn main(&self) -> i64 {
        self.head.revision.saturating_add(1)
    }

    /// For reading, own writes included.
    pub fn source(&self) -> Source<'_, Overlay<'a, R>> {
        Source {
            reader: &self.overlay,
            revision: self.revision(),
            compacted: self.head.compacted,
            directory: Some(&self.directory),
            directories: self.directories,
        }
    }

    /// For records that are not keys: leases, alarms and the like.
    pub(crate) fn overlay(&mut self) -> &mut Overlay<'a, R> {
        &mut self.overlay
    }

    /// Reads as the present command sees it.
    pub(crate) fn reader(&self) -> &Overlay<'a, R> {
        &self.overlay
    }

    /// The present state of a key.
    pub fn live(&self, key: &[u8]) -> Result<Option<LiveRecord>> {
        self.overlay.get(Column::Live, key)?.map(LiveRecord::decode).transpose()
    }

    /// Puts a key, whose present state is `previous`.
    pub fn put(&mut self, key: &[u8], value: &[u8], lease: i64, previous: Option<LiveRecord>) -> Result<()> {
        let main = self.main();
        let (key, value) = own(key, value);
        let record = LiveRecord {
            created: previous.as_ref().map_or(main, |record| record.created),
            modified: main,
            version: previous.as_ref().map_or(1, |record| record.version.saturating_add(1)),
            lease,
            value,
        };
        self.move_lease(&key, previous.as_ref().map_or(0, |record| record.lease), lease);
        if previous.is_none() {
            self.directory.insert(&key);
            self.counted.push((key.clone(), true));
        }
        self.head.written_bytes += change_bytes(&key, &record.value);
        self.head.superseded_bytes += previous.as_ref().map_or(0, |record| change_bytes(&key, &record.value));
        let prev_kv = match previous {
            Some(record) => self.state_before_command(&key, record)?,
            None => None,
        };
        self.overlay.put(Column::Live, key.clone(), record.encode());
        self.record(&key, Change::Put(record.clone()));
        let kv = Some(record.into_key_value(key));
        self.events.push(Event { r#type: EventType::Put.into(), kv, prev_kv });
        Ok(())
    }

    /// Deletes the keys of a range, in order, and returns what they were.
    pub fn delete_range(&mut self, span: &Span) -> Result<Vec<KeyValue>> {
        let mut doomed = Vec::new();
        let mut cursor = self.overlay.scan(Column::Live, span, Direction::Forward)?;
        while let Some((key, record)) = cursor.entry() {
            let (key, record) = own(key, record);
            doomed.push((key, LiveRecord::decode(record)?));
            cursor.advance()?;
        }
        drop(cursor);
        let mut deleted = Vec::with_capacity(doomed.len());
        for (key, record) in doomed {
            self.delete(&key, record.clone())?;
            deleted.push(record.into_key_value(key));
        }
        Ok(deleted)
    }

    /// Deletes a key, whose present state is `previous`.
    fn delete(&mut self, key: &Bytes, previous: LiveRecord) -> Result<()> {
        self.move_lease(key, previous.lease, 0);
        self.directory.remove(key);
        self.counted.push((key.clone(), false));
        let tombstone_bytes = change_bytes(key, &[]);
        self.head.written_bytes += tombstone_bytes;
        self.head.superseded_bytes += change_bytes(key, &previous.value) + tombstone_bytes;
        let prev_kv = self.state_before_command(key, previous)?;
        self.overlay.delete(Column::Live, key.clone());
        self.record(key, Change::Delete);
        let kv = Some(KeyValue { key: key.clone(), mod_revision: self.main(), ..KeyValue::default() });
        self.events.push(Event { r#type: EventType::Delete.into(), kv, prev_kv });
        Ok(())
    }

    /// What a key that exists was before the present command: watchers see a revision as one step. A key that the
    /// command itself created was nothing.
    fn state_before_command(&self, key: &Bytes, now: LiveRecord) -> Result<Option<KeyValue>> {
        let main = self.main();
        let before = if now.modified < main { Some(now) } else { past::state_before(&self.overlay, key, main)? };
        Ok(before.map(|record| record.into_key_value(key.clone())))
    }

    /// Appends a change to the history.
    fn record(&mut self, key: &Bytes, change: Change) {
        let revision = Revision { main: self.main(), sub: u32::try_from(self.events.len()).unwrap_or(u32::MAX) };
        let version = schema::versions_value(matches!(change, Change::Put(_)));
        let record = HistoryRecord { key: key.clone(), change, superseded_bytes: self.head.superseded_bytes };
        self.overlay.put(Column::Versions, schema::versions_key(key, revision), version);
        self.overlay.put(Column::History, schema::history_key(revision), record.encode());
    }

    /// Takes `key` from the lease that held it and gives it to another; 0 is no lease.
    fn move_lease(&mut self, key: &[u8], from: i64, to: i64) {
        if from == to {
            return;
        }
        if from != 0 {
            self.overlay.delete(Column::Attachments, schema::attachment_key(from, key));
        }
        if to != 0 {
            self.overlay.put(Column::Attachments, schema::attachment_key(to, key), Bytes::new());
        }
    }
}

/// Bytes that one change counts for in the store's size.
pub(crate) fn change_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + CHANGE_OVERHEAD_BYTES
}

/// Copies key and value into one allocation, so that what outlives a request (events, cached values) does not hold on
/// to the buffer the request came in.
pub(crate) fn own(key: &[u8], value: &[u8]) -> (Bytes, Bytes) {
    let mut both = BytesMut::with_capacity(key.len() + value.len());
    both.put_slice(key);
    both.put_slice(value);
    let mut both = both.freeze();
    let key = both.split_to(key.len());
    (key, both)
}
