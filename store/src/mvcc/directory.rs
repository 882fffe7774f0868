//! Counts without walking: how many live keys lie in a range.
//!
//! The live keys are cut into blocks of some 128. The directory holds the first key of every block and how many keys it
//! has; a count is the sum of the whole blocks in the range and a walk of the two it cuts. Blocks are kept in shared
//! chunks, so that a directory of the past costs only the chunks that changed since.
//!
//! Where the blocks are cut is this node's own affair; only the counts are facts. They are stored with the batches that
//! change them ([`Column::Counts`]), so that a start reads the blocks and not the keys.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::engine::schema;
use crate::engine::{Column, Cursor, Direction, Reader, Span, WriteBatch};
use crate::error::Result;
use crate::limits::{DIRECTORY_BLOCK_KEYS, RECENT_DIRECTORIES};

/// Blocks in a chunk right after a chunk was split.
const CHUNK_BLOCKS: usize = 64;

/// Consecutive live keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// The first key that belongs to the block, whether it exists or not.
    start: Bytes,
    /// Live keys in the block.
    keys: u32,
}

/// Consecutive blocks; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    blocks: Vec<Block>,
    keys: u64,
}

/// The counts at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Never empty; the first block of the first chunk starts at the empty key.
    chunks: Vec<Arc<Chunk>>,
}

/// Where a block is: its chunk and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    chunk: usize,
    block: usize,
}

impl Default for Directory {
    fn default() -> Self {
        Self::of_blocks(&[Block { start: Bytes::new(), keys: 0 }])
    }
}

impl Directory {
    /// Reads the blocks that are stored; `None` if none are, as in a store that is fresh or was filled from elsewhere.
    pub fn load(reader: &impl Reader) -> Result<Option<Self>> {
        let mut blocks = Vec::new();
        let mut cursor = reader.scan(Column::Counts, &Span::all(), Direction::Forward)?;
        while let Some((start, keys)) = cursor.entry() {
            blocks.push(Block { start: Bytes::copy_from_slice(start), keys: schema::parse_counts_value(keys)? });
            cursor.advance()?;
        }
        // Nothing is stored without the first block, which starts at the empty key.
        Ok(blocks.first().is_some_and(|first| first.start.is_empty()).then(|| Self::of_blocks(&blocks)))
    }

    /// Counts all live keys.
    pub fn of_keys(reader: &impl Reader) -> Result<Self> {
        Ok(Self::of_blocks(&cut(reader, &Span::all())?))
    }

    /// Stores all blocks.
    pub fn store(&self, batch: &mut WriteBatch) {
        for block in self.chunks.iter().flat_map(|chunk| &chunk.blocks) {
            batch.put(Column::Counts, block.start.clone(), schema::counts_value(block.keys));
        }
    }

    /// Stores what became of the blocks that start, or started, at `starts`.
    pub fn store_blocks(&self, starts: BTreeSet<Bytes>, batch: &mut WriteBatch) {
        for start in starts {
            match self.block(self.locate(&start)).filter(|block| block.start == start) {
                Some(block) => batch.put(Column::Counts, start, schema::counts_value(block.keys)),
                None => batch.delete(Column::Counts, start),
            }
        }
    }

    fn of_blocks(blocks: &[Block]) -> Self {
        let chunks = blocks.chunks(CHUNK_BLOCKS).map(|blocks| Arc::new(Chunk::new(blocks.to_vec()))).collect();
        Self { chunks }
    }

