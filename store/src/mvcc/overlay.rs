//! Changes that are not in the engine yet, ordered, over a reader: how a batch reads its own writes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

use bytes::Bytes;

use crate::engine::{Column, Cursor, Direction, EngineError, Reader, Span, WriteBatch};

/// The changes of one column; `None` is a removal.
type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// What a change took the place of.
enum Replaced {
    /// What the base says of the key.
    Base,
    /// An earlier change.
    Change(Option<Bytes>),
}

/// A reader whose contents can be changed, and changed back to the last savepoint.
pub struct Overlay<'a, R> {
    base: &'a R,
    columns: [Changes; Column::COUNT],
    /// What each change since the savepoint replaced.
    undo: Vec<(Column, Bytes, Replaced)>,
}

impl<'a, R: Reader> Overlay<'a, R> {
    /// No changes yet.
    pub fn new(base: &'a R) -> Self {
        Self { base, columns: Default::default(), undo: Vec::new() }
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, column: Column, key: Bytes, value: Bytes) {
        self.change(column, key, Some(value));
    }

    /// Removes `key`.
    pub fn delete(&mut self, column: Column, key: Bytes) {
        self.change(column, key, None);
    }

    fn change(&mut self, column: Column, key: Bytes, value: Option<Bytes>) {
        let replaced =
            self.columns[column as usize].insert(key.clone(), value).map_or(Replaced::Base, Replaced::Change);
        self.undo.push((column, key, replaced));
    }

    /// Makes the changes so far permanent: [`Self::rollback`] returns to here.
    pub fn savepoint(&mut self) {
        self.undo.clear();
    }

    /// Undoes every change since the last savepoint.
    pub fn rollback(&mut self) {
        while let Some((column, key, replaced)) = self.undo.pop() {
            let changes = &mut self.columns[column as usize];
            match replaced {
                Replaced::Change(value) => changes.insert(key, value),
                Replaced::Base => changes.remove(&key),
            };
        }
    }

    /// All changes, as one batch for the engine.
    pub fn into_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for column in Column::STATE {
            for (key, value) in &self.columns[*column as usize] {
                match value {
                    Some(value) => batch.put(*column, key.clone(), value.clone()),
                    None => batch.delete(*column, key.clone()),
                }
            }
        }
        batch
    }
}

impl<R: Reader> Reader for Overlay<'_, R> {
    type Cursor<'c>
        = OverlayCursor<'c, R::Cursor<'c>>
    where
        Self: 'c;

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.columns[column as usize].get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(column, key),
        }
    }

    fn scan<'c>(&'c self, column: Column, span: &Span, direction: Direction) -> Result<Self::Cursor<'c>, EngineError> {
        let changes = &self.columns[column as usize];
        let mut cursor = OverlayCursor {
            base: self.base.scan(column, span, direction)?,
            changes,
            end: span.end.clone(),
            direction,
            pending: range(changes, &span.start, span.end.as_ref()),
            next: None,
            current: Source::Exhausted,
        };
        cursor.step();
        cursor.settle()?;
        Ok(cursor)
    }
}

fn range<'a>(changes: &'a Changes, start: &Bytes, end: Option<&Bytes>) -> btree_map::Range<'a, Bytes, Option<Bytes>> {
    // A map panics on crossed bounds; an empty span is a legitimate request.
    let end = match end {
        Some(end) if end <= start => Bound::Excluded(start),
        Some(end) => Bound::Excluded(end),
        None => Bound::Unbounded,
    };
    if matches!(end, Bound::Excluded(end) if end == start) {
        return btree_map::Range::default();
    }
    changes.range::<Bytes, _>((Bound::Included(start), end))
}

/// Where the current entry of an [`OverlayCursor`] is.
enum Source {
    Base,
    Change,
    Exhausted,
}

/// A scan that merges pending changes into the base.
pub struct OverlayCursor<'a, C> {
    base: C,
    changes: &'a Changes,
    end: Option<Bytes>,
    direction: Direction,
    pending: btree_map::Range<'a, Bytes, Option<Bytes>>,
    next: Option<(&'a Bytes, &'a Option<Bytes>)>,
    current: Source,
}

impl<C: Cursor> OverlayCursor<'_, C> {
    /// Takes the next pending change.
    fn step(&mut self) {
        self.next = match self.direction {
            Direction::Forward => self.pending.next(),
            Direction::Reverse => self.pending.next_back(),
        };
    }

    /// Decides which side the current entry comes from; a change hides the base's entry of the same key.
    fn settle(&mut self) -> Result<(), EngineError> {
        loop {
            let Some((key, change)) = self.next else {
                self.current = if self.base.entry().is_some() { Source::Base } else { Source::Exhausted };
                return Ok(());
            };
            let order = self.base.entry().map(|(base, _)| match self.direction {
                Direction::Forward => base.cmp(key.as_ref()),
                Direction::Reverse => key.as_ref().cmp(base),
            });
            if order == Some(Ordering::Less) {
                self.current = Source::Base;
                return Ok(());
            }
            if order == Some(Ordering::Equal) {
                self.base.advance()?;
            }
            if change.is_some() {
                self.current = Source::Change;
                return Ok(());
            }
            self.step();
        }
    }
}

impl<C: Cursor> Cursor for OverlayCursor<'_, C> {
    fn entry(&self) -> Option<(&[u8], &[u8])> {
        match self.current {
            Source::Base => self.base.entry(),
            Source::Change => self.next.and_then(|(key, value)| Some((key.as_ref(), value.as_ref()?.as_ref()))),
            Source::Exhausted => None,
        }
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        match self.current {
            Source::Base => self.base.advance()?,
            Source::Change => self.step(),
            Source::Exhausted => {}
        }
        self.settle()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        self.base.seek(key)?;
        if self.next.is_some_and(|(next, _)| next.as_ref() < key) {
            self.pending = range(self.changes, &Bytes::copy_from_slice(key), self.end.as_ref());
            self.step();
        }
        self.settle()
    }
}
