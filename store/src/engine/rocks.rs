//! RocksDB as an engine: the only file that names it.
//!
//! The two databases differ in what makes them durable. `raft/` syncs its write-ahead log before a write is
//! acknowledged and refuses to open when the log is damaged anywhere but at its torn end. `state/` has no write-ahead
//! log at all: its columns flush together, the applied index among them, and the raft log is replayed from there.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, BoundColumnFamily, Cache,
    ColumnFamilyDescriptor, CompactOptions, DBCompressionType, DBRawIteratorWithThreadMode, DBRecoveryMode,
    DBWithThreadMode, FlushOptions, LogLevel, MultiThreaded, Options, ReadOptions, SnapshotWithThreadMode,
    WriteBufferManager, WriteOptions,
};

use super::{Column, Cursor, Direction, Durability, Engine, EngineError, Reader, Span, Write, WriteBatch, wal};

type Db = DBWithThreadMode<MultiThreaded>;

/// Block cache and write buffers, shared by every database of the process.
#[derive(Clone)]
pub struct Memory {
    cache: Cache,
    write_buffers: WriteBufferManager,
    write_buffer_bytes: usize,
}

impl Memory {
    /// A budget of `bytes`: half for cached blocks, half for writes that are not flushed yet.
    pub fn new(bytes: usize) -> Self {
        let write_buffer_bytes = bytes / 2;
        Self {
            cache: Cache::new_lru_cache(bytes - write_buffer_bytes),
            write_buffers: WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false),
            write_buffer_bytes,
        }
    }
}

/// Why a database did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process; stop that process or choose another data directory", .0.display())]
    InUse(PathBuf),
    /// Its files are damaged.
    #[error(
        "{} is damaged ({cause}); restore this node from a snapshot or, in a cluster, remove its data directory and add \
         it again as a new member",
        path.display()
    )]
    Damaged {
        /// The database's directory.
        path: PathBuf,
        /// What RocksDB found.
        cause: String,
    },
    /// It cannot be read or written.
    #[error("cannot open {}: {cause}; check that the directory exists, is writable and has space", path.display())]
    Unusable {
        /// The database's directory.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

/// One open RocksDB.
pub struct RocksEngine {
    path: PathBuf,
    memory: Memory,
    oldest: Generation,
    /// One replacement at a time.
    replacing: Mutex<()>,
    columns: &'static [Column],
    buffered: WriteOptions,
    synced: WriteOptions,
}

/// A database, and the one that has taken its place. What was replaced stays until the engine is dropped, emptied once
/// nobody reads it: so a reader can borrow it from the engine.
struct Generation {
    db: Db,
    number: u64,
    columns: &'static [Column],
    readers: AtomicUsize,
    next: OnceLock<Box<Generation>>,
}

impl Generation {
    fn new(db: Db, number: u64, columns: &'static [Column]) -> Self {
        Self { db, number, columns, readers: AtomicUsize::new(0), next: OnceLock::new() }
    }

    /// Takes note of a reader, unless the generation was replaced meanwhile.
    fn admit(&self) -> Option<Admitted<'_>> {
        self.readers.fetch_add(1, Ordering::SeqCst);
        let admitted = Admitted(self);
        // After the count, as `retire` looks at the count after this is set: one of the two sees the other.
        self.next.get().is_none().then_some(admitted)
    }

    /// Lets go of the contents if this was replaced and nobody reads it.
    fn retire(&self) {
        if self.next.get().is_some() && self.readers.load(Ordering::SeqCst) == 0 {
            for column in self.columns {
                // What remains, if anything does, the next start removes.
                let _ = self.db.drop_cf(column.name());
            }
        }
    }

    fn column(&self, column: Column) -> Result<Arc<BoundColumnFamily<'_>>, EngineError> {
        self.db
            .cf_handle(column.name())
            .ok_or_else(|| EngineError(format!("column {} is not part of this database", column.name())))
    }
}

impl RocksEngine {
    /// Opens, or creates, the `state/` database.
    pub fn open_state(path: &Path, memory: &Memory) -> Result<Self, OpenError> {
        settle(path).map_err(|cause| OpenError::Unusable { path: path.to_owned(), cause: cause.to_string() })?;
        let mut buffered = WriteOptions::default();
        buffered.disable_wal(true);
        Self::open(path, &state_options(memory), memory, Column::STATE, buffered)
    }

