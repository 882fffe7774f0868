//! The raft log: its newest entries in memory, all of them in the `raft/` database.
//!
//! An appended entry is readable at once, from the tail in memory; a thread of its own (`log_writer`) brings it
//! to disk and tells openraft when it is there. So openraft's core task never waits for a disk, except for a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use futures::stream::{self, Stream, TryStreamExt};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, Membership, OptionalSend};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, oneshot};

use super::log_progress::LogProgress;
use super::log_sizes::Sizes;
use super::log_tail::Tail;
use super::log_writer::{self, INSTALLING, Job, Jobs, LogDisk, PURGED, VOTE, entry_key};
use super::record::{self, EntryRecord, LogIdRecord, VoteRecord};
use super::{Entry, LogId, Member, TypeConfig, Vote};
use crate::engine::{Column, Cursor, Direction, Durability, Engine, EngineError, Reader, Span, WriteBatch};
use crate::limits;

/// The raft log of this node. Clones are handles of the same log.
pub struct LogStore<E> {
    engine: Arc<E>,
    jobs: Jobs,
    progress: LogProgress,
    state: Arc<Mutex<State>>,
    bounds: LogBounds,
    /// Told when the log exceeds its bounds.
    outgrown: Arc<Notify>,
}

impl<E> Clone for LogStore<E> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            jobs: self.jobs.clone(),
            progress: self.progress.clone(),
            state: self.state.clone(),
            bounds: self.bounds,
            outgrown: self.outgrown.clone(),
        }
    }
}

/// How long the log may grow, and how much of it is left when it is cut: for followers that lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// Bytes that it grows to.
    pub max_bytes: u64,
    /// Bytes that are left.
    pub keep_bytes: u64,
    /// Entries that it grows to (etcd's `--snapshot-count`).
    pub max_entries: u64,
    /// Entries that are left (etcd's `--snapshot-catchup-entries`).
    pub keep_entries: u64,
}

impl Default for LogBounds {
    /// By bytes alone.
    fn default() -> Self {
        Self {
            max_bytes: limits::RAFT_LOG_MAX_BYTES,
            keep_bytes: limits::RAFT_LOG_KEEP_BYTES,
            max_entries: u64::MAX,
            keep_entries: u64::MAX,
        }
    }
}

/// What is known without asking the disk.
struct State {
    vote: Option<Vote>,
    purged: Option<LogId>,
    /// Index of the oldest entry, or of the next to come when there is none.
    first: u64,
    /// The newest entry, or `purged` when there is none.
    last: Option<LogId>,
    tail: Tail,
    sizes: Sizes,
}

impl State {
    /// The indexes of the entries that exist.
    fn present(&self) -> Range<u64> {
        self.first..after(self.last.as_ref())
    }
}

