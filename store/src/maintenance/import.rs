//! Takes over etcd's database: history, leases, users and roles, alarms. Members are left behind, since the data goes
//! to a new cluster.

use std::io::{Read, Seek};

use bytes::Bytes;
use pintle_proto::authpb;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::mvccpb::KeyValue;
use prost::Message;

use super::backend::{self, LeaseValue};
use super::bbolt::{Bucket, Database};
use super::{Error, Result};
use crate::engine::schema::auth::{self, Record};
use crate::engine::schema::{self, Change, HistoryRecord, LeaseRecord, LiveRecord, meta};
use crate::engine::{Column, Durability, Engine, Reader, WriteBatch};
use crate::error::StoreError;
use crate::limits::APPLY_BYTES;
use crate::mvcc::overlay::Overlay;
use crate::mvcc::writer::change_bytes;
use crate::mvcc::{Head, Revision};

/// What to change about the data on its way (etcdutl's `--bump-revision` and `--mark-compacted`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// How far the revision jumps, so that clients never see it go back; what was before counts as compacted. 0: not.
    pub bump_revision: u64,
}

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Where the store stands with it.
    pub head: Head,
    /// Changes in the history.
    pub changes: u64,
}

/// Fills an empty engine with what is in the database. `progress` is told how many bytes were taken since it was last
/// told.
///
/// # Errors
/// When the database is damaged or not etcd's, or the engine cannot be written.
pub fn import<F: Read + Seek, E: Engine>(
    database: &mut Database<F>,
    engine: &E,
    options: Options,
    mut progress: impl FnMut(u64),
) -> Result<Imported> {
    let buckets = database.buckets()?;
    let find = |name: &[u8]| buckets.iter().find(|bucket| bucket.name == name);
    let key = find(backend::KEY).ok_or(Error::Foreign("it has no bucket of keys"))?;
    let meta = find(backend::META).ok_or(Error::Foreign("it has no bucket about itself"))?;

    let mut head = Head::default();
    let mut pruned = 0;
    database.walk(meta, |name, value| {
        let revision = || backend::parse_revision_key(value).ok_or(Error::Foreign("a compaction has no revision"));
        if name == backend::SCHEDULED_COMPACT {
            head.compacted = head.compacted.max(revision()?.0.main);
        } else if name == backend::FINISHED_COMPACT {
            pruned = revision()?.0.main;
            head.compacted = head.compacted.max(pruned);
        }
        Ok::<(), Error>(())
    })?;
    let mut batch = WriteBatch::new();
    if let Some(bucket) = find(backend::LEASE) {
        head.leases = leases(database, bucket, &mut batch)?;
    }
    if let Some(bucket) = find(backend::ALARM) {
        head.alarms = alarms(database, bucket, &mut batch)?;
    }
    if let Some(bucket) = find(backend::AUTH) {
        auth_state(database, bucket, &mut batch)?;
    }
    if let Some(bucket) = find(backend::AUTH_USERS) {
        names(database, bucket, &mut batch, |name| Record::User(name), |value| authpb::User::decode(value).is_ok())?;
    }
    if let Some(bucket) = find(backend::AUTH_ROLES) {
        names(database, bucket, &mut batch, |name| Record::Role(name), |value| authpb::Role::decode(value).is_ok())?;
    }
    engine.write(&batch, Durability::Buffered)?;

    let changes = history(database, key, engine, &mut head, &mut progress)?;
    if options.bump_revision > 0 {
        let bump = i64::try_from(options.bump_revision).ok().and_then(|bump| head.revision.checked_add(bump));
        head.revision = bump.ok_or(Error::Foreign("its revision cannot be raised by so much"))?;
        head.compacted = head.revision;
        head.freed_bytes = head.superseded_bytes;
    }
    let mut batch = WriteBatch::new();
    batch.put(Column::Meta, meta::HEAD, head.encode());
    batch.put(Column::Meta, meta::PRUNED, Bytes::copy_from_slice(&pruned.to_be_bytes()));
    engine.write(&batch, Durability::Buffered)?;
    engine.flush()?;
    Ok(Imported { head, changes })
}

/// Takes over the changes in the order in which they happened, with a write for some of them at a time.
fn history<F: Read + Seek, E: Engine>(
    database: &mut Database<F>,
    bucket: &Bucket,
    engine: &E,
    head: &mut Head,
    progress: &mut impl FnMut(u64),
) -> Result<u64> {
    let mut changes = 0;
    let mut pending = Vec::new();
    let mut pending_bytes = 0;
    head.freed_bytes = 0;
    database.walk(bucket, |key, value| {
        let (revision, is_deletion) =
            backend::parse_revision_key(key).ok_or(Error::Foreign("a change has no revision"))?;
        let kv = KeyValue::decode(value).map_err(|_| Error::Foreign("a change is malformed"))?;
        pending_bytes += key.len() + value.len();
        pending.push((revision, is_deletion, kv));
        changes += 1;
        if pending_bytes >= APPLY_BYTES {
            write_changes(engine, head, pending.drain(..))?;
            progress(std::mem::take(&mut pending_bytes) as u64);
        }
        Ok::<(), Error>(())
    })?;
    write_changes(engine, head, pending.drain(..))?;
    progress(pending_bytes as u64);
    // A transaction whose changes were all compacted away has happened all the same.
    head.revision = head.revision.max(head.compacted);
    Ok(changes)
}

