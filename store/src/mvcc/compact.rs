//! Compaction, in two steps that need not happen together.
//!
//! The replicated step moves a watermark: what lies below can no longer be read, and the store's size shrinks by what
//! was superseded up to there. The local step drops what the watermark made unreachable from the engine, a bounded
//! piece at a time, whenever this node gets to it; no answer depends on how far it is.

use bytes::Bytes;

use super::past;
use super::revision::Revision;
use super::writer::Writer;
use crate::engine::schema::{self, Change, HistoryRecord, meta};
use crate::engine::{Column, Cursor, Direction, Reader, Span, WriteBatch};
use crate::error::{Result, StoreError};

/// Moves the watermark to `revision`.
pub(crate) fn compact<R: Reader>(writer: &mut Writer<'_, R>, revision: i64) -> Result<()> {
    if revision <= writer.head().compacted {
        return Err(StoreError::Compacted);
    }
    if revision > writer.head().revision {
        return Err(StoreError::FutureRevision);
    }
    if let Some(superseded_bytes) = superseded_at(writer.reader(), revision)? {
        writer.head_mut().freed_bytes = superseded_bytes;
    }
    writer.head_mut().compacted = revision;
    Ok(())
}

/// What the last change of the transaction `main` says about superseded bytes; nothing if there was no such
/// transaction, as before the first write.
fn superseded_at(reader: &impl Reader, main: i64) -> Result<Option<u64>> {
    if main <= Revision::FRESH {
        return Ok(None);
    }
    let span = Span::between(
        schema::history_key(Revision::first_of(main)),
        schema::history_key(Revision::first_of(main.saturating_add(1))),
    );
    let cursor = reader.scan(Column::History, &span, Direction::Reverse)?;
    let Some((key, value)) = cursor.entry() else { return Ok(None) };
    let record = HistoryRecord::decode(schema::parse_history_key(key)?, Bytes::copy_from_slice(value))?;
    Ok(Some(record.superseded_bytes))
}

/// One piece of the local step.
#[derive(Debug)]
pub struct Pruned {
    /// What to drop, with the note of how far that is. Empty if nothing is left to do.
    pub batch: WriteBatch,
    /// Versions of keys that it drops.
    pub versions: u64,
    /// Whether the watermark is reached.
    pub complete: bool,
}

/// Plans the next piece of the local step: looks at the transactions after those already dealt with, at least one and
/// no more than are needed for `max_changes` changes. `watermark` is the compacted revision.
///
/// A change makes the version before it obsolete, and a deletion makes itself obsolete. What happened at the watermark
/// itself stays, for a watch that starts there.
pub fn prune(reader: &impl Reader, watermark: i64, max_changes: usize) -> Result<Pruned> {
    let done = pruned_to(reader)?;
    let mut batch = WriteBatch::new();
    if done >= watermark {
        return Ok(Pruned { batch, versions: 0, complete: true });
    }
    let mut seen = Vec::new();
    let mut last = done;
    let mut complete = true;
    past::changes(reader, done, watermark, |revision, record| {
        if seen.len() >= max_changes && revision.main > last && last > done {
            complete = false;
            return Ok(false);
        }
        last = revision.main;
        let is_deletion = matches!(record.change, Change::Delete);
        seen.push((schema::versions_key(&record.key, revision), revision, is_deletion));
        Ok(true)
    })?;
    // In the order of the column, so that one cursor finds them all.
    seen.sort_unstable();
    let start = seen.first().map(|(version, ..)| version.clone()).unwrap_or_default();
    let mut cursor = reader.scan(Column::Versions, &Span { start, end: None }, Direction::Forward)?;
    let mut versions = 0;
    for (version, revision, is_deletion) in seen {
        cursor.seek(&[&version[..], &[0]].concat())?;
        if let Some((before, _)) = cursor.entry() {
            let (key, older) = schema::parse_versions_key(before)?;
            if version.starts_with(key) && older.main < watermark {
                drop_version(&mut batch, Bytes::copy_from_slice(before), older);
                versions += 1;
            }
        }
        if is_deletion && revision.main < watermark {
            drop_version(&mut batch, version, revision);
            versions += 1;
        }
    }
    // The next piece looks at the last transaction again: what was superseded at the watermark itself was kept.
    let reached = if complete { watermark } else { last.max(done) };
    batch.put(Column::Meta, meta::PRUNED, Bytes::copy_from_slice(&reached.to_be_bytes()));
    Ok(Pruned { batch, versions, complete })
}

fn drop_version(batch: &mut WriteBatch, version: Bytes, revision: Revision) {
    batch.delete(Column::Versions, version);
    batch.delete(Column::History, schema::history_key(revision));
}

/// The main revision up to which the local step is done; 0 before the first.
pub fn pruned_to(reader: &impl Reader) -> Result<i64> {
    let Some(bytes) = reader.get(Column::Meta, meta::PRUNED)? else { return Ok(0) };
    let bytes = bytes.as_ref().try_into().map_err(|_| StoreError::CorruptData("pruned mark is cut short"))?;
    Ok(i64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pintle_proto::etcdserverpb as pb;

    use super::super::Mvcc;
    use crate::apply::{Command, apply};
    use crate::engine::memory::MemoryEngine;

    #[test]
    fn pruning_gets_past_a_transaction_larger_than_a_piece() {
        let mvcc = Mvcc::open(Arc::new(MemoryEngine::new())).unwrap();
        let run =
            |command: Command| mvcc.write(|writer| apply(writer, &command.into()), |_| {}).unwrap().reply.unwrap();
        for key in ["a", "b", "c", "d", "e"] {
            run(Command::Put(pb::PutRequest { key: key.into(), ..Default::default() }));
        }
        run(Command::DeleteRange(pb::DeleteRangeRequest { key: "a".into(), range_end: "z".into(), prev_kv: false }));
        for revision in [7, 8] {
            run(Command::Put(pb::PutRequest { key: "a".into(), ..Default::default() }));
            run(Command::Compact(pb::CompactionRequest { revision, physical: false }));
            let pieces = (0..100).take_while(|_| !mvcc.prune(2).unwrap().complete).count();
            assert!(pieces < 100, "pruning to {revision} does not end");
        }
    }
}