    /// Live keys in all.
    pub fn total(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.keys).sum()
    }

    /// Notes that `key` was created.
    pub fn insert(&mut self, key: &[u8]) {
        let at = self.locate(key);
        if let Some((chunk, block)) = self.block_mut(at) {
            *chunk += 1;
            block.keys += 1;
        }
    }

    /// Notes that `key` was deleted.
    pub fn remove(&mut self, key: &[u8]) {
        let at = self.locate(key);
        if let Some((chunk, block)) = self.block_mut(at) {
            *chunk = chunk.saturating_sub(1);
            block.keys = block.keys.saturating_sub(1);
        }
    }

    /// Where the block of `key` starts.
    pub fn block_start(&self, key: &[u8]) -> Bytes {
        self.start(self.locate(key)).cloned().unwrap_or_default()
    }

    /// Live keys in `span`. `reader` must show the state this directory counts; it is asked for the keys of at most two
    /// blocks, through `walk`.
    pub fn count(&self, span: &Span, mut walk: impl FnMut(&Span) -> Result<u64>) -> Result<u64> {
        if span.is_empty() {
            return Ok(0);
        }
        let first = self.locate(&span.start);
        let last = span.end.as_ref().map(|end| self.locate(end));
        if last == Some(first) {
            return walk(span);
        }
        let mut count = self.sum(first, last);
        if self.start(first) != Some(&span.start) {
            let block_keys = u64::from(self.block(first).map_or(0, |block| block.keys));
            count -= block_keys;
            count += walk(&Span { start: span.start.clone(), end: self.after(first) })?;
        }
        if let Some(start) = last.and_then(|last| self.start(last))
            && span.end.as_ref() != Some(start)
        {
            count += walk(&Span { start: start.clone(), end: span.end.clone() })?;
        }
        Ok(count)
    }

    /// Cuts the block of `key` again if it has become too large, and drops it if it is empty. `reader` must show the
    /// state this directory counts. Returns where the blocks start, or started, that this changed.
    pub fn rebalance(&mut self, key: &[u8], reader: &impl Reader) -> Result<Vec<Bytes>> {
        let at = self.locate(key);
        let Some(block) = self.block(at) else { return Ok(Vec::new()) };
        let replacement = if block.keys > 2 * DIRECTORY_BLOCK_KEYS {
            let mut blocks = cut(reader, &Span { start: block.start.clone(), end: self.after(at) })?;
            if let Some(first) = blocks.first_mut() {
                first.start = block.start.clone();
            }
            blocks
        } else if block.keys == 0 && !block.start.is_empty() {
            Vec::new()
        } else {
            return Ok(Vec::new());
        };
        let changed = [block.start.clone()].into_iter().chain(replacement.iter().map(|block| block.start.clone()));
        let changed = changed.collect();
        let Some(chunk) = self.chunks.get_mut(at.chunk).map(Arc::make_mut) else { return Ok(Vec::new()) };
        chunk.blocks.splice(at.block..=at.block, replacement);
        *chunk = Chunk::new(std::mem::take(&mut chunk.blocks));
        if chunk.blocks.is_empty() {
            self.chunks.remove(at.chunk);
        } else if chunk.blocks.len() > 2 * CHUNK_BLOCKS {
            let parts: Vec<_> =
                chunk.blocks.chunks(CHUNK_BLOCKS).map(|blocks| Arc::new(Chunk::new(blocks.to_vec()))).collect();
            self.chunks.splice(at.chunk..=at.chunk, parts);
        }
        Ok(changed)
    }

    /// Whether [`Self::rebalance`] would change the block of `key`.
    pub fn is_unbalanced(&self, key: &[u8]) -> bool {
        let block = self.block(self.locate(key));
        block.is_some_and(|block| block.keys > 2 * DIRECTORY_BLOCK_KEYS || (block.keys == 0 && !block.start.is_empty()))
    }

    /// The block that `key` belongs to.
    fn locate(&self, key: &[u8]) -> Position {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.blocks.first().is_some_and(|block| block.start.as_ref() <= key))
            .saturating_sub(1);
        let block = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.blocks.partition_point(|block| block.start.as_ref() <= key).saturating_sub(1));
        Position { chunk, block }
    }

    fn block(&self, at: Position) -> Option<&Block> {
        self.chunks.get(at.chunk)?.blocks.get(at.block)
    }

    /// The block at `at`, with the count of its chunk.
    fn block_mut(&mut self, at: Position) -> Option<(&mut u64, &mut Block)> {
        let chunk = Arc::make_mut(self.chunks.get_mut(at.chunk)?);
        Some((&mut chunk.keys, chunk.blocks.get_mut(at.block)?))
    }

    fn start(&self, at: Position) -> Option<&Bytes> {
        self.block(at).map(|block| &block.start)
    }

    /// Where the block at `at` ends: at the start of the next.
    fn after(&self, at: Position) -> Option<Bytes> {
        self.start(Position { block: at.block + 1, ..at })
            .or_else(|| self.start(Position { chunk: at.chunk + 1, block: 0 }))
            .cloned()
    }

    /// Keys of the blocks from `first` up to `last`, which is excluded; without `last`, up to the end.
    fn sum(&self, first: Position, last: Option<Position>) -> u64 {
        let before = |at: Position| -> u64 {
            let chunks: u64 = self.chunks.iter().take(at.chunk).map(|chunk| chunk.keys).sum();
            let blocks = self
                .chunks
                .get(at.chunk)
                .map_or(0, |chunk| chunk.blocks.iter().take(at.block).map(|block| u64::from(block.keys)).sum());
            chunks + blocks
        };
        last.map_or_else(|| self.total(), before).saturating_sub(before(first))
    }
}

