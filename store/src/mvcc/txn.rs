//! Transactions: compare, then run one of two lists of operations, nested to any depth.
//!
//! As in etcd (`server/etcdserver/txn/txn.go`), all comparisons, also the nested ones, and all checks of what the
//! chosen operations need see the state before the transaction; the operations themselves see what those before them
//! did.

use std::cmp::Ordering;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::response_op::Response;

use super::range::{Source, header};
use super::writer::Writer;
use crate::engine::schema::{self, LiveRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};

/// Whether a transaction consists of ranges only, so that it needs no raft entry. Nested ones always take one, as in
/// etcd.
pub fn is_read_only(request: &pb::TxnRequest) -> bool {
    let is_range = |op: &pb::RequestOp| matches!(op.request, Some(Request::RequestRange(_)));
    request.success.iter().all(is_range) && request.failure.iter().all(is_range)
}

/// Whether every operation is a range that may be served without asking the cluster.
pub fn is_serializable(request: &pb::TxnRequest) -> bool {
    let is_serializable =
        |op: &pb::RequestOp| matches!(&op.request, Some(Request::RequestRange(range)) if range.serializable);
    request.success.iter().all(is_serializable) && request.failure.iter().all(is_serializable)
}

/// Which branch each transaction takes: the outer one, then those nested in the chosen operations, in order.
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

impl Path {
    fn choose(source: &Source<'_, impl Reader>, request: &pb::TxnRequest) -> Result<Self> {
        let succeeded = all_hold(source, &request.compare)?;
        let nested = branch(request, succeeded)
            .iter()
            .filter_map(|op| match &op.request {
                Some(Request::RequestTxn(request)) => Some(Self::choose(source, request)),
                _ => None,
            })
            .collect::<Result<_>>()?;
        Ok(Self { succeeded, nested })
    }
}

fn branch(request: &pb::TxnRequest, succeeded: bool) -> &[pb::RequestOp] {
    if succeeded { &request.success } else { &request.failure }
}