    /// Opens, or creates, the `raft/` database.
    pub fn open_raft(path: &Path, memory: &Memory) -> Result<Self, OpenError> {
        wal::prepare(path).map_err(|error| {
            let (path, cause) = (path.to_owned(), error.to_string());
            match error.kind() {
                io::ErrorKind::InvalidData => OpenError::Damaged { path, cause },
                _ => OpenError::Unusable { path, cause },
            }
        })?;
        let mut options = database_options(memory);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
        Self::open(path, &options, memory, Column::RAFT, WriteOptions::default())
    }

    fn open(
        path: &Path,
        options: &Options,
        memory: &Memory,
        columns: &'static [Column],
        buffered: WriteOptions,
    ) -> Result<Self, OpenError> {
        let db = Db::open_cf_descriptors(options, path, families(columns, memory))
            .map_err(|error| open_error(path, &error))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self {
            path: path.to_owned(),
            memory: memory.clone(),
            oldest: Generation::new(db, 0, columns),
            replacing: Mutex::default(),
            columns,
            buffered,
            synced,
        })
    }

    /// What the engine has held, the present last.
    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::successors(Some(&self.oldest), |generation| generation.next.get().map(AsRef::as_ref))
    }

    fn current(&self) -> &Generation {
        self.generations().last().unwrap_or(&self.oldest)
    }

    /// Snapshots that are being read.
    pub fn readers(&self) -> usize {
        self.generations().map(|generation| generation.readers.load(Ordering::Relaxed)).sum()
    }
}

/// A reader of a generation.
struct Admitted<'a>(&'a Generation);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
        self.0.retire();
    }
}

/// Finishes what [`RocksEngine::replace`] began: of the databases beside `path` the last one is what `path` shall hold.
fn settle(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let mut found = Vec::new();
    match fs::read_dir(parent) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                let number = entry.file_name().to_str().and_then(|file| generation_number(name, file));
                found.extend(number.map(|number| (number, entry.path())));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    found.sort();
    let Some((_, newest)) = found.pop() else { return Ok(()) };
    for old in found.iter().map(|(_, old)| old.as_path()).chain([path]) {
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(newest, path)?;
    fs::File::open(parent)?.sync_all()
}

/// The `3` of `state.3`.
fn generation_number(name: &str, file: &str) -> Option<u64> {
    file.strip_prefix(name)?.strip_prefix('.')?.parse().ok()
}

fn generation_path(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn families<'a>(
    columns: &'static [Column],
    memory: &'a Memory,
) -> impl Iterator<Item = ColumnFamilyDescriptor> + use<'a> {
    columns.iter().map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(*column, memory)))
}

fn state_options(memory: &Memory) -> Options {
    let mut options = database_options(memory);
    options.set_atomic_flush(true);
    options
}

fn database_options(memory: &Memory) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_write_buffer_manager(&memory.write_buffers);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1024 * 1024);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

fn column_options(column: Column, memory: &Memory) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&memory.cache);
    table.set_cache_index_and_filter_blocks(true);
    // Cut into small blocks like the data: the index and filter of a whole file would not fit beside anything else in a
    // shard of a small cache, and be read again for every key.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 * 1024);
    table.set_pin_top_level_index_and_filter(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Single keys are read at random: a large block would be decompressed for each.
    table.set_block_size(4 * 1024);
    table.set_format_version(6);
    let mut options = Options::default();
    match column {
        // Looked up by exact key on every write.
        Column::Live | Column::Leases => {
            table.set_bloom_filter(10.0, false);
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
        }
        // Scanned in order, or found by the one key that is known to exist: a filter would only take memory.
        Column::History
        | Column::Versions
        | Column::Attachments
        | Column::Counts
        | Column::Members
        | Column::Alarms
        | Column::Auth
        | Column::Meta
        | Column::Log
        | Column::Vote => {}
    }
    options.set_block_based_table_factory(&table);
    // Most columns hold next to nothing; each would take the default of an eighth of its write buffer at once.
    options.set_arena_block_size(64 * 1024);
    options.set_write_buffer_size(memory.write_buffer_bytes.max(1024 * 1024));
    // What was just flushed is soon read and merged: compressing it then would be done twice. The log does not live longer.
    options.set_compression_per_level(&match column {
        Column::Log => [DBCompressionType::None; 2],
        _ => [DBCompressionType::None, DBCompressionType::Lz4],
    });
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn open_error(path: &Path, error: &rocksdb::Error) -> OpenError {
    let path = path.to_owned();
    let cause = error.to_string();
    match error.kind() {
        rocksdb::ErrorKind::Corruption => OpenError::Damaged { path, cause },
        rocksdb::ErrorKind::IOError if cause.to_lowercase().contains("lock") => OpenError::InUse(path),
        _ => OpenError::Unusable { path, cause },
    }
}

fn engine_error(error: rocksdb::Error) -> EngineError {
    EngineError(error.into_string())
}

/// A frozen view of a [`RocksEngine`].
pub struct RocksSnapshot<'a> {
    generation: &'a Generation,
    snapshot: SnapshotWithThreadMode<'a, Db>,
    // Given back last, after what it stands for.
    _admitted: Admitted<'a>,
}