impl Chunk {
    fn new(blocks: Vec<Block>) -> Self {
        let keys = blocks.iter().map(|block| u64::from(block.keys)).sum();
        Self { blocks, keys }
    }
}

/// Cuts the live keys of `span` into blocks, of which the first starts where the span does.
fn cut(reader: &impl Reader, span: &Span) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut block = Block { start: span.start.clone(), keys: 0 };
    let mut cursor = reader.scan(Column::Live, span, Direction::Forward)?;
    while let Some((key, _)) = cursor.entry() {
        if block.keys == DIRECTORY_BLOCK_KEYS {
            blocks.push(std::mem::replace(&mut block, Block { start: Bytes::copy_from_slice(key), keys: 0 }));
        }
        block.keys += 1;
        cursor.advance()?;
    }
    blocks.push(block);
    Ok(blocks)
}

/// The directories of recent revisions, so that a reader finds the one that its snapshot needs.
#[derive(Default)]
pub struct Directories {
    recent: RwLock<VecDeque<(i64, Arc<Directory>)>>,
}

impl Directories {
    /// Makes the directory of `revision` known; before the engine shows that revision to anyone.
    pub fn publish(&self, revision: i64, directory: Arc<Directory>) {
        let mut recent = self.recent.write();
        recent.retain(|(known, _)| *known < revision);
        if recent.len() == RECENT_DIRECTORIES {
            thin_out(&mut recent, revision);
        }
        recent.push_back((revision, directory));
    }

    /// Forgets what was known: the state is another now, and its directory this one.
    pub fn reset(&self, revision: i64, directory: Arc<Directory>) {
        let mut recent = self.recent.write();
        recent.clear();
        recent.push_back((revision, directory));
    }

    /// The directory of exactly this revision, if it is still known.
    pub fn at(&self, revision: i64) -> Option<Arc<Directory>> {
        self.nearest(revision, revision).map(|(_, directory)| directory)
    }

    /// The oldest directory known from revision `from` to `to`, both included, and its revision.
    pub fn nearest(&self, from: i64, to: i64) -> Option<(i64, Arc<Directory>)> {
        let recent = self.recent.read();
        let (revision, directory) = recent.get(recent.partition_point(|(known, _)| *known < from))?;
        (*revision <= to).then(|| (*revision, directory.clone()))
    }
}

