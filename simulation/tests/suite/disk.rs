//! A disk that loses what was not synced when its machine stops.

use std::path::Path;

use bytes::Bytes;
use parking_lot::Mutex;
use pintle_store::engine::memory::{MemoryEngine, MemorySnapshot};
use pintle_store::engine::{Column, Durability, Engine, EngineError, WriteBatch};
use rand::Rng;
use rand::rngs::StdRng;

/// A database on such a disk.
#[derive(Default)]
pub struct Disk {
    contents: MemoryEngine,
    kept: Mutex<Kept>,
}

/// What outlasts a stop.
#[derive(Default)]
struct Kept {
    synced: MemoryEngine,
    /// Written since, in order.
    unsynced: Vec<WriteBatch>,
}

impl Kept {
    /// Syncs the first `batches`.
    fn sync(&mut self, batches: usize) -> Result<(), EngineError> {
        self.unsynced.drain(..batches).try_for_each(|batch| self.synced.write(&batch, Durability::Synced))
    }
}

impl Disk {
    /// What the machine finds after a stop: everything that was synced, and any beginning of the rest.
    pub fn after_stop(&self, random: &mut StdRng) -> Self {
        let mut kept = self.kept.lock();
        let lucky = random.random_range(0..=kept.unsynced.len());
        kept.sync(lucky).unwrap();
        let contents = kept.synced.clone();
        Self { kept: Mutex::new(Kept { synced: contents.clone(), unsynced: Vec::new() }), contents }
    }
}

impl Engine for Disk {
    type Snapshot<'a> = MemorySnapshot;

    fn snapshot(&self) -> MemorySnapshot {
        self.contents.snapshot()
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let mut kept = self.kept.lock();
        kept.unsynced.push(batch.clone());
        self.contents.write(batch, durability)?;
        if durability == Durability::Synced { kept.sync_all() } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.kept.lock().sync_all()
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
        self.contents.checkpoint(directory)
    }

    fn read_checkpoint(&self, directory: &Path, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.contents.read_checkpoint(directory, column, key)
    }

    fn replace(&self, directory: &Path) -> Result<(), EngineError> {
        let mut kept = self.kept.lock();
        self.contents.replace(directory)?;
        *kept = Kept { synced: self.contents.clone(), unsynced: Vec::new() };
        Ok(())
    }
}

impl Kept {
    fn sync_all(&mut self) -> Result<(), EngineError> {
        self.sync(self.unsynced.len())
    }
}