/// A scan of one column.
pub struct RocksCursor<'a> {
    iterator: DBRawIteratorWithThreadMode<'a, Db>,
    direction: Direction,
}

impl RocksCursor<'_> {
    /// An iterator that has run out has either reached its bound or failed; only its status tells.
    fn check(&self) -> Result<(), EngineError> {
        if self.iterator.valid() { Ok(()) } else { self.iterator.status().map_err(engine_error) }
    }
}

impl Cursor for RocksCursor<'_> {
    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.iterator.item()
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        if self.iterator.valid() {
            match self.direction {
                Direction::Forward => self.iterator.next(),
                Direction::Reverse => self.iterator.prev(),
            }
        }
        self.check()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        if self.iterator.key().is_some_and(|current| current < key) {
            self.iterator.seek(key);
        }
        self.check()
    }
}

impl Reader for RocksSnapshot<'_> {
    type Cursor<'a>
        = RocksCursor<'a>
    where
        Self: 'a;

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = self.snapshot.get_pinned_cf(&self.generation.column(column)?, key).map_err(engine_error)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan<'a>(&'a self, column: Column, span: &Span, direction: Direction) -> Result<RocksCursor<'a>, EngineError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(span.start.as_ref());
        // RocksDB takes crossed bounds for a mistake of the caller's; an empty range is a legitimate request here.
        let end = span.end.as_ref().map(|end| end.max(&span.start));
        if let Some(end) = end {
            options.set_iterate_upper_bound(end.as_ref());
        }
        let mut iterator = self.snapshot.raw_iterator_cf_opt(&self.generation.column(column)?, options);
        match direction {
            Direction::Forward => iterator.seek_to_first(),
            Direction::Reverse => iterator.seek_to_last(),
        }
        let cursor = RocksCursor { iterator, direction };
        cursor.check()?;
        Ok(cursor)
    }
}

impl Engine for RocksEngine {
    type Snapshot<'a> = RocksSnapshot<'a>;

