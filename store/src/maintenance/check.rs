//! Whether a state database agrees with itself: every key that exists has its history, every version is in the history
//! and the other way round, leases hold the keys that say so. Reading everything also checks every block's checksum.

use bytes::Bytes;

use super::Result;
use crate::engine::schema::{self, Change, HistoryRecord, LiveRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::mvcc::Head;

/// Disagreements that are told; the rest are only counted.
const TOLD: usize = 20;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys that exist.
    pub keys: u64,
    /// Changes in the history.
    pub changes: u64,
    /// Leases that exist.
    pub leases: u64,
    /// The revision of the last change.
    pub revision: i64,
    /// The first disagreements, as text.
    pub problems: Vec<String>,
    /// All of them.
    pub problem_count: u64,
}

impl Report {
    fn tell(&mut self, problem: impl FnOnce() -> String) {
        self.problem_count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(problem());
        }
    }
}

/// Checks a state database. `progress` is told how many records were read.
///
/// # Errors
/// When a record cannot be read at all.
pub fn check(reader: &impl Reader, mut progress: impl FnMut(u64)) -> Result<Report> {
    let head = Head::read(reader)?;
    let mut report = Report { revision: head.revision, ..Report::default() };
    history(reader, &head, &mut report, &mut progress)?;
    versions(reader, &mut report, &mut progress)?;
    leases(reader, &head, &mut report)?;
    Ok(report)
}

/// Every change is known to its key, and none is newer than the present.
fn history(reader: &impl Reader, head: &Head, report: &mut Report, progress: &mut impl FnMut(u64)) -> Result<()> {
    let mut cursor = reader.scan(Column::History, &Span::all(), Direction::Forward)?;
    while let Some((key, value)) = cursor.entry() {
        let revision = schema::parse_history_key(key)?;
        let HistoryRecord { key, change, .. } = HistoryRecord::decode(revision, Bytes::copy_from_slice(value))?;
        report.changes += 1;
        progress(1);
        if revision.main > head.revision {
            report.tell(|| {
                format!("revision {} is in the history, but the store is at {}", revision.main, head.revision)
            });
        }
        let is_put = matches!(change, Change::Put(_));
        let known = reader.get(Column::Versions, &schema::versions_key(&key, revision))?;
        if known.as_deref() != Some(&*schema::versions_value(is_put)) {
            report.tell(|| {
                format!("revision {} of {key:?} is in the history, but not among its versions", revision.main)
            });
        }
        cursor.advance()?;
    }
    Ok(())
}

/// Every version is in the history, and the newest of each key is its present state.
fn versions(reader: &impl Reader, report: &mut Report, progress: &mut impl FnMut(u64)) -> Result<()> {
    let mut live = reader.scan(Column::Live, &Span::all(), Direction::Forward)?;
    let mut cursor = reader.scan(Column::Versions, &Span::all(), Direction::Forward)?;
    let (mut versions, mut last) = (0, Vec::new());
    let mut key = Vec::new();
    while let Some((stored, value)) = cursor.entry() {
        let (prefix, revision) = schema::parse_versions_key(stored)?;
        versions += 1;
        progress(1);
        if prefix != last.as_slice() {
            // The newest version of the next key.
            prefix.clone_into(&mut last);
            schema::unescape(prefix, &mut key)?;
            if schema::parse_versions_value(value)? {
                present_state(&mut live, &key, revision.main, report)?;
            }
        }
        cursor.advance()?;
    }
    while let Some((key, _)) = live.entry() {
        report.tell(|| format!("{:?} exists without a version", Bytes::copy_from_slice(key)));
        live.advance()?;
    }
    if versions != report.changes {
        let changes = report.changes;
        report.tell(|| format!("there are {versions} versions of keys, but {changes} changes in the history"));
    }
    Ok(())
}

/// The next present state must be that of `key`, as it was changed at `main`.
fn present_state(live: &mut impl Cursor, key: &[u8], main: i64, report: &mut Report) -> Result<()> {
    while let Some((present, record)) = live.entry() {
        if present > key {
            break;
        }
        let (present, record) = (Bytes::copy_from_slice(present), Bytes::copy_from_slice(record));
        let modified = LiveRecord::decode(record)?.modified;
        live.advance()?;
        if present == key {
            report.keys += 1;
            if modified != main {
                report.tell(|| format!("{present:?} says that it changed at {modified}, its versions say at {main}"));
            }
            return Ok(());
        }
        report.tell(|| format!("{present:?} exists, but was deleted by its versions"));
    }
    report.tell(|| format!("{:?} was put at {main}, but does not exist", Bytes::copy_from_slice(key)));
    Ok(())
}

/// There are as many leases as counted, and what a lease holds says so too.
fn leases(reader: &impl Reader, head: &Head, report: &mut Report) -> Result<()> {
    let mut cursor = reader.scan(Column::Leases, &Span::all(), Direction::Forward)?;
    while cursor.entry().is_some() {
        report.leases += 1;
        cursor.advance()?;
    }
    if report.leases != head.leases {
        let (leases, counted) = (report.leases, head.leases);
        report.tell(|| format!("there are {leases} leases, but {counted} were counted"));
    }
    let mut cursor = reader.scan(Column::Attachments, &Span::all(), Direction::Forward)?;
    while let Some((stored, _)) = cursor.entry() {
        let lease = schema::parse_lease_key(stored)?;
        let key = schema::parse_attachment_key(stored)?;
        let holder = reader.get(Column::Live, key)?.map(LiveRecord::decode).transpose()?.map(|record| record.lease);
        if holder != Some(lease) {
            report.tell(|| format!("lease {lease:x} holds {:?}, which does not say so", Bytes::copy_from_slice(key)));
        }
        cursor.advance()?;
    }
    Ok(())
}