/// The index that follows an entry's.
fn after(id: Option<&LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

impl<E: Engine> LogStore<E> {
    /// Opens the log in `engine` and checks that every entry is there and readable: a log with a hole must not be
    /// served from. Its writer's thread ends when the last handle of the log is dropped.
    pub fn open(engine: Arc<E>, bounds: LogBounds, disk: LogDisk) -> Result<Self, EngineError> {
        let state = load(&*engine)?;
        let progress = LogProgress::new(after(state.last.as_ref()));
        let jobs = log_writer::start(engine.clone(), progress.clone(), disk)
            .map_err(|error| EngineError(error.to_string()))?;
        Ok(Self { engine, jobs, progress, state: Arc::new(Mutex::new(state)), bounds, outgrown: Arc::default() })
    }

    /// How far the log has come to disk.
    pub fn progress(&self) -> &LogProgress {
        &self.progress
    }

    /// Bytes of the entries that the log holds.
    pub fn bytes(&self) -> u64 {
        self.state.lock().sizes.total()
    }

    /// Returns when the log has outgrown its bounds, at the next append at the latest.
    pub async fn outgrown(&self) {
        self.outgrown.notified().await;
    }

    /// The id of the last entry that was purged.
    pub fn purged(&self) -> Option<LogId> {
        self.state.lock().purged
    }

    /// The id of the newest entry, or of the last purged one when there is none.
    pub fn last(&self) -> Option<LogId> {
        self.state.lock().last
    }

    /// The greatest index up to which entries are to be forgotten, for the log to be within its bounds.
    pub fn purgeable(&self) -> Option<u64> {
        let state = self.state.lock();
        let present = state.present();
        let by_bytes =
            (state.sizes.total() > self.bounds.max_bytes).then(|| state.sizes.purgeable(self.bounds.keep_bytes));
        let by_entries = (present.end.saturating_sub(present.start) > self.bounds.max_entries)
            .then(|| present.end.checked_sub(self.bounds.keep_entries)?.checked_sub(1));
        by_bytes.flatten().max(by_entries.flatten()).filter(|upto| present.contains(upto))
    }

    /// Adds an entry that makes `id` the only member, behind everything else. To be called before raft runs, on a node
    /// whose cluster is lost: what of the log was not committed becomes so.
    pub fn append_alone(&self, id: u64, member: Member) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        let last = state.last.ok_or_else(|| EngineError("there is nothing to begin a new cluster with".to_owned()))?;
        let log_id = LogId::new(last.leader_id, last.index + 1);
        let alone = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, member)]));
        let alone = alone.map_err(|error| EngineError(error.to_string()))?;
        let entry = Entry { log_id, payload: EntryPayload::Membership(alone) };
        let mut batch = WriteBatch::new();
        batch.put(Column::Log, entry_key(log_id.index), EntryRecord::from(&entry).encode_to_vec());
        self.engine.write(&batch, Durability::Synced)?;
        if state.present().is_empty() {
            state.first = log_id.index;
        }
        state.last = Some(log_id);
        state.sizes.push(log_id.index, weight(&entry) as u64);
        state.tail = Tail::new(log_id.index + 1);
        self.progress.reach(log_id.index + 1);
        Ok(())
    }

    /// Remembers, on disk, that a snapshot which ends with this entry is about to replace the state: afterwards the log
    /// may end before the state.
    pub fn announce_snapshot(&self, last: LogId) -> Result<(), EngineError> {
        let mut batch = WriteBatch::new();
        batch.put(Column::Vote, INSTALLING, LogIdRecord::from(&last).encode_to_vec());
        self.engine.write(&batch, Durability::Synced)
    }

    /// The last entry of the snapshot that was announced last.
    pub fn installing(&self) -> Result<Option<LogId>, EngineError> {
        let bytes = self.engine.snapshot().get(Column::Vote, INSTALLING)?;
        let id = bytes.map(|bytes| record::decode::<LogIdRecord>("the snapshot's last entry", &bytes)).transpose()?;
        Ok(id.map(Into::into))
    }

    /// Whether the log is twice as long as it may be.
    pub fn is_twice_too_long(&self) -> bool {
        let state = self.state.lock();
        let present = state.present();
        state.sizes.total() > self.bounds.max_bytes.saturating_mul(2)
            || present.end.saturating_sub(present.start) > self.bounds.max_entries.saturating_mul(2)
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).then_some(()).ok_or_else(|| io::Error::other("the raft log's writer has stopped"))
    }

    /// The entries of `range` that exist, up to `max_bytes`, but at least one when there is one.
    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, EngineError> {
        let (on_disk, tail) = {
            let state = self.state.lock();
            let present = state.present();
            let range = range.start.max(present.start)..range.end.min(present.end);
            let on_disk = range.start..range.end.min(state.tail.first());
            (on_disk.clone(), state.tail.get(range.start.max(on_disk.end)..range.end, max_bytes))
        };
        if on_disk.is_empty() {
            return Ok(tail);
        }
        // What lies below the tail was written before this; raft reads nothing that it has purged.
        let mut entries = self.read_disk(on_disk.clone(), max_bytes)?;
        let bytes: usize = entries.iter().map(weight).sum();
        if entries.last().is_some_and(|last| last.log_id.index + 1 == on_disk.end) {
            let mut room = max_bytes.saturating_sub(bytes);
            entries.extend(tail.into_iter().take_while(|entry| {
                let fits = weight(entry) <= room;
                room = room.saturating_sub(weight(entry));
                fits
            }));
        }
        Ok(entries)
    }

    fn read_disk(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, EngineError> {
        let snapshot = self.engine.snapshot();
        let span = Span::between(entry_key(range.start), entry_key(range.end));
        let mut cursor = snapshot.scan(Column::Log, &span, Direction::Forward)?;
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        for index in range {
            let Some((_, value)) = cursor.entry() else {
                return Err(EngineError(format!("raft log entry {index} is missing")));
            };
            let entry = decode(value, index)?;
            bytes = bytes.saturating_add(weight(&entry));
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
            cursor.advance()?;
        }
        Ok(entries)
    }
}

