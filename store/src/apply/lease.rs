//! Commands about leases. Deadlines are the leader's business; here a lease only exists, holds keys, and ends.

use pintle_proto::etcdserverpb as pb;

use crate::engine::schema::{self, LeaseRecord};
use crate::engine::{Column, Reader, Span};
use crate::error::{Result, StoreError};
use crate::limits::MAX_LEASE_TTL_SECONDS;
use crate::mvcc::Writer;
use crate::mvcc::range::header;
use crate::mvcc::view::attached_keys;

pub(super) fn grant<R: Reader>(
    writer: &mut Writer<'_, R>,
    request: &pb::LeaseGrantRequest,
) -> Result<pb::LeaseGrantResponse> {
    if request.id == 0 {
        return Err(StoreError::LeaseNotFound);
    }
    if request.ttl > MAX_LEASE_TTL_SECONDS {
        return Err(StoreError::LeaseTtlTooLarge);
    }
    if find(writer, request.id)?.is_some() {
        return Err(StoreError::LeaseExists);
    }
    store(writer, request.id, LeaseRecord { granted_ttl_seconds: request.ttl, remaining_ttl_seconds: 0 });
    writer.head_mut().leases += 1;
    Ok(pb::LeaseGrantResponse {
        header: header(writer.revision()),
        id: request.id,
        ttl: request.ttl,
        error: String::new(),
    })
}

/// Ends a lease; its keys are deleted as one revision, in order.
pub(super) fn revoke<R: Reader>(
    writer: &mut Writer<'_, R>,
    request: pb::LeaseRevokeRequest,
) -> Result<pb::LeaseRevokeResponse> {
    if find(writer, request.id)?.is_none() {
        return Err(StoreError::LeaseNotFound);
    }
    for key in attached_keys(writer.reader(), request.id)? {
        writer.delete_range(&Span::point(&key))?;
    }
    writer.overlay().delete(Column::Leases, schema::lease_key(request.id));
    let head = writer.head_mut();
    head.leases = head.leases.saturating_sub(1);
    Ok(pb::LeaseRevokeResponse { header: header(writer.revision()) })
}

/// Notes what is left of some leases; those that ended meanwhile are passed over.
pub(super) fn checkpoint<R: Reader>(
    writer: &mut Writer<'_, R>,
    request: &pb::LeaseCheckpointRequest,
) -> Result<pb::LeaseCheckpointResponse> {
    for checkpoint in &request.checkpoints {
        if let Some(record) = find(writer, checkpoint.id)? {
            store(writer, checkpoint.id, LeaseRecord { remaining_ttl_seconds: checkpoint.remaining_ttl, ..record });
        }
    }
    Ok(pb::LeaseCheckpointResponse { header: header(writer.revision()) })
}

fn find<R: Reader>(writer: &Writer<'_, R>, id: i64) -> Result<Option<LeaseRecord>> {
    let record = writer.reader().get(Column::Leases, &schema::lease_key(id))?;
    record.map(|bytes| LeaseRecord::decode(&bytes)).transpose()
}

fn store<R: Reader>(writer: &mut Writer<'_, R>, id: i64, record: LeaseRecord) {
    writer.overlay().put(Column::Leases, schema::lease_key(id), record.encode());
}
