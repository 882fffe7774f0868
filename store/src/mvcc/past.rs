//! Reading revisions that are no longer the present: through `versions` to the change, then `history` for its value.

use bytes::Bytes;

use super::revision::Revision;
use super::writer::own;
use crate::engine::schema::{self, Change, HistoryRecord, LiveRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};

/// The change at exactly `revision`, which an index named and so must exist.
fn change_at(reader: &impl Reader, revision: Revision) -> Result<HistoryRecord> {
    let bytes = reader
        .get(Column::History, &schema::history_key(revision))?
        .ok_or(StoreError::CorruptData("a version has no history"))?;
    HistoryRecord::decode(revision, bytes)
}

/// The newest change of `key` strictly before `revision`, dead or alive.
pub fn version_before(reader: &impl Reader, key: &[u8], revision: Revision) -> Result<Option<(Revision, bool)>> {
    let prefix = schema::versions_prefix(key).freeze();
    let mut start = schema::versions_key(key, revision).to_vec();
    start.push(0);
    let span = Span { end: Span::prefix(&prefix).end, start: start.into() };
    let cursor = reader.scan(Column::Versions, &span, Direction::Forward)?;
    let Some((stored, value)) = cursor.entry() else { return Ok(None) };
    let (_, found) = schema::parse_versions_key(stored)?;
    Ok(Some((found, schema::parse_versions_value(value)?)))
}

/// The newest change of `key` up to the transaction `main`, dead or alive.
pub fn version_at(reader: &impl Reader, key: &[u8], main: i64) -> Result<Option<(Revision, bool)>> {
    version_before(reader, key, Revision::first_of(main.saturating_add(1)))
}

/// What `key` was just before the transaction `main`.
pub fn state_before(reader: &impl Reader, key: &[u8], main: i64) -> Result<Option<LiveRecord>> {
    match version_before(reader, key, Revision::first_of(main))? {
        Some((revision, true)) => match change_at(reader, revision)?.change {
            Change::Put(record) => Ok(Some(record)),
            Change::Delete => Err(StoreError::CorruptData("a put's history says deleted")),
        },
        Some((_, false)) | None => Ok(None),
    }
}

/// Entries that are stepped over before a cursor looks a place up instead: most keys have few versions, and a step
/// costs a tenth of a look-up.
const STEPS_BEFORE_SEEK: usize = 4;

/// Moves a cursor to the first entry at or after `key`.
fn move_to(cursor: &mut impl Cursor, key: &[u8]) -> Result<()> {
    for _ in 0..STEPS_BEFORE_SEEK {
        if cursor.entry().is_none_or(|(current, _)| current >= key) {
            return Ok(());
        }
        cursor.advance()?;
    }
    Ok(cursor.seek(key)?)
}

/// Visits the keys of `span` that were alive at `main`, in key order, each as its prefix in `versions` and with the
/// revision of its state, until `visit` says false.
fn walk(
    reader: &impl Reader,
    span: &Span,
    main: i64,
    mut visit: impl FnMut(&[u8], Revision) -> Result<bool>,
) -> Result<()> {
    let bounds = Span {
        start: schema::versions_bound(&span.start),
        end: span.end.as_ref().map(|end| schema::versions_bound(end)),
    };
    let newest_wanted = schema::inverted_revision(Revision::last_of(main));
    let mut cursor = reader.scan(Column::Versions, &bounds, Direction::Forward)?;
    let mut target = Vec::new();
    while let Some((stored, value)) = cursor.entry() {
        let (prefix, revision) = schema::parse_versions_key(stored)?;
        target.clear();
        target.extend_from_slice(prefix);
        if revision.main > main {
            // Newer than asked for: on to this key's newest version that is not.
            target.extend_from_slice(&newest_wanted);
        } else {
            if schema::parse_versions_value(value)? && !visit(prefix, revision)? {
                return Ok(());
            }
            // Older versions of this key no longer matter.
            schema::past_all_versions(&mut target);
        }
        move_to(&mut cursor, &target)?;
    }
    Ok(())
}

/// Visits the keys of `span` as they were at `main`, in key order, until `visit` says false. Keys that have not changed
/// since are taken from the present, which is read in order; only the others are looked up in the history.
pub fn scan(
    reader: &impl Reader,
    span: &Span,
    main: i64,
    mut visit: impl FnMut(Bytes, LiveRecord) -> bool,
) -> Result<()> {
    let mut live = reader.scan(Column::Live, span, Direction::Forward)?;
    let mut key = Vec::new();
    walk(reader, span, main, |prefix, revision| {
        schema::unescape(prefix, &mut key)?;
        move_to(&mut live, &key)?;
        if let Some((present, record)) = live.entry()
            && present == key
            && LiveRecord::modified(record) == Some(revision.main)
        {
            let (key, record) = own(present, record);
            return Ok(visit(key, LiveRecord::decode(record)?));
        }
        let HistoryRecord { key, change, .. } = change_at(reader, revision)?;
        match change {
            Change::Put(record) => Ok(visit(key, record)),
            Change::Delete => Err(StoreError::CorruptData("a put's history says deleted")),
        }
    })
}

/// How many keys of `span` were alive at `main`.
pub fn count(reader: &impl Reader, span: &Span, main: i64) -> Result<u64> {
    let mut keys = 0;
    walk(reader, span, main, |_, _| {
        keys += 1;
        Ok(true)
    })?;
    Ok(keys)
}

/// Whether no key was alive at `main`.
pub fn is_empty(reader: &impl Reader, main: i64) -> Result<bool> {
    let mut empty = true;
    walk(reader, &Span::all(), main, |_, _| {
        empty = false;
        Ok(false)
    })?;
    Ok(empty)
}

/// Visits the changes from the transaction `from` to `to`, both included, in order, until `visit` says false.
pub fn changes(
    reader: &impl Reader,
    from: i64,
    to: i64,
    mut visit: impl FnMut(Revision, HistoryRecord) -> Result<bool>,
) -> Result<()> {
    let start = schema::history_key(Revision::first_of(from.max(0)));
    let span = Span::between(start, schema::history_key(Revision::first_of(to.saturating_add(1))));
    let mut cursor = reader.scan(Column::History, &span, Direction::Forward)?;
    while let Some((key, value)) = cursor.entry() {
        let revision = schema::parse_history_key(key)?;
        if !visit(revision, HistoryRecord::decode(revision, Bytes::copy_from_slice(value))?)? {
            return Ok(());
        }
        cursor.advance()?;
    }
    Ok(())
}
