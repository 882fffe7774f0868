//! An engine in memory, for tests: persistent ordered maps, so that a snapshot is a copy of their roots.

use std::ops::Bound;
use std::path::Path;

use bytes::{Buf, Bytes};
use imbl::OrdMap;
use parking_lot::RwLock;

use super::{Column, Cursor, Direction, Durability, Engine, EngineError, Reader, Span, Write, WriteBatch};

/// One ordered map a column.
type Columns = [OrdMap<Bytes, Bytes>; Column::COUNT];

/// An engine whose contents end with the process.
#[derive(Default)]
pub struct MemoryEngine {
    columns: RwLock<Columns>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Clone for MemoryEngine {
    /// A copy that goes its own way from here.
    fn clone(&self) -> Self {
        Self { columns: RwLock::new(self.columns.read().clone()) }
    }
}

/// A frozen copy of a [`MemoryEngine`].
pub struct MemorySnapshot {
    columns: Columns,
}

/// A scan of one column of a [`MemorySnapshot`].
pub struct MemoryCursor<'a> {
    map: &'a OrdMap<Bytes, Bytes>,
    span: Span,
    direction: Direction,
    current: Option<(&'a Bytes, &'a Bytes)>,
}

impl MemoryCursor<'_> {
    /// Moves to the outermost entry within the bounds, as seen from the scan's direction.
    fn settle(&mut self, lower: Bound<Bytes>, upper: Bound<Bytes>) {
        let crossed = match (&lower, &upper) {
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
            _ => false,
        };
        if crossed {
            self.current = None;
            return;
        }
        let mut range = self.map.range((lower, upper));
        self.current = match self.direction {
            Direction::Forward => range.next(),
            Direction::Reverse => range.next_back(),
        };
    }

    fn upper(&self) -> Bound<Bytes> {
        self.span.end.clone().map_or(Bound::Unbounded, Bound::Excluded)
    }
}

impl Cursor for MemoryCursor<'_> {
    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.current.map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        if let Some((key, _)) = self.current {
            let (lower, upper) = match self.direction {
                Direction::Forward => (Bound::Excluded(key.clone()), self.upper()),
                Direction::Reverse => (Bound::Included(self.span.start.clone()), Bound::Excluded(key.clone())),
            };
            self.settle(lower, upper);
        }
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        if self.current.is_some_and(|(current, _)| current.as_ref() < key) {
            self.settle(Bound::Included(Bytes::copy_from_slice(key)), self.upper());
        }
        Ok(())
    }
}

impl Reader for MemorySnapshot {
    type Cursor<'a> = MemoryCursor<'a>;

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.columns[column as usize].get(key).cloned())
    }

    fn scan<'a>(&'a self, column: Column, span: &Span, direction: Direction) -> Result<MemoryCursor<'a>, EngineError> {
        let mut cursor =
            MemoryCursor { map: &self.columns[column as usize], span: span.clone(), direction, current: None };
        cursor.settle(Bound::Included(span.start.clone()), cursor.upper());
        Ok(cursor)
    }
}

impl Engine for MemoryEngine {
    type Snapshot<'a> = MemorySnapshot;

    fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot { columns: self.columns.read().clone() }
    }

    fn write(&self, batch: &WriteBatch, _durability: Durability) -> Result<(), EngineError> {
        let mut columns = self.columns.write();
        for write in batch.writes() {
            match write {
                Write::Put(column, key, value) => {
                    columns[*column as usize].insert(key.clone(), value.clone());
                }
                Write::Delete(column, key) => {
                    columns[*column as usize].remove(key);
                }
                Write::DeleteRange(column, start, end) if start < end => {
                    let map = &mut columns[*column as usize];
                    let doomed: Vec<Bytes> =
                        map.range(start.clone()..end.clone()).map(|(key, _)| key.clone()).collect();
                    for key in doomed {
                        map.remove(&key);
                    }
                }
                Write::DeleteRange(..) => {}
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
        let columns = self.columns.read().clone();
        let mut out = Vec::new();
        for (column, map) in (0_u8..).zip(&columns) {
            for (key, value) in map {
                out.push(column);
                for part in [key, value] {
                    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
                    out.extend_from_slice(part);
                }
            }
        }
        let written = std::fs::create_dir(directory).and_then(|()| std::fs::write(directory.join(CONTENTS), out));
        written.map_err(|error| EngineError(error.to_string()))
    }

    fn read_checkpoint(&self, directory: &Path, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let columns = read_contents(directory)?;
        Ok(columns[column as usize].get(key).cloned())
    }

    fn replace(&self, directory: &Path) -> Result<(), EngineError> {
        *self.columns.write() = read_contents(directory)?;
        std::fs::remove_dir_all(directory).map_err(|error| EngineError(error.to_string()))
    }
}

/// The file of a checkpoint.
const CONTENTS: &str = "contents";

fn read_contents(directory: &Path) -> Result<Columns, EngineError> {
    let bytes = std::fs::read(directory.join(CONTENTS)).map_err(|error| EngineError(error.to_string()))?;
    let mut bytes = Bytes::from(bytes);
    let mut columns = Columns::default();
    while bytes.has_remaining() {
        let entry = read_entry(&mut bytes).ok_or_else(|| EngineError("the checkpoint is cut short".to_owned()))?;
        let (column, key, value) = entry;
        let map = columns.get_mut(usize::from(column));
        map.ok_or_else(|| EngineError("the checkpoint has an unknown column".to_owned()))?.insert(key, value);
    }
    Ok(columns)
}

fn read_entry(bytes: &mut Bytes) -> Option<(u8, Bytes, Bytes)> {
    let column = bytes.try_get_u8().ok()?;
    let mut part = || {
        let length = usize::try_from(bytes.try_get_u64().ok()?).ok()?;
        (length <= bytes.len()).then(|| bytes.split_to(length))
    };
    Some((column, part()?, part()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn honours_the_contract() {
        super::super::contract::check(&super::MemoryEngine::new(), super::Column::STATE);
        super::super::contract::check_replacement(&super::MemoryEngine::new());
    }
}