    fn snapshot(&self) -> RocksSnapshot<'_> {
        loop {
            let generation = self.current();
            if let Some(admitted) = generation.admit() {
                return RocksSnapshot { generation, snapshot: generation.db.snapshot(), _admitted: admitted };
            }
        }
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let generation = self.current();
        let mut native = rocksdb::WriteBatch::default();
        // Writes come column by column, mostly, and finding a column's handle costs as much as adding a write.
        let mut handle: Option<(Column, Arc<BoundColumnFamily<'_>>)> = None;
        for write in batch.writes() {
            let (Write::Put(column, ..) | Write::Delete(column, _) | Write::DeleteRange(column, ..)) = write;
            let family = match handle.take() {
                Some((known, family)) if known == *column => family,
                _ => generation.column(*column)?,
            };
            match write {
                Write::Put(_, key, value) => native.put_cf(&family, key, value),
                Write::Delete(_, key) => native.delete_cf(&family, key),
                Write::DeleteRange(_, start, end) if start < end => native.delete_range_cf(&family, start, end),
                Write::DeleteRange(..) => {}
            }
            handle = Some((*column, family));
        }
        let options = match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        };
        generation.db.write_opt(native, options).map_err(engine_error)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let generation = self.current();
        let handles = self.columns.iter().map(|column| generation.column(*column)).collect::<Result<Vec<_>, _>>()?;
        let handles: Vec<_> = handles.iter().collect();
        generation.db.flush_cfs_opt(&handles, &FlushOptions::default()).map_err(engine_error)
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
        // Flushes what is in memory, all columns at the same point.
        let checkpoint = Checkpoint::new(&self.current().db).map_err(engine_error)?;
        checkpoint.create_checkpoint(directory).map_err(engine_error)
    }

    fn read_checkpoint(&self, directory: &Path, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let options = state_options(&self.memory);
        let names = self.columns.iter().map(|column| column.name());
        let db = Db::open_cf_for_read_only(&options, directory, names, false).map_err(engine_error)?;
        let family = db.cf_handle(column.name()).ok_or_else(|| EngineError("the checkpoint lacks a column".into()))?;
        Ok(db.get_cf(&family, key).map_err(engine_error)?.map(Into::into))
    }

    fn replace(&self, directory: &Path) -> Result<(), EngineError> {
        let _turn = self.replacing.lock();
        let old = self.current();
        let number = old.number + 1;
        let path = generation_path(&self.path, number);
        let system_error = |error: io::Error| EngineError(error.to_string());
        // This is the moment at which the new contents become the ones that count: see `settle`.
        fs::rename(directory, &path).map_err(system_error)?;
        if let Some(parent) = path.parent() {
            fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(system_error)?;
        }
        let options = state_options(&self.memory);
        let db =
            Db::open_cf_descriptors(&options, &path, families(self.columns, &self.memory)).map_err(engine_error)?;
        if old.next.set(Box::new(Generation::new(db, number, self.columns))).is_err() {
            return Err(EngineError("the database was replaced twice at once".to_owned()));
        }
        old.retire();
        Ok(())
    }

    fn defragment(&self) -> Result<(), EngineError> {
        self.flush()?;
        let mut options = CompactOptions::default();
        // Also where no newer file would push it: what was deleted and still lies in the last level.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        let generation = self.current();
        for column in self.columns {
            generation.db.compact_range_cf_opt(&generation.column(*column)?, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET_BYTES: usize = 8 * 1024 * 1024;

    #[test]
    fn honours_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(BUDGET_BYTES);
        let state = RocksEngine::open_state(&directory.path().join("state"), &memory).unwrap();
        super::super::contract::check(&state, Column::STATE);
        super::super::contract::check_replacement(&state);
        let raft = RocksEngine::open_raft(&directory.path().join("raft"), &memory).unwrap();
        super::super::contract::check(&raft, Column::RAFT);
    }

    fn put(engine: &RocksEngine, column: Column, key: &'static str, value: Bytes, durability: Durability) {
        let mut batch = WriteBatch::new();
        batch.put(column, key, value);
        engine.write(&batch, durability).unwrap();
    }

    #[test]
    fn the_state_loses_what_was_not_flushed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(BUDGET_BYTES);
        let path = directory.path().join("state");
        let copy = directory.path().join("copy");
        let engine = RocksEngine::open_state(&path, &memory).unwrap();
        put(&engine, Column::Live, "flushed", "1".into(), Durability::Buffered);
        put(&engine, Column::Meta, "flushed", "1".into(), Durability::Buffered);
        engine.flush().unwrap();
        put(&engine, Column::Live, "lost", "1".into(), Durability::Buffered);
        copy_files(&path, &copy);
        let survivor = RocksEngine::open_state(&copy, &memory).unwrap();
        assert!(survivor.snapshot().get(Column::Live, b"flushed").unwrap().is_some());
        assert!(survivor.snapshot().get(Column::Meta, b"flushed").unwrap().is_some());
        assert!(survivor.snapshot().get(Column::Live, b"lost").unwrap().is_none());
    }

    #[test]
    fn a_replacement_is_what_the_next_start_finds_wherever_a_crash_interrupted_it() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(BUDGET_BYTES);
        let path = directory.path().join("state");
        let found = |key: &str| {
            let engine = RocksEngine::open_state(&path, &memory).unwrap();
            engine.snapshot().get(Column::Live, key.as_bytes()).unwrap().is_some()
        };
        for (number, half_removed) in [(1, false), (2, true)] {
            let engine = RocksEngine::open_state(&path, &memory).unwrap();
            put(&engine, Column::Live, if half_removed { "second" } else { "first" }, "1".into(), Durability::Buffered);
            engine.checkpoint(&generation_path(&path, number)).unwrap();
            put(&engine, Column::Live, "old", "1".into(), Durability::Buffered);
            engine.flush().unwrap();
            drop(engine);
            if half_removed {
                fs::remove_file(path.join("CURRENT")).unwrap();
            }
            assert!(found("first") && !found("old"));
        }
        assert!(found("second"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing but the state is left");
    }

    #[test]
    fn a_second_opener_is_told_who_is_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(BUDGET_BYTES);
        let _first = RocksEngine::open_state(directory.path(), &memory).unwrap();
        assert!(matches!(RocksEngine::open_state(directory.path(), &memory), Err(OpenError::InUse(_))));
    }

    /// Copies a database's files as a crash would leave them.
    fn copy_files(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}