fn all_hold(source: &Source<'_, impl Reader>, compares: &[pb::Compare]) -> Result<bool> {
    for compare in compares {
        if !holds(source, compare)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a comparison holds for every key it names. Where there is none, it is made with the zeros of an absent key;
/// but an absent value compares with nothing.
fn holds(source: &Source<'_, impl Reader>, compare: &pb::Compare) -> Result<bool> {
    if compare.range_end.is_empty() {
        let record = source.reader().get(Column::Live, &compare.key)?.map(LiveRecord::decode).transpose()?;
        return Ok(holds_for(compare, record.as_ref()));
    }
    let span = Span::of_request(compare.key.clone(), compare.range_end.clone());
    let mut cursor = source.reader().scan(Column::Live, &span, Direction::Forward)?;
    if cursor.entry().is_none() {
        return Ok(holds_for(compare, None));
    }
    while let Some((_, value)) = cursor.entry() {
        let record = LiveRecord::decode(Bytes::copy_from_slice(value))?;
        if !holds_for(compare, Some(&record)) {
            return Ok(false);
        }
        cursor.advance()?;
    }
    Ok(true)
}

fn holds_for(compare: &pb::Compare, record: Option<&LiveRecord>) -> bool {
    let number = |field: fn(&LiveRecord) -> i64| record.map_or(0, field);
    let wanted = &compare.target_union;
    let order = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => {
            let Some(record) = record else { return false };
            match wanted {
                Some(TargetUnion::Value(value)) => record.value.cmp(value),
                _ => record.value.as_ref().cmp(&[]),
            }
        }
        Ok(CompareTarget::Create) => number(|record| record.created).cmp(&match wanted {
            Some(TargetUnion::CreateRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => number(|record| record.modified).cmp(&match wanted {
            Some(TargetUnion::ModRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Version) => number(|record| record.version).cmp(&match wanted {
            Some(TargetUnion::Version(version)) => *version,
            _ => 0,
        }),
        Ok(CompareTarget::Lease) => number(|record| record.lease).cmp(&match wanted {
            Some(TargetUnion::Lease(lease)) => *lease,
            _ => 0,
        }),
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        // etcd takes any order for what it does not know.
        Err(_) => true,
    }
}

/// Checks that the chosen operations can be done, as far as the state before the transaction tells.
fn check(source: &Source<'_, impl Reader>, request: &pb::TxnRequest, path: &Path) -> Result<()> {
    let mut nested = path.nested.iter();
    for op in branch(request, path.succeeded) {
        match &op.request {
            Some(Request::RequestRange(range)) => check_revision(source, range.revision)?,
            Some(Request::RequestPut(put)) => check_put(source.reader(), put)?,
            Some(Request::RequestTxn(request)) => {
                if let Some(path) = nested.next() {
                    check(source, request, path)?;
                }
            }
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
    Ok(())
}

fn check_revision(source: &Source<'_, impl Reader>, revision: i64) -> Result<()> {
    match revision {
        0 => Ok(()),
        revision if revision > source.revision() => Err(StoreError::FutureRevision),
        revision if revision < source.compacted() => Err(StoreError::Compacted),
        _ => Ok(()),
    }
}

/// A put needs the lease it names, and the key if it keeps a part of it.
fn check_put(reader: &impl Reader, request: &pb::PutRequest) -> Result<()> {
    check_lease(reader, request.lease)?;
    if (request.ignore_value || request.ignore_lease) && reader.get(Column::Live, &request.key)?.is_none() {
        return Err(StoreError::KeyNotFound);
    }
    Ok(())
}

fn check_lease(reader: &impl Reader, lease: i64) -> Result<()> {
    if lease != 0 && reader.get(Column::Leases, &schema::lease_key(lease))?.is_none() {
        return Err(StoreError::LeaseNotFound);
    }
    Ok(())
}

/// Runs a put, alone or in a transaction.
pub(crate) fn put<R: Reader>(writer: &mut Writer<'_, R>, request: &pb::PutRequest) -> Result<pb::PutResponse> {
    check_lease(writer.reader(), request.lease)?;
    let previous = writer.live(&request.key)?;
    if (request.ignore_value || request.ignore_lease) && previous.is_none() {
        return Err(StoreError::KeyNotFound);
    }
    let kept = |ignore: bool| if ignore { previous.as_ref() } else { None };
    let lease = kept(request.ignore_lease).map_or(request.lease, |record| record.lease);
    let value = kept(request.ignore_value).map_or(&request.value, |record| &record.value).clone();
    let prev_kv = previous.clone().filter(|_| request.prev_kv).map(|record| record.into_key_value(request.key.clone()));
    writer.put(&request.key, &value, lease, previous)?;
    Ok(pb::PutResponse { header: header(writer.revision()), prev_kv })
}

/// Runs a deletion, alone or in a transaction.
pub(crate) fn delete_range<R: Reader>(
    writer: &mut Writer<'_, R>,
    request: &pb::DeleteRangeRequest,
) -> Result<pb::DeleteRangeResponse> {
    let deleted = writer.delete_range(&Span::of_request(request.key.clone(), request.range_end.clone()))?;
    Ok(pb::DeleteRangeResponse {
        header: header(writer.revision()),
        deleted: i64::try_from(deleted.len()).unwrap_or(i64::MAX),
        prev_kvs: if request.prev_kv { deleted } else { Vec::new() },
    })
}

/// Runs a transaction that may write. On an error the caller must abort the command.
pub(crate) fn run<R: Reader>(writer: &mut Writer<'_, R>, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
    let path = Path::choose(&writer.source(), request)?;
    check(&writer.source(), request, &path)?;
    let mut response = execute(writer, request, &path)?;
    response.header = header(writer.revision());
    Ok(response)
}

fn execute<R: Reader>(writer: &mut Writer<'_, R>, request: &pb::TxnRequest, path: &Path) -> Result<pb::TxnResponse> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::new();
    for op in branch(request, path.succeeded) {
        let response = match &op.request {
            Some(Request::RequestRange(range)) => Some(Response::ResponseRange(writer.source().range(range)?)),
            Some(Request::RequestPut(request)) => Some(Response::ResponsePut(put(writer, request)?)),
            Some(Request::RequestDeleteRange(request)) => {
                Some(Response::ResponseDeleteRange(delete_range(writer, request)?))
            }
            Some(Request::RequestTxn(request)) => match nested.next() {
                Some(path) => Some(Response::ResponseTxn(execute(writer, request, path)?)),
                None => None,
            },
            None => None,
        };
        responses.push(pb::ResponseOp { response });
    }
    // Only the outermost transaction's header says a revision.
    Ok(pb::TxnResponse { header: Some(pb::ResponseHeader::default()), succeeded: path.succeeded, responses })
}

/// Answers a transaction for which [`is_read_only`] holds.
pub(crate) fn read(source: &Source<'_, impl Reader>, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
    let path = Path::choose(source, request)?;
    check(source, request, &path)?;
    let responses = branch(request, path.succeeded)
        .iter()
        .map(|op| match &op.request {
            Some(Request::RequestRange(range)) => {
                Ok(pb::ResponseOp { response: Some(Response::ResponseRange(source.range(range)?)) })
            }
            _ => Ok(pb::ResponseOp { response: None }),
        })
        .collect::<Result<_>>()?;
    Ok(pb::TxnResponse { header: header(source.revision()), succeeded: path.succeeded, responses })
}