fn write_changes<E: Engine>(
    engine: &E,
    head: &mut Head,
    changes: impl Iterator<Item = (Revision, bool, KeyValue)>,
) -> Result<()> {
    let snapshot = engine.snapshot();
    let mut overlay = Overlay::new(&snapshot);
    for (revision, is_deletion, kv) in changes {
        // Raising the revision leaves a change of no key, in etcd too.
        if !kv.key.is_empty() {
            add_change(&mut overlay, head, revision, is_deletion, kv)?;
        }
        overlay.savepoint();
        head.revision = head.revision.max(revision.main);
        if revision.main <= head.compacted {
            head.freed_bytes = head.superseded_bytes;
        }
    }
    engine.write(&overlay.into_batch(), Durability::Buffered)?;
    Ok(())
}

fn add_change<R: Reader>(
    overlay: &mut Overlay<'_, R>,
    head: &mut Head,
    revision: Revision,
    is_deletion: bool,
    kv: KeyValue,
) -> Result<()> {
    let key = kv.key;
    let previous = overlay.get(Column::Live, &key).map_err(StoreError::from)?.map(LiveRecord::decode).transpose()?;
    if let Some(previous) = &previous {
        head.superseded_bytes += change_bytes(&key, &previous.value);
        if previous.lease != 0 {
            overlay.delete(Column::Attachments, schema::attachment_key(previous.lease, &key));
        }
    }
    let change = if is_deletion {
        head.superseded_bytes += change_bytes(&key, &[]);
        overlay.delete(Column::Live, key.clone());
        Change::Delete
    } else {
        let record = LiveRecord {
            created: kv.create_revision,
            modified: revision.main,
            version: kv.version,
            lease: kv.lease,
            value: kv.value,
        };
        // A lease that is gone holds nothing, though its key says so still.
        if record.lease != 0
            && overlay.get(Column::Leases, &schema::lease_key(record.lease)).map_err(StoreError::from)?.is_some()
        {
            overlay.put(Column::Attachments, schema::attachment_key(record.lease, &key), Bytes::new());
        }
        overlay.put(Column::Live, key.clone(), record.encode());
        Change::Put(record)
    };
    head.written_bytes += match &change {
        Change::Put(record) => change_bytes(&key, &record.value),
        Change::Delete => change_bytes(&key, &[]),
    };
    overlay.put(Column::Versions, schema::versions_key(&key, revision), schema::versions_value(!is_deletion));
    let record = HistoryRecord { key, change, superseded_bytes: head.superseded_bytes };
    overlay.put(Column::History, schema::history_key(revision), record.encode());
    Ok(())
}

fn leases<F: Read + Seek>(database: &mut Database<F>, bucket: &Bucket, batch: &mut WriteBatch) -> Result<u64> {
    let mut leases = 0;
    database.walk(bucket, |_, value| {
        let LeaseValue { id, granted_ttl_seconds, remaining_ttl_seconds } =
            LeaseValue::decode(value).map_err(|_| Error::Foreign("a lease is malformed"))?;
        let record = LeaseRecord { granted_ttl_seconds, remaining_ttl_seconds };
        batch.put(Column::Leases, schema::lease_key(id), record.encode());
        leases += 1;
        Ok::<(), Error>(())
    })?;
    Ok(leases)
}

/// Takes over the alarms and returns the kinds, a bit each.
fn alarms<F: Read + Seek>(database: &mut Database<F>, bucket: &Bucket, batch: &mut WriteBatch) -> Result<u32> {
    let mut bits = 0;
    database.walk(bucket, |key, _| {
        let alarm = pb::AlarmMember::decode(key).map_err(|_| Error::Foreign("an alarm is malformed"))?;
        batch.put(Column::Alarms, schema::alarm_key(alarm.member_id, alarm.alarm), Bytes::new());
        bits |= Head::alarm_bit(alarm.alarm);
        Ok::<(), Error>(())
    })?;
    Ok(bits)
}

fn auth_state<F: Read + Seek>(database: &mut Database<F>, bucket: &Bucket, batch: &mut WriteBatch) -> Result<()> {
    database.walk(bucket, |name, value| {
        let record = match name {
            backend::AUTH_ENABLED => Record::Enabled,
            backend::AUTH_REVISION if value.len() == size_of::<u64>() => Record::Revision,
            _ => return Ok(()),
        };
        batch.put(Column::Auth, auth::key(record), value.to_vec());
        Ok::<(), Error>(())
    })
}

/// Takes over users or roles.
fn names<F: Read + Seek>(
    database: &mut Database<F>,
    bucket: &Bucket,
    batch: &mut WriteBatch,
    record: impl Fn(&[u8]) -> Record<'_>,
    is_well_formed: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    database.walk(bucket, |name, value| {
        if std::str::from_utf8(name).is_err() || !is_well_formed(value) {
            return Err(Error::Foreign("a user or role is malformed"));
        }
        batch.put(Column::Auth, auth::key(record(name)), value.to_vec());
        Ok(())
    })
}
