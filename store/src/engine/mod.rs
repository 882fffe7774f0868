//! The ordered key-value engine under the store: one trait, two implementations (RocksDB and memory) that pass the
//! same contract suite.
//!
//! Everything here is synchronous. A [`Reader`] is a frozen, consistent view; an [`Engine`] hands out readers and takes
//! atomic write batches.

#[cfg(test)]
mod contract;
pub mod memory;
pub mod rocks;
pub mod schema;
pub mod span;
mod wal;

use std::path::Path;

use bytes::Bytes;

pub use schema::Column;
pub use span::Span;

/// The engine failed: an I/O error, a corrupt file, a full disk. Never caused by what a request says, so the node must
/// halt rather than answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("storage engine: {0}")]
pub struct EngineError(pub String);

/// Which way a scan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending key order.
    Forward,
    /// Descending key order.
    Reverse,
}

/// A position in a scan. It starts on the first entry, if there is one.
pub trait Cursor {
    /// The entry under the cursor: key and value; `None` past the end.
    fn entry(&self) -> Option<(&[u8], &[u8])>;
    /// Moves to the next entry in the scan's direction.
    fn advance(&mut self) -> Result<(), EngineError>;
    /// Skips forward to the first entry whose key is at or after `key`. Only for [`Direction::Forward`] scans, and
    /// never moves backward.
    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError>;
}

/// A consistent, read-only view of every column.
pub trait Reader {
    /// The scan position this reader hands out.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// The value stored under `key`.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Scans the entries whose keys lie in `span`.
    fn scan<'a>(&'a self, column: Column, span: &Span, direction: Direction) -> Result<Self::Cursor<'a>, EngineError>;
}

/// When a write may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The write is in memory; a later flush (or a replay of the raft log) makes it durable. The only choice for the
    /// state database, which has no write-ahead log.
    Buffered,
    /// The write-ahead log has been synced to disk when the call returns. The only choice for acknowledged raft writes.
    Synced,
}

/// One change of a [`WriteBatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Store a value.
    Put(Column, Bytes, Bytes),
    /// Remove one key.
    Delete(Column, Bytes),
    /// Remove every key from the first (included) to the second (excluded).
    DeleteRange(Column, Bytes, Bytes),
}

/// Changes that become visible, and durable, all together or not at all, in the order they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    writes: Vec<Write>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, column: Column, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push(Write::Put(column, key.into(), value.into()));
    }

    /// Removes `key`; it need not exist.
    pub fn delete(&mut self, column: Column, key: impl Into<Bytes>) {
        self.writes.push(Write::Delete(column, key.into()));
    }

    /// Removes every key from `start`, included, to `end`, excluded.
    pub fn delete_range(&mut self, column: Column, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        self.writes.push(Write::DeleteRange(column, start.into(), end.into()));
    }

    /// The changes, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// An ordered key-value database of several columns.
pub trait Engine: Send + Sync + 'static {
    /// A frozen view, which later writes do not change.
    type Snapshot<'a>: Reader
    where
        Self: 'a;

    /// Freezes the present contents.
    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// Applies a batch atomically.
    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), EngineError>;

    /// Makes everything written so far durable, all columns at the same point.
    fn flush(&self) -> Result<(), EngineError>;

    /// Copies the contents of one moment into files in `directory`, which must not exist. Writers are not held up.
    fn checkpoint(&self, directory: &Path) -> Result<(), EngineError>;

    /// Looks up a key in what [`Engine::checkpoint`] wrote to `directory`.
    fn read_checkpoint(&self, directory: &Path, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Replaces everything by what [`Engine::checkpoint`] wrote to `directory`, which is used up. Durable when it
    /// returns, and atomic: after a crash at any point either the old or the new contents are found. Readers that exist
    /// keep seeing the old ones.
    fn replace(&self, directory: &Path) -> Result<(), EngineError>;

    /// Makes everything written so far durable and rewrites the files without what is no longer needed. Reads and
    /// writes go on meanwhile.
    fn defragment(&self) -> Result<(), EngineError> {
        self.flush()
    }
}
