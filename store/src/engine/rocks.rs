//! RocksDB as an engine: the only file that names it.
//!
//! The two databases differ in what makes them durable. `raft/` syncs its write-ahead log before a write is
//! acknowledged and refuses to open when the log is damaged anywhere but at its torn end. `state/` has no write-ahead
//! log at all: its columns flush together, the applied index among them, and the raft log is replayed from there.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRawIteratorWithThreadMode, DBRecoveryMode, DBWithThreadMode, FlushOptions, LogLevel, MultiThreaded, Options,
    ReadOptions, SnapshotWithThreadMode, WriteBufferManager, WriteOptions,
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
    db: Db,
    columns: &'static [Column],
    buffered: WriteOptions,
    synced: WriteOptions,
}

impl RocksEngine {
    /// Opens, or creates, the `state/` database.
    pub fn open_state(path: &Path, memory: &Memory) -> Result<Self, OpenError> {
        let mut options = database_options(memory);
        options.set_atomic_flush(true);
        let mut buffered = WriteOptions::default();
        buffered.disable_wal(true);
        Self::open(path, &options, memory, Column::STATE, buffered)
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
        let families =
            columns.iter().map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(*column, memory)));
        let db = Db::open_cf_descriptors(options, path, families).map_err(|error| open_error(path, &error))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self { db, columns, buffered, synced })
    }

    fn column(&self, column: Column) -> Result<std::sync::Arc<BoundColumnFamily<'_>>, EngineError> {
        self.db
            .cf_handle(column.name())
            .ok_or_else(|| EngineError(format!("column {} is not part of this database", column.name())))
    }
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
    options.set_compression_type(DBCompressionType::Lz4);
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
    engine: &'a RocksEngine,
    snapshot: SnapshotWithThreadMode<'a, Db>,
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
        let value = self.snapshot.get_pinned_cf(&self.engine.column(column)?, key).map_err(engine_error)?;
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
        let mut iterator = self.snapshot.raw_iterator_cf_opt(&self.engine.column(column)?, options);
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
        RocksSnapshot { engine: self, snapshot: self.db.snapshot() }
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let mut native = rocksdb::WriteBatch::default();
        for write in batch.writes() {
            match write {
                Write::Put(column, key, value) => native.put_cf(&self.column(*column)?, key, value),
                Write::Delete(column, key) => native.delete_cf(&self.column(*column)?, key),
                Write::DeleteRange(column, start, end) if start < end => {
                    native.delete_range_cf(&self.column(*column)?, start, end);
                }
                Write::DeleteRange(..) => {}
            }
        }
        let options = match durability {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        };
        self.db.write_opt(native, options).map_err(engine_error)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let handles = self.columns.iter().map(|column| self.column(*column)).collect::<Result<Vec<_>, _>>()?;
        let handles: Vec<_> = handles.iter().collect();
        self.db.flush_cfs_opt(&handles, &FlushOptions::default()).map_err(engine_error)
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
    fn a_second_opener_is_told_who_is_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(BUDGET_BYTES);
        let _first = RocksEngine::open_state(directory.path(), &memory).unwrap();
        assert!(matches!(RocksEngine::open_state(directory.path(), &memory), Err(OpenError::InUse(_))));
    }

    /// Copies a database's files as a crash would leave them.
    fn copy_files(from: &Path, to: &Path) {
        std::fs::create_dir(to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}