/// Reads the bounds of the log and every entry in it.
fn load<E: Engine>(engine: &E) -> Result<State, EngineError> {
    let snapshot = engine.snapshot();
    let vote = snapshot.get(Column::Vote, VOTE)?;
    let vote = vote.map(|bytes| record::decode::<VoteRecord>("the raft vote", &bytes)).transpose()?;
    let purged = snapshot.get(Column::Vote, PURGED)?;
    let purged = purged.map(|bytes| record::decode::<LogIdRecord>("the raft log's start", &bytes)).transpose()?;
    let purged = purged.map(LogId::from);

    let mut last = purged;
    let mut sizes = Sizes::default();
    let span = Span { start: entry_key(after(purged.as_ref())).into(), end: None };
    let mut cursor = snapshot.scan(Column::Log, &span, Direction::Forward)?;
    while let Some((_, value)) = cursor.entry() {
        let entry = decode(value, after(last.as_ref()))?;
        sizes.push(entry.log_id.index, weight(&entry) as u64);
        last = Some(entry.log_id);
        cursor.advance()?;
    }
    let first = after(purged.as_ref());
    let tail = Tail::new(after(last.as_ref()));
    Ok(State { vote: vote.map(Into::into), purged, first, last, tail, sizes })
}

fn decode(value: &[u8], expected: u64) -> Result<Entry, EngineError> {
    let entry: Entry = record::decode::<EntryRecord>("a raft log entry", value)?.into_entry()?;
    if entry.log_id.index != expected {
        return Err(EngineError(format!("the raft log has entry {} where {expected} belongs", entry.log_id.index)));
    }
    Ok(entry)
}

impl<E: Engine> RaftLogReader<TypeConfig> for LogStore<E> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(half_open(&range), usize::MAX).map_err(io::Error::other)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, limits::REPLICATION_BYTES).map_err(io::Error::other)
    }

    /// Reads in pieces, so that replaying a long log does not hold it in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let pieces = stream::try_unfold((self.clone(), half_open(&range)), |(log, range)| async move {
            if range.is_empty() {
                return io::Result::Ok(None);
            }
            let entries = log.read(range.clone(), limits::RAFT_LOG_READ_BYTES).map_err(io::Error::other)?;
            let Some(last) = entries.last() else { return Ok(None) };
            let rest = last.log_id.index + 1..range.end;
            Ok(Some((stream::iter(entries.into_iter().map(io::Result::Ok)), (log, rest))))
        });
        Box::pin(pieces.try_flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state.lock().vote)
    }
}

impl<E: Engine> RaftLogStorage<TypeConfig> for LogStore<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.send(Job::Vote { vote: *vote, done })?;
        written.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        self.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut state = self.state.lock();
        if let Some(entry) = entries.first()
            && state.present().is_empty()
        {
            state.first = entry.log_id.index;
        }
        for entry in &entries {
            state.last = Some(entry.log_id);
            state.sizes.push(entry.log_id.index, weight(entry) as u64);
            state.tail.push(entry.clone(), weight(entry));
        }
        let entries_present = state.present().end.saturating_sub(state.first);
        if state.sizes.total() > self.bounds.max_bytes || entries_present > self.bounds.max_entries {
            self.outgrown.notify_one();
        }
        state.tail.shrink(limits::RAFT_LOG_TAIL_BYTES, self.progress.next());
        // Under the lock, so that the writer sees jobs in the order in which the state changed.
        self.send(Job::Append { entries, flushed: callback })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let index = after(last_log_id.as_ref());
        // Waited for, so that the progress never speaks of entries that are gone.
        let (done, written) = oneshot::channel();
        self.send(Job::Truncate { index, done })?;
        written.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        let mut state = self.state.lock();
        state.last = state.last.min(last_log_id.or(state.purged));
        state.tail.truncate(index);
        state.sizes.truncate(index);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let mut state = self.state.lock();
        state.purged = Some(log_id);
        state.first = state.first.max(log_id.index + 1);
        state.last = state.last.max(Some(log_id));
        state.tail.purge(log_id.index);
        state.sizes.purge(log_id.index);
        self.send(Job::Purge { upto: log_id })
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

/// What an entry counts for in the log's bounds, in bytes.
fn weight(entry: &Entry) -> usize {
    /// Id, framing, and the little that a blank or membership entry holds.
    const FIXED_BYTES: usize = 32;
    FIXED_BYTES
        + match &entry.payload {
            EntryPayload::Normal(batch) => batch.encoded_len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}