/// Drops the directory that is missed least: the one whose neighbours are closest to each other for its age. What is
/// left lies dense near the present and ever sparser before it.
fn thin_out(recent: &mut VecDeque<(i64, Arc<Directory>)>, present: i64) {
    let gap_for_age = |i: usize| {
        let (before, (at, _), after) = (recent.get(i.checked_sub(1)?), recent.get(i)?, recent.get(i + 1));
        let gap = after.map_or(present, |(revision, _)| *revision) - before?.0;
        // Parts in a million, so that the comparison stays among integers.
        Some(gap.saturating_mul(1_000_000) / (present - at).max(1))
    };
    let missed_least = (1..recent.len()).min_by_key(|i| gap_for_age(*i)).unwrap_or(0);
    recent.remove(missed_least);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::memory::MemoryEngine;
    use crate::engine::{Durability, Engine};

    fn key(number: u16) -> Bytes {
        Bytes::from(format!("{number:05}"))
    }

    /// Puts and deletes keys in an engine, a directory and a plain set at once.
    struct Subject {
        engine: MemoryEngine,
        directory: Directory,
        model: BTreeSet<Bytes>,
    }

    impl Default for Subject {
        fn default() -> Self {
            let (engine, directory) = (MemoryEngine::default(), Directory::default());
            let mut batch = WriteBatch::new();
            directory.store(&mut batch);
            engine.write(&batch, Durability::Buffered).unwrap();
            Self { engine, directory, model: BTreeSet::new() }
        }
    }

    impl Subject {
        fn toggle(&mut self, key: &Bytes) {
            let mut batch = WriteBatch::new();
            if self.model.remove(key) {
                batch.delete(Column::Live, key.clone());
                self.directory.remove(key);
            } else {
                batch.put(Column::Live, key.clone(), "");
                self.directory.insert(key);
                self.model.insert(key.clone());
            }
            self.engine.write(&batch, Durability::Buffered).unwrap();
            let changed = self.directory.rebalance(key, &self.engine.snapshot()).unwrap();
            let mut batch = WriteBatch::new();
            let starts = changed.into_iter().chain([self.directory.block_start(key)]).collect();
            self.directory.store_blocks(starts, &mut batch);
            self.engine.write(&batch, Durability::Buffered).unwrap();
        }

        fn count(&self, span: &Span) -> (u64, u64) {
            let mut walked = 0;
            let count = self.directory.count(span, |part| {
                let keys = self.model.iter().filter(|key| part.contains(key)).count() as u64;
                walked += keys;
                Ok(keys)
            });
            (count.unwrap(), walked)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn counts_what_is_there(toggles in vec(0..3000_u16, 0..2500), spans in vec((0..3000_u16, 0..3000_u16), 8)) {
            let mut subject = Subject::default();
            for number in toggles {
                subject.toggle(&key(number));
            }
            prop_assert_eq!(subject.directory.total(), subject.model.len() as u64);
            let counted = Directory::of_keys(&subject.engine.snapshot()).unwrap();
            prop_assert_eq!(counted.total(), subject.model.len() as u64);
            let loaded = Directory::load(&subject.engine.snapshot()).unwrap().unwrap();
            let blocks = |directory: &Directory| -> Vec<Block> {
                directory.chunks.iter().flat_map(|chunk| chunk.blocks.clone()).collect()
            };
            prop_assert_eq!(blocks(&loaded), blocks(&subject.directory));
            for (start, end) in spans {
                for span in [Span::between(key(start), key(end)), Span { start: key(start), end: None }] {
                    let expected = subject.model.iter().filter(|key| span.contains(key)).count() as u64;
                    let (count, walked) = subject.count(&span);
                    prop_assert_eq!(count, expected);
                    prop_assert!(walked <= 4 * u64::from(DIRECTORY_BLOCK_KEYS), "walked {}", walked);
                }
            }
        }
    }

    #[test]
    fn blocks_split_and_vanish_over_many_chunks() {
        let mut subject = Subject::default();
        (0..20_000).for_each(|number| subject.toggle(&key(number)));
        assert!(subject.directory.chunks.len() > 1);
        (1..20_000).for_each(|number| subject.toggle(&key(number)));
        assert_eq!(subject.directory.total(), 1);
        assert_eq!(subject.directory.chunks.iter().map(|chunk| chunk.blocks.len()).sum::<usize>(), 1);
    }

    #[test]
    fn kept_directories_are_dense_near_the_present_and_sparse_before() {
        let directories = Directories::default();
        let present = 10_000;
        (1..=present).for_each(|revision| directories.publish(revision, Arc::default()));
        assert_eq!(directories.recent.read().len(), RECENT_DIRECTORIES);
        for age in [0, 1, 2, 10, 100, 1000, 5000, 9000] {
            let (found, _) = directories.nearest(present - age, present).unwrap();
            let off = found - (present - age);
            assert!(off <= age / 3 + 1, "{off} revisions off at an age of {age}");
        }
        assert!(directories.nearest(present + 1, present + 9).is_none());
    }
}
