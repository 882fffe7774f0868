//! A store's state at one moment as etcd's database: what a real etcd would have on disk after the same requests.

use std::io::{self, Write};

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use prost::Message;

use super::Result;
use super::backend::{self, ConfState, LeaseValue};
use super::bbolt::{Layout, Writer};
use crate::engine::schema::auth::{self, Record};
use crate::engine::schema::{self, Change, HistoryRecord, LeaseRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::mvcc::{Head, Revision, compact};
use crate::raft::ClusterState;
use crate::version;

/// Bytes and shape of the database that [`write()`] makes of the same reader.
///
/// # Errors
/// When the state cannot be read.
pub fn measure(reader: &impl Reader) -> Result<Layout> {
    let mut writer = Writer::measure()?;
    fill(reader, &mut writer)?;
    Ok(writer.finish()?.1)
}

/// Writes the database, from beginning to end.
///
/// # Errors
/// When the state cannot be read or writing fails.
pub fn write<W: Write>(reader: &impl Reader, layout: Layout, out: W) -> Result<W> {
    let mut writer = Writer::new(out, layout)?;
    fill(reader, &mut writer)?;
    Ok(writer.finish()?.0)
}

/// Writes all buckets, in the order of their names.
fn fill<W: Write>(reader: &impl Reader, writer: &mut Writer<W>) -> Result<()> {
    let cluster = ClusterState::read(reader)?;
    writer.bucket(backend::ALARM)?;
    alarms(reader, writer)?;
    writer.bucket(backend::AUTH)?;
    auth_state(reader, writer)?;
    writer.bucket(backend::AUTH_ROLES)?;
    each(reader, Column::Auth, |key, value| match auth::parse_key(key)? {
        Record::Role(name) => Ok(writer.put(name, value)?),
        Record::Enabled | Record::Revision | Record::User(_) => Ok(()),
    })?;
    writer.bucket(backend::AUTH_USERS)?;
    each(reader, Column::Auth, |key, value| match auth::parse_key(key)? {
        Record::User(name) => Ok(writer.put(name, value)?),
        Record::Enabled | Record::Revision | Record::Role(_) => Ok(()),
    })?;
    writer.bucket(backend::CLUSTER)?;
    writer.put(backend::CLUSTER_VERSION, version::CLUSTER.as_bytes())?;
    writer.bucket(backend::KEY)?;
    history(reader, writer)?;
    writer.bucket(backend::LEASE)?;
    leases(reader, writer)?;
    writer.bucket(backend::MEMBERS)?;
    members(&cluster, writer)?;
    writer.bucket(backend::MEMBERS_REMOVED)?;
    writer.bucket(backend::META)?;
    meta(reader, &cluster, writer)
}

/// Visits all entries of a column.
fn each(reader: &impl Reader, column: Column, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let mut cursor = reader.scan(column, &Span::all(), Direction::Forward)?;
    while let Some((key, value)) = cursor.entry() {
        visit(key, value)?;
        cursor.advance()?;
    }
    Ok(())
}

fn alarms<W: Write>(reader: &impl Reader, writer: &mut Writer<W>) -> Result<()> {
    let mut alarms = Vec::new();
    each(reader, Column::Alarms, |key, _| {
        let (member_id, alarm) = schema::parse_alarm_key(key)?;
        alarms.push(pb::AlarmMember { member_id, alarm }.encode_to_vec());
        Ok(())
    })?;
    // Encoded numbers do not sort as the numbers do.
    alarms.sort_unstable();
    for alarm in alarms.iter().filter(|alarm| !alarm.is_empty()) {
        writer.put(alarm, &[])?;
    }
    Ok(())
}

fn auth_state<W: Write>(reader: &impl Reader, writer: &mut Writer<W>) -> Result<()> {
    /// That of a store whose rules were never changed.
    const FRESH_REVISION: u64 = 1;
    if let Some(enabled) = reader.get(Column::Auth, &auth::key(Record::Enabled))? {
        writer.put(backend::AUTH_ENABLED, &enabled)?;
    }
    let revision = reader.get(Column::Auth, &auth::key(Record::Revision))?;
    let revision = revision.unwrap_or_else(|| Bytes::copy_from_slice(&FRESH_REVISION.to_be_bytes()));
    Ok(writer.put(backend::AUTH_REVISION, &revision)?)
}

fn history<W: Write>(reader: &impl Reader, writer: &mut Writer<W>) -> Result<()> {
    each(reader, Column::History, |key, value| {
        let revision = schema::parse_history_key(key)?;
        let HistoryRecord { key, change, .. } = HistoryRecord::decode(revision, Bytes::copy_from_slice(value))?;
        let stored = backend::revision_key(revision, matches!(change, Change::Delete));
        Ok(writer.put(&stored, &backend::encode_change(key, change))?)
    })
}

fn leases<W: Write>(reader: &impl Reader, writer: &mut Writer<W>) -> Result<()> {
    each(reader, Column::Leases, |key, value| {
        let id = schema::parse_lease_key(key)?;
        let LeaseRecord { granted_ttl_seconds, remaining_ttl_seconds } = LeaseRecord::decode(value)?;
        let lease = LeaseValue { id, granted_ttl_seconds, remaining_ttl_seconds };
        Ok(writer.put(&id.to_be_bytes(), &lease.encode_to_vec())?)
    })
}

fn members<W: Write>(cluster: &ClusterState, writer: &mut Writer<W>) -> Result<()> {
    let mut members: Vec<_> = backend::members(cluster).collect();
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (id, member) in members {
        writer.put(id.as_bytes(), &serde_json::to_vec(&member).map_err(io::Error::other)?)?;
    }
    Ok(())
}

fn meta<W: Write>(reader: &impl Reader, cluster: &ClusterState, writer: &mut Writer<W>) -> Result<()> {
    let compacted = Head::read(reader)?.compacted;
    // What has not been dropped here yet the reader of the database will drop.
    let finished = compact::pruned_to(reader)?.min(compacted);
    let revision = |main| backend::revision_key(Revision::first_of(main), false);
    let conf_state = serde_json::to_vec(&ConfState::from(cluster)).map_err(io::Error::other)?;
    writer.put(backend::CONF_STATE, &conf_state)?;
    writer.put(backend::CONSISTENT_INDEX, &cluster.index.to_be_bytes())?;
    if finished > 0 {
        writer.put(backend::FINISHED_COMPACT, &revision(finished))?;
    }
    if compacted > 0 {
        writer.put(backend::SCHEDULED_COMPACT, &revision(compacted))?;
    }
    writer.put(backend::STORAGE_VERSION, version::CLUSTER.as_bytes())?;
    Ok(writer.put(backend::TERM, &cluster.term.to_be_bytes())?)
}
